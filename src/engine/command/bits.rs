//! Commands on the bits of bitmaps and strings.

use super::{Answer, Context, Refusal, error, integer, is, parse_integer};
use crate::engine::format::bits::{Field, Overflow};
use crate::engine::format::resp::Reply;
use crate::engine::types::bitmap::{self, BitOperation, BitRange, FieldAction, FieldStep};

fn parse_offset(bytes: &[u8]) -> Result<u32, Refusal> {
    let offset = parse_integer(bytes).ok().and_then(|offset| u32::try_from(offset).ok());
    offset.ok_or_else(|| error("bit offset is not an integer or out of range"))
}

pub fn getbit(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let offset = parse_offset(&args[2])?;
    context.view(|reading| Ok(integer(bitmap::get(reading, &args[1], offset)?.into())))
}

pub fn setbit(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let offset = parse_offset(&args[2])?;
    let on = match args[3].as_slice() {
        b"0" => false,
        b"1" => true,
        _ => return Err(error("bit is not an integer or out of range")),
    };
    context.write(|writing| Ok(integer(bitmap::set(writing, &args[1], offset, on)?.into())))
}

/// Reads `[start [end [BYTE|BIT]]]`.
fn window(args: &[Vec<u8>]) -> Result<BitRange, Refusal> {
    let mut window = BitRange::ALL;
    if let Some(start) = args.first() {
        window.start = parse_integer(start)?;
    }
    if let Some(end) = args.get(1) {
        window.end = Some(parse_integer(end)?);
    }
    match args.get(2) {
        None => {}
        Some(unit) if is(unit, "bit") => window.in_bits = true,
        Some(unit) if is(unit, "byte") => {}
        Some(_) => return Err(Refusal::syntax()),
    }
    if args.len() > 3 { Err(Refusal::syntax()) } else { Ok(window) }
}

pub fn bitcount(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if args.len() == 3 {
        return Err(Refusal::syntax());
    }
    let window = window(&args[2..])?;
    context.view(|reading| Ok(integer(bitmap::count(reading, &args[1], window)?)))
}

pub fn bitpos(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let window = window(&args[3..])?;
    let on = match parse_integer(&args[2])? {
        0 => false,
        1 => true,
        _ => return Err(error("The bit argument must be 1 or 0.")),
    };
    context.view(|reading| Ok(bitmap::position(reading, &args[1], on, window)?.map_or(Reply::Integer(-1), integer)))
}

pub fn bitop(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let all = [BitOperation::And, BitOperation::Or, BitOperation::Xor, BitOperation::Not];
    let operation = all.into_iter().find(|operation| is(&args[1], operation.name())).ok_or_else(Refusal::syntax)?;
    if operation == BitOperation::Not && args.len() != 4 {
        return Err(error("BITOP NOT must be called with a single source key."));
    }
    context.write(|writing| Ok(integer(bitmap::combine(writing, operation, &args[2], &args[3..])?)))
}

fn parse_field(bytes: &[u8]) -> Result<Field, Refusal> {
    let field = bytes.split_first().and_then(|(sign, width)| {
        let signed = match sign {
            b'i' | b'I' => true,
            b'u' | b'U' => false,
            _ => return None,
        };
        let width = parse_integer(width).ok().and_then(|width| u32::try_from(width).ok())?;
        (1..=if signed { 64 } else { 63 }).contains(&width).then_some(Field { signed, width })
    });
    field.ok_or_else(|| {
        error("Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
    })
}

/// The offset of a field: in bits, or with `#` in fields of its width.
fn parse_field_offset(bytes: &[u8], field: Field) -> Result<u32, Refusal> {
    let (number, unit) = match bytes.strip_prefix(b"#") {
        Some(number) => (number, i64::from(field.width)),
        None => (bytes, 1),
    };
    let offset = parse_integer(number).ok().and_then(|offset| offset.checked_mul(unit));
    let offset = offset.and_then(|offset| u32::try_from(offset).ok());
    let offset = offset.filter(|offset| offset.checked_add(field.width - 1).is_some());
    offset.ok_or_else(|| error("bit offset is not an integer or out of range"))
}

fn parse_steps(mut args: &[Vec<u8>]) -> Result<Vec<FieldStep>, Refusal> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    while let Some((word, rest)) = args.split_first() {
        if is(word, "overflow") {
            let (how, after) = rest.split_first().ok_or_else(Refusal::syntax)?;
            overflow = match how {
                _ if is(how, "wrap") => Overflow::Wrap,
                _ if is(how, "sat") => Overflow::Saturate,
                _ if is(how, "fail") => Overflow::Fail,
                _ => return Err(error("Invalid OVERFLOW type specified")),
            };
            args = after;
            continue;
        }
        let (place, after) = rest.split_at_checked(2).ok_or_else(Refusal::syntax)?;
        let field = parse_field(&place[0])?;
        let offset = parse_field_offset(&place[1], field)?;
        args = after;
        let mut value = || {
            let (value, after) = args.split_first().ok_or_else(Refusal::syntax)?;
            args = after;
            parse_integer(value)
        };
        let action = if is(word, "get") {
            FieldAction::Get
        } else if is(word, "set") {
            FieldAction::Set(value()?, overflow)
        } else if is(word, "incrby") {
            FieldAction::Increment(value()?, overflow)
        } else {
            return Err(Refusal::syntax());
        };
        steps.push(FieldStep { field, offset, action });
    }
    Ok(steps)
}

/// BITFIELD and BITFIELD_RO.
pub fn bitfield(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let steps = parse_steps(&args[2..])?;
    let reads = steps.iter().all(|step| matches!(step.action, FieldAction::Get));
    if !reads && is(&args[0], "bitfield_ro") {
        return Err(error("BITFIELD_RO only supports the GET subcommand"));
    }
    let answers = if reads {
        context.view(|reading| Ok(bitmap::read_fields(reading, &args[1], &steps)?))?
    } else {
        context.write(|writing| Ok(bitmap::change_fields(writing, &args[1], &steps)?))?
    };
    Ok(Reply::Array(answers.into_iter().map(|answer| answer.map_or(Reply::Nil, Reply::Integer)).collect()))
}
