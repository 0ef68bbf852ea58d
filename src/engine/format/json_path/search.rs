//! What a path leads to in a document, in a number of steps that is bounded.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::super::json::{Map, Number, Value};
use super::{Comparison, Filter, Operand, Selector, Step, place};
use crate::engine::error::{Error, ErrorKind, Result, shown};

/// The most steps of a search: each is a look at one value with one part of the path. What it finds is no more than that, and
/// no more than there is in the document.
const MAX_STEPS: usize = 1 << 24;
/// A text is compared in as many steps as it has pieces of this length.
const BYTES_PER_STEP: usize = 64;

/// One search, and the steps that it has taken.
pub struct Search<'a> {
    root: &'a Value,
    text: &'a str,
    steps: usize,
}

impl<'a> Search<'a> {
    pub fn new(root: &'a Value, text: &'a str) -> Search<'a> {
        Search { root, text, steps: 0 }
    }

    /// What the steps of a path lead to from a value.
    pub fn find(&mut self, from: &'a Value, path: &'a [Step]) -> Result<Vec<&'a Value>> {
        let mut found = vec![from];
        for step in path {
            // What several of them reach is walked once.
            let overlap = step.descend && found.len() > 1;
            let mut walked = HashSet::new();
            let mut next = Vec::new();
            for start in found {
                let mut open = vec![start];
                while let Some(value) = open.pop() {
                    if overlap && !walked.insert(place(value)) {
                        continue;
                    }
                    for selector in &step.selectors {
                        self.select(selector, value, &mut next)?;
                    }
                    if step.descend {
                        open.extend(children(value).rev());
                    }
                }
            }
            if step.selectors.len() > 1 {
                let mut seen = HashSet::new();
                next.retain(|value| seen.insert(place(value)));
            }
            found = next;
        }
        Ok(found)
    }

    fn spend(&mut self, steps: usize) -> Result<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps <= MAX_STEPS {
            return Ok(());
        }
        let what = format!("JSON path {}: got more than {MAX_STEPS} steps", shown(self.text.as_bytes()));
        Err(Error::new(ErrorKind::InvalidArgument, format!("{what}, expected fewer; name more of the way")))
    }

    fn select(&mut self, selector: &'a Selector, value: &'a Value, out: &mut Vec<&'a Value>) -> Result<()> {
        self.spend(1)?;
        match (selector, value) {
            (Selector::Name(name), Value::Object(members)) => {
                self.spend(name.len() / BYTES_PER_STEP)?;
                out.extend(members.get(name));
            }
            (Selector::Index(index), Value::Array(items)) => {
                out.extend(absolute(*index, items.len()).and_then(|index| items.get(index)));
            }
            (Selector::Slice(start, end, step), Value::Array(items)) => {
                let indexes = slice(*start, *end, *step, items.len());
                self.spend(indexes.len())?;
                out.extend(indexes.into_iter().filter_map(|index| items.get(index)));
            }
            (Selector::All, _) => {
                for child in children(value) {
                    self.spend(1)?;
                    out.push(child);
                }
            }
            (Selector::Filter(filter), _) => {
                for child in children(value) {
                    if self.holds(filter, child)? {
                        out.push(child);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn holds(&mut self, filter: &'a Filter, value: &'a Value) -> Result<bool> {
        self.spend(1)?;
        Ok(match filter {
            Filter::Or(parts) => {
                for part in parts {
                    if self.holds(part, value)? {
                        return Ok(true);
                    }
                }
                false
            }
            Filter::And(parts) => {
                for part in parts {
                    if !self.holds(part, value)? {
                        return Ok(false);
                    }
                }
                true
            }
            Filter::Not(part) => !self.holds(part, value)?,
            Filter::Exists(operand) => self.operand(operand, value)?.is_some(),
            Filter::Compare(left, comparison, right) => {
                let (left, right) = (self.operand(left, value)?, self.operand(right, value)?);
                let order = self.order(left, right)?;
                match comparison {
                    Comparison::Equal => order == Some(Ordering::Equal),
                    Comparison::NotEqual => order != Some(Ordering::Equal),
                    Comparison::Less => order == Some(Ordering::Less),
                    Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                    Comparison::Greater => order == Some(Ordering::Greater),
                    Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                }
            }
        })
    }

    fn operand(&mut self, operand: &'a Operand, value: &'a Value) -> Result<Option<&'a Value>> {
        match operand {
            Operand::Literal(literal) => Ok(Some(literal)),
            Operand::Path { from_root, steps } => {
                let from = if *from_root { self.root } else { value };
                Ok(self.find(from, steps)?.first().copied())
            }
        }
    }

    /// How two values compare; `None` where neither is less and they are not the same.
    fn order(&mut self, left: Option<&Value>, right: Option<&Value>) -> Result<Option<Ordering>> {
        Ok(match (left, right) {
            (Some(Value::Number(a)), Some(Value::Number(b))) => order_of_numbers(a, b),
            (Some(Value::String(a)), Some(Value::String(b))) => {
                self.spend(a.len().min(b.len()) / BYTES_PER_STEP)?;
                Some(a.cmp(b))
            }
            (Some(a), Some(b)) => self.same(a, b)?.then_some(Ordering::Equal),
            (None, None) => Some(Ordering::Equal),
            _ => None,
        })
    }

    /// Whether two values are the same, in as many steps as they have parts.
    fn same(&mut self, left: &Value, right: &Value) -> Result<bool> {
        let mut open = vec![(left, right)];
        while let Some((left, right)) = open.pop() {
            let same = match (left, right) {
                (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                    self.spend(a.len())?;
                    open.extend(a.iter().zip(b));
                    true
                }
                (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
                    self.spend(a.keys().map(|name| 1 + name.len() / BYTES_PER_STEP).sum())?;
                    open.extend(a.values().zip(b.values()));
                    a.keys().eq(b.keys())
                }
                (Value::Array(_) | Value::Object(_), _) => false,
                (Value::String(a), Value::String(b)) => {
                    self.spend(a.len().min(b.len()) / BYTES_PER_STEP)?;
                    a == b
                }
                (Value::Number(a), Value::Number(b)) => order_of_numbers(a, b) == Some(Ordering::Equal),
                (left, right) => left == right,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn children(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    let (items, members) = match value {
        Value::Array(items) => (Some(items), None),
        Value::Object(members) => (None, Some(members)),
        _ => (None, None),
    };
    items.into_iter().flatten().chain(members.into_iter().flat_map(Map::values))
}

/// An index that may count from the end.
pub fn absolute(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { length.checked_add(index)? } else { index }).ok()
}

fn slice(start: Option<i64>, end: Option<i64>, step: i64, length: usize) -> Vec<usize> {
    let length = length as i64;
    let from_end = |index: i64| if index < 0 { length.saturating_add(index) } else { index };
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |index: Option<i64>, default| index.map_or(default, |index| from_end(index).clamp(low, high));
    let (mut at, end) =
        if step > 0 { (bound(start, low), bound(end, high)) } else { (bound(start, high), bound(end, low)) };
    let mut out = Vec::new();
    while step != 0 && (if step > 0 { at < end } else { at > end }) {
        out.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    out
}

/// Whole numbers by all of their digits, others as doubles.
fn order_of_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i64(), right.as_i64(), left.as_u64(), right.as_u64()) {
        (Some(left), Some(right), ..) => Some(left.cmp(&right)),
        (.., Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64().partial_cmp(&right.as_f64()),
    }
}
