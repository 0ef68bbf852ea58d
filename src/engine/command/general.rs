//! Commands about nothing in particular: PING, ECHO, SELECT, TIME.

use super::{Answer, Context, Refusal, bulk, bulks, ok};
use crate::engine::clock::now_us;
use crate::engine::format::resp::Reply;

pub fn ping(_: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    match args {
        [_] => Ok(Reply::Simple("PONG".into())),
        [_, message] => Ok(bulk(message.clone())),
        _ => Err(Refusal::arity()),
    }
}

pub fn echo(_: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    Ok(bulk(args[1].clone()))
}

/// As in Kvrocks, whose namespaces go with the token: whatever the number, nothing happens.
pub fn select(_: &Context<'_>, _: &[Vec<u8>]) -> Answer {
    Ok(ok())
}

pub fn time(_: &Context<'_>, _: &[Vec<u8>]) -> Answer {
    let now = now_us();
    Ok(bulks([(now / 1_000_000).to_string(), (now % 1_000_000).to_string()]))
}
