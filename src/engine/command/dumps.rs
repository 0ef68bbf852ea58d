//! DUMP and RESTORE.

use super::{Answer, Context, Refusal, bulk, error, is, ok, parse_integer};
use crate::engine::clock::now_ms;
use crate::engine::format::dump::{decode_dump, encode_dump};
use crate::engine::format::resp::Reply;
use crate::engine::types::{dump, keys};

pub fn dump(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let object = context.view(|reading| Ok(dump::read(reading, &args[1])?))?;
    Ok(object.map_or(Reply::Nil, |object| bulk(encode_dump(&object))))
}

pub fn restore(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let ttl_ms = parse_integer(&args[2])?;
    let Ok(ttl_ms) = u64::try_from(ttl_ms) else { return Err(error("Invalid TTL value, must be >= 0")) };
    let (mut replace, mut absolute) = (false, false);
    let mut rest = args[4..].iter();
    while let Some(option) = rest.next() {
        if is(option, "replace") {
            replace = true;
        } else if is(option, "absttl") {
            absolute = true;
        } else if is(option, "idletime") || is(option, "freq") {
            // How Redis evicts; there is no eviction here.
            let number = parse_integer(rest.next().ok_or_else(Refusal::syntax)?)?;
            if number < 0 || (is(option, "freq") && number > 255) {
                return Err(error(format_args!("Invalid {} value", String::from_utf8_lossy(option).to_uppercase())));
            }
        } else {
            return Err(Refusal::syntax());
        }
    }
    let object = decode_dump(&args[3])?;
    let now = now_ms();
    let expire_ms = match (ttl_ms, absolute) {
        (0, _) => 0,
        (at, true) => at,
        (ttl, false) => now.checked_add(ttl).ok_or_else(|| error("Invalid TTL value, must be >= 0"))?,
    };
    context.write(|writing| {
        if expire_ms != 0 && expire_ms <= now {
            let there = writing.reading().metadata(&args[1])?.is_some();
            if there && !replace {
                return Err(error("target key name already exists."));
            }
            keys::delete(writing, &args[1])?;
            return Ok(ok());
        }
        match dump::write(writing, &args[1], &object, expire_ms, replace)? {
            true => Ok(ok()),
            false => Err(error("target key name already exists.")),
        }
    })
}
