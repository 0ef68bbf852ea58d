//! Commands of Redis, and what they answer.

use std::mem::MaybeUninit;

use super::argument::{array, given, hand_out, place};
use super::bytes::pumice_bytes;
use super::error::{call, free, pumice_error, pumice_status};
use super::namespace::pumice_namespace;
use super::snapshot::pumice_snapshot_namespace;
use crate::{Reply, Result};

/// What a reply is.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum pumice_reply_type {
    /// No value: `nil`.
    PUMICE_REPLY_NIL = 0,
    PUMICE_REPLY_INTEGER = 1,
    PUMICE_REPLY_BYTES = 2,
    /// A short text, like `OK`.
    PUMICE_REPLY_STATUS = 3,
    /// The text of an error. Only as an element: a command that fails has no reply.
    PUMICE_REPLY_ERROR = 4,
    PUMICE_REPLY_ARRAY = 5,
}

use pumice_reply_type::*;

/// What a command answered. It holds no data of the engine open.
pub struct pumice_reply {
    kind: pumice_reply_type,
    integer: i64,
    bytes: Vec<u8>,
    elements: Vec<pumice_reply>,
}

impl From<Reply> for pumice_reply {
    fn from(reply: Reply) -> pumice_reply {
        let mut made = pumice_reply { kind: PUMICE_REPLY_NIL, integer: 0, bytes: Vec::new(), elements: Vec::new() };
        made.kind = match reply {
            Reply::Nil | Reply::NilArray => PUMICE_REPLY_NIL,
            Reply::Integer(number) => {
                made.integer = number;
                PUMICE_REPLY_INTEGER
            }
            Reply::Bulk(bytes) => {
                made.bytes = bytes;
                PUMICE_REPLY_BYTES
            }
            Reply::Simple(text) => {
                made.bytes = text.into_bytes();
                PUMICE_REPLY_STATUS
            }
            Reply::Error(text) => {
                made.bytes = text.into_bytes();
                PUMICE_REPLY_ERROR
            }
            Reply::Array(elements) => {
                made.elements = elements.into_iter().map(pumice_reply::from).collect();
                PUMICE_REPLY_ARRAY
            }
            rich => return pumice_reply::from(rich.plain()),
        };
        made
    }
}

/// Runs a command of Redis on the keys of a namespace, in this process: `args` are `count` words, the name of the command
/// first. What a Redis would answer is the reply. A command is one entry of the log at most, durable as the engine was
/// opened.
///
/// On the default namespace it may do what an admin of a listener may: CONFIG, NAMESPACE, REPLICAOF. Commands that belong
/// to a connection (AUTH, MULTI, SUBSCRIBE) answer PUMICE_UNSUPPORTED. One that waits (BLPOP and its kin, XREAD BLOCK,
/// XREADGROUP BLOCK) waits no time here, whatever time-out it names: where there is nothing it answers at once what it would
/// answer when that is over, PUMICE_REPLY_NIL. Who must wait asks a listener.
///
/// An error reply is an error with the server's words as its message: PUMICE_WRONG_TYPE, PUMICE_READ_ONLY, else of the
/// kind that the failure has, and PUMICE_INVALID_ARGUMENT for what is wrong with the command itself.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_execute(
    ns: Option<&pumice_namespace>,
    args: *const pumice_bytes,
    count: usize,
    reply: Option<&mut MaybeUninit<*mut pumice_reply>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    // SAFETY: the array has `count` elements, each NULL or readable for its size.
    unsafe { execute(args, count, reply, error, |args| given(ns, "ns")?.0.execute(args)) }
}

/// Runs a command of Redis that only reads, like HGETALL or SCAN, on the keys as they were then: as
/// pumice_namespace_execute does. One that may write answers PUMICE_READ_ONLY, also where it would not: SORT, GEORADIUS and
/// BITFIELD have a form with _RO that does not. One about the engine or a connection, like INFO, answers PUMICE_UNSUPPORTED.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespace_execute(
    ns: Option<&pumice_snapshot_namespace>,
    args: *const pumice_bytes,
    count: usize,
    reply: Option<&mut MaybeUninit<*mut pumice_reply>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    // SAFETY: the array has `count` elements, each NULL or readable for its size.
    unsafe { execute(args, count, reply, error, |args| given(ns, "ns")?.0.execute(args)) }
}

/// Has a command run, and hands out its reply.
///
/// # Safety
/// The array has `count` elements, each NULL or readable for its size.
unsafe fn execute(
    args: *const pumice_bytes,
    count: usize,
    reply: Option<&mut MaybeUninit<*mut pumice_reply>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
    run: impl FnOnce(&[&[u8]]) -> Result<Reply>,
) -> pumice_status {
    call(error, || {
        let place = place(reply, "reply")?;
        // SAFETY: the caller's promise.
        let args =
            unsafe { array(args, count, "args")?.iter().map(|arg| arg.get("args")).collect::<Result<Vec<_>>>() }?;
        hand_out(place, pumice_reply::from(run(&args)?));
        Ok(())
    })
}

/// What a reply is; PUMICE_REPLY_NIL of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_reply_kind(reply: Option<&pumice_reply>) -> pumice_reply_type {
    reply.map_or(PUMICE_REPLY_NIL, |reply| reply.kind)
}

/// The number of a PUMICE_REPLY_INTEGER; 0 of every other.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_reply_integer(reply: Option<&pumice_reply>) -> i64 {
    reply.map_or(0, |reply| reply.integer)
}

/// The bytes of a PUMICE_REPLY_BYTES, the text of a status or an error, lent until the reply is freed; without `data` of
/// every other.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_reply_bytes(reply: Option<&pumice_reply>) -> pumice_bytes {
    let text =
        reply.filter(|reply| matches!(reply.kind, PUMICE_REPLY_BYTES | PUMICE_REPLY_STATUS | PUMICE_REPLY_ERROR));
    pumice_bytes::lend_optional(text.map(|reply| reply.bytes.as_slice()))
}

/// How many elements a PUMICE_REPLY_ARRAY has; 0 of every other.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_reply_count(reply: Option<&pumice_reply>) -> usize {
    reply.map_or(0, |reply| reply.elements.len())
}

/// An element, lent until the whole reply is freed, and not to be freed itself; NULL when there is none at that index.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_reply_at(reply: Option<&pumice_reply>, index: usize) -> Option<&pumice_reply> {
    reply.and_then(|reply| reply.elements.get(index))
}

/// Frees a reply with all its elements.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_reply_free(reply: Option<Box<pumice_reply>>) {
    free(reply);
}
