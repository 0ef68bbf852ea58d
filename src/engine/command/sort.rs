//! SORT: the elements of a list, a set or a sorted set in another order.

use std::cmp::Ordering;

use super::{Answer, Context, Refusal, bulk, error, integer, is, parse_integer};
use crate::engine::error::ErrorKind;
use crate::engine::format::double::parse_double;
use crate::engine::format::metadata::Kind;
use crate::engine::format::resp::Reply;
use crate::engine::types::reading::{Budget, Reading, wrong_type};
use crate::engine::types::sorted_set::{self, Part, Span};
use crate::engine::types::{hash, list, set};

/// What SORT is asked for.
struct Asked<'a> {
    by: Option<&'a [u8]>,
    get: Vec<&'a [u8]>,
    offset: i64,
    count: i64,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
}

impl<'a> Asked<'a> {
    fn parse(mut options: &'a [Vec<u8>]) -> Result<Asked<'a>, Refusal> {
        let mut asked =
            Asked { by: None, get: Vec::new(), offset: 0, count: -1, descending: false, alpha: false, store: None };
        while let Some((option, rest)) = options.split_first() {
            options = rest;
            match (option, rest) {
                _ if is(option, "asc") => asked.descending = false,
                _ if is(option, "desc") => asked.descending = true,
                _ if is(option, "alpha") => asked.alpha = true,
                (_, [offset, count, rest @ ..]) if is(option, "limit") => {
                    (asked.offset, asked.count) = (parse_integer(offset)?, parse_integer(count)?);
                    options = rest;
                }
                (_, [pattern, rest @ ..]) if is(option, "by") => {
                    asked.by = Some(pattern);
                    options = rest;
                }
                (_, [pattern, rest @ ..]) if is(option, "get") => {
                    asked.get.push(pattern);
                    options = rest;
                }
                (_, [key, rest @ ..]) if is(option, "store") => {
                    asked.store = Some(key);
                    options = rest;
                }
                _ => return Err(Refusal::syntax()),
            }
        }
        Ok(asked)
    }

    /// Whether the elements come as they are: by the same for all.
    fn keeps_order(&self) -> bool {
        self.by.is_some_and(|pattern| !pattern.contains(&b'*'))
    }

    /// The elements as they are answered; `None` for what a pattern does not find.
    fn run(&self, reading: &Reading<'_>, key: &[u8]) -> Result<Vec<Option<Vec<u8>>>, Refusal> {
        let mut budget = Budget::default();
        let mut elements = elements(reading, key, self.descending && self.keeps_order(), &mut budget)?;
        if !self.keeps_order() {
            let mut weighed = Vec::with_capacity(elements.len());
            for element in elements {
                let weight = match self.by {
                    Some(pattern) => look_up(reading, pattern, &element)?,
                    None => Some(element.clone()),
                };
                budget.take(weight.as_ref().map_or(0, Vec::len))?;
                // Redis takes nothing for 0.
                let number = match &weight {
                    Some(weight) if !self.alpha && !weight.is_empty() => parse_double(weight)
                        .ok_or_else(|| error("One or more scores can't be converted into double"))?,
                    _ => 0.0,
                };
                weighed.push((number, weight, element));
            }
            weighed.sort_by(|(number, weight, element), (other_number, other_weight, other)| {
                let order = match self.alpha {
                    true => weight.cmp(other_weight),
                    false => number.partial_cmp(other_number).unwrap_or(Ordering::Equal),
                };
                let order =
                    if self.alpha && self.by.is_some() { order } else { order.then_with(|| element.cmp(other)) };
                if self.descending { order.reverse() } else { order }
            });
            elements = weighed.into_iter().map(|(_, _, element)| element).collect();
        }
        let skipped = usize::try_from(self.offset).unwrap_or(0);
        let most = usize::try_from(self.count).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for element in elements.into_iter().skip(skipped).take(most) {
            if self.get.is_empty() {
                found.push(Some(element));
                continue;
            }
            for pattern in &self.get {
                let value = look_up(reading, pattern, &element)?;
                budget.take(value.as_ref().map_or(0, Vec::len))?;
                found.push(value);
            }
        }
        Ok(found)
    }
}

/// All elements of a key, in memory.
fn elements(reading: &Reading<'_>, key: &[u8], reverse: bool, budget: &mut Budget) -> Result<Vec<Vec<u8>>, Refusal> {
    let Some(metadata) = reading.metadata(key)? else { return Ok(Vec::new()) };
    let mut elements = Vec::new();
    let mut walk = match metadata.kind {
        Kind::LIST => list::elements(reading, key, false)?,
        Kind::SET => set::members(reading, key, b"")?,
        Kind::ZSET => {
            let scored = sorted_set::range(reading, key, &Span::Rank(0, -1), Part { reverse, ..Part::ALL })?;
            let members = scored.map_or(Ok(Vec::new()), |scored| scored.gather())?;
            return Ok(members.into_iter().map(|(member, _)| member).collect());
        }
        kind => return Err(wrong_type(key, kind, Kind::LIST).into()),
    };
    while let Some(walk) = &mut walk
        && let Some((sub, value)) = walk.next()?
    {
        let element = if metadata.kind == Kind::LIST { value } else { sub };
        budget.take(element.len())?;
        elements.push(element.to_vec());
    }
    Ok(elements)
}

/// What a pattern stands for: the element in the place of its first `*` makes the name of a string, or before `->` that of a
/// hash with the name of a field behind; `#` is the element itself.
fn look_up(reading: &Reading<'_>, pattern: &[u8], element: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    if pattern == b"#" {
        return Ok(Some(element.to_vec()));
    }
    let Some(star) = pattern.iter().position(|&byte| byte == b'*') else { return Ok(None) };
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = after.windows(2).position(|pair| pair == b"->").filter(|arrow| arrow + 2 < after.len());
    let (after, field) = match arrow {
        Some(arrow) => (&after[..arrow], Some(&after[arrow + 2..])),
        None => (after, None),
    };
    let key = [before, element, after].concat();
    let found = match field {
        Some(field) => hash::get(reading, &key, field).map(|value| value.map(|value| value.to_vec())),
        None => reading.string(&key).map(|value| value.map(|value| value.to_vec())),
    };
    match found {
        Err(e) if e.kind() == ErrorKind::WrongType => Ok(None),
        found => Ok(found?),
    }
}

/// SORT and SORT_RO.
pub fn sort(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let asked = Asked::parse(&args[2..])?;
    let Some(target) = asked.store else {
        let found = context.view(|reading| asked.run(reading, &args[1]))?;
        return Ok(Reply::Array(found.into_iter().map(|found| found.map_or(Reply::Nil, bulk)).collect()));
    };
    if is(&args[0], "sort_ro") {
        return Err(Refusal::syntax());
    }
    context.write(|writing| {
        let found = asked.run(&writing.reading(), &args[1])?;
        let found: Vec<Vec<u8>> = found.into_iter().map(Option::unwrap_or_default).collect();
        list::replace(writing, target, &found)?;
        Ok(integer(found.len() as u64))
    })
}
