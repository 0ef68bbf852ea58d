//! Commands on Bloom filters.

use super::{Answer, Context, Refusal, error, integer, is, ok, parse_float, parse_integer};
use crate::engine::format::resp::Reply;
use crate::engine::types::bloom::{self, Added, BloomShape};

fn parse_error_rate(bytes: &[u8]) -> Result<f64, Refusal> {
    let rate = parse_float(bytes).map_err(|_| error("Bad error rate"))?;
    if rate > 0.0 && rate < 1.0 { Ok(rate) } else { Err(error("error rate should be between 0 and 1")) }
}

fn parse_capacity(bytes: &[u8]) -> Result<u32, Refusal> {
    let capacity = parse_integer(bytes).ok().and_then(|capacity| u32::try_from(capacity).ok());
    match capacity {
        None => Err(error("Bad capacity")),
        Some(0) => Err(error("capacity should be larger than 0")),
        Some(capacity) => Ok(capacity),
    }
}

fn parse_expansion(bytes: &[u8]) -> Result<u16, Refusal> {
    let expansion = parse_integer(bytes).ok().and_then(|expansion| u16::try_from(expansion).ok());
    match expansion {
        None => Err(error("Bad expansion")),
        Some(0) => Err(error("expansion should be greater or equal to 1")),
        Some(expansion) => Ok(expansion),
    }
}

/// How a filter grows, as its options say.
#[derive(Default)]
struct Growth {
    fixed: bool,
    expansion: Option<u16>,
}

impl Growth {
    fn expansion(&self) -> Result<u16, Refusal> {
        match (self.fixed, self.expansion) {
            (true, Some(_)) => Err(error("nonscaling filters cannot expand")),
            (true, None) => Ok(0),
            (false, expansion) => Ok(expansion.unwrap_or(BloomShape::default().expansion)),
        }
    }
}

pub fn reserve(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (error_rate, capacity) = (parse_error_rate(&args[2])?, parse_capacity(&args[3])?);
    let mut growth = Growth::default();
    let mut rest = args[4..].iter();
    while let Some(option) = rest.next() {
        if is(option, "nonscaling") {
            growth.fixed = true;
        } else if is(option, "expansion") {
            growth.expansion = Some(parse_expansion(rest.next().ok_or_else(|| error("Bad expansion"))?)?);
        } else {
            return Err(Refusal::syntax());
        }
    }
    let shape = BloomShape { capacity, error_rate, expansion: growth.expansion()? };
    context.write(|writing| match bloom::reserve(writing, &args[1], shape)? {
        true => Ok(ok()),
        false => Err(error("the key already exists")),
    })
}

fn added(added: Added) -> Reply {
    match added {
        Added::New => Reply::Integer(1),
        Added::Present => Reply::Integer(0),
        Added::Full => Reply::Error("ERR nonscaling filter is full".into()),
    }
}

/// BF.ADD and BF.MADD.
pub fn add(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let many = is(&args[0], "bf.madd");
    let did = context.write(|writing| Ok(bloom::add(writing, &args[1], &args[2..], Some(BloomShape::default()))?))?;
    let mut did = did.unwrap_or_default().into_iter().map(added);
    if many { Ok(Reply::Array(did.collect())) } else { Ok(did.next().unwrap_or(Reply::Nil)) }
}

pub fn insert(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let mut shape = BloomShape::default();
    let mut growth = Growth::default();
    let mut create = true;
    let mut rest = args[2..].iter();
    let items = loop {
        let option = rest.next().ok_or_else(Refusal::syntax)?;
        if is(option, "capacity") {
            shape.capacity = parse_capacity(rest.next().ok_or_else(|| error("Bad capacity"))?)?;
        } else if is(option, "error") {
            shape.error_rate = parse_error_rate(rest.next().ok_or_else(|| error("Bad error rate"))?)?;
        } else if is(option, "nocreate") {
            create = false;
        } else if is(option, "nonscaling") {
            growth.fixed = true;
        } else if is(option, "expansion") {
            growth.expansion = Some(parse_expansion(rest.next().ok_or_else(|| error("Bad expansion"))?)?);
        } else if is(option, "items") {
            break rest.as_slice();
        } else {
            return Err(Refusal::syntax());
        }
    };
    shape.expansion = growth.expansion()?;
    if items.is_empty() {
        return Err(error("num of items should be greater than 0"));
    }
    let did = context.write(|writing| Ok(bloom::add(writing, &args[1], items, create.then_some(shape))?))?;
    let did = did.ok_or_else(|| error("key is not found"))?;
    Ok(Reply::Array(did.into_iter().map(added).collect()))
}

/// BF.EXISTS and BF.MEXISTS.
pub fn exists(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let many = is(&args[0], "bf.mexists");
    let found = context.view(|reading| Ok(bloom::contains(reading, &args[1], &args[2..])?))?;
    let mut found = found.into_iter().map(|found| integer(found.into()));
    if many { Ok(Reply::Array(found.collect())) } else { Ok(found.next().unwrap_or(Reply::Nil)) }
}

pub fn info(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if args.len() > 3 {
        return Err(Refusal::arity());
    }
    let found = context.view(|reading| Ok(bloom::info(reading, &args[1])?))?;
    let found = found.ok_or_else(|| error("key is not found"))?;
    let expansion = if found.expansion == 0 { Reply::Nil } else { integer(found.expansion.into()) };
    let rows = [
        ("capacity", "Capacity", integer(found.capacity)),
        ("size", "Size", integer(found.bytes.into())),
        ("filters", "Number of filters", integer(found.filters.into())),
        ("items", "Number of items inserted", integer(found.items)),
        ("expansion", "Expansion rate", expansion),
    ];
    match args.get(2) {
        None => {
            Ok(Reply::Map(rows.into_iter().flat_map(|(_, name, value)| [Reply::Simple(name.into()), value]).collect()))
        }
        Some(wanted) => {
            let row = rows.into_iter().find(|(name, ..)| is(wanted, name));
            row.map(|(.., value)| value).ok_or_else(|| error("Invalid info argument"))
        }
    }
}

pub fn card(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let found = context.read(|reading| Ok(bloom::info(reading, &args[1])?))?;
    Ok(integer(found.map_or(0, |found| found.items)))
}
