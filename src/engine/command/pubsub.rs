//! Messages: PUBLISH and PUBSUB. Who subscribes has a connection.

use super::{Answer, Context, Refusal, bulk, bulks, error, integer, is};
use crate::engine::error::ErrorKind;
use crate::engine::format::batch::PUBSUB;
use crate::engine::format::resp::Reply;

/// On a primary the message is an entry of the log, and whoever takes the entry gives it to those who listen there. On a
/// replica it stays there, as with a Kvrocks.
pub fn publish(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (channel, message) = (&args[1], &args[2]);
    let channels = &context.namespace.instance().channels;
    let receivers = channels.receivers(channel);
    match context.write(|writing| Ok(writing.put(PUBSUB, channel, message)?)) {
        Ok(()) => Ok(integer(receivers as u64)),
        Err(Refusal::Engine(e)) if e.kind() == ErrorKind::ReadOnly => {
            Ok(integer(channels.publish(channel, message) as u64))
        }
        Err(refusal) => Err(refusal),
    }
}

pub fn pubsub(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let channels = &context.namespace.instance().channels;
    match args {
        [_, names] if is(names, "channels") => Ok(bulks(channels.names(None))),
        [_, names, pattern] if is(names, "channels") => Ok(bulks(channels.names(Some(pattern)))),
        [_, numpat] if is(numpat, "numpat") => Ok(integer(channels.patterns() as u64)),
        [_, numsub, names @ ..] if is(numsub, "numsub") => {
            let counted =
                names.iter().flat_map(|name| [bulk(name.clone()), integer(channels.subscribers(name) as u64)]);
            Ok(Reply::Array(counted.collect()))
        }
        _ => Err(error("Unknown subcommand or wrong number of arguments")),
    }
}
