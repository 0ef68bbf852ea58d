//! Commands on HyperLogLogs.

use super::{Answer, Context, integer, ok};
use crate::engine::types::hyperloglog;

pub fn pfadd(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| Ok(integer(hyperloglog::add(writing, &args[1], &args[2..])?.into())))
}

pub fn pfcount(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.view(|reading| Ok(integer(hyperloglog::count(reading, &args[1..])?)))
}

pub fn pfmerge(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| {
        hyperloglog::merge(writing, &args[1], &args[2..])?;
        Ok(ok())
    })
}
