//! Telling a replica to become the primary: one conversation.

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::resp::{Limits, Reply, ReplyParser, encode_request};

/// The conversation: a password where there is one, then `REPLICAOF NO ONE`.
pub struct Promote {
    request: Vec<u8>,
    parser: ReplyParser,
    awaited: usize,
}

impl Promote {
    pub fn new(password: Option<&str>) -> Promote {
        let auth = password.map(|password| encode_request(&[b"AUTH", password.as_bytes()]));
        let promote = encode_request(&[b"REPLICAOF", b"NO", b"ONE"]);
        let awaited = 1 + usize::from(auth.is_some());
        let request = [auth.unwrap_or_default(), promote].concat();
        Promote { request, parser: ReplyParser::new(Limits::default()), awaited }
    }

    /// What to send.
    pub fn request(&self) -> Vec<u8> {
        self.request.clone()
    }

    /// Bytes of the replica. `true` once it has agreed; an error when it has not.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<bool> {
        self.parser.push(bytes);
        while let Some(reply) = self.parser.next()? {
            match reply {
                Reply::Simple(_) if self.awaited > 0 => self.awaited -= 1,
                Reply::Error(text) => {
                    return Err(Error::new(ErrorKind::Busy, format!("promotion: the replica says \"{text}\"")));
                }
                other => {
                    let message = format!("promotion: got {other:?}, expected OK");
                    return Err(Error::new(ErrorKind::Corruption, message));
                }
            }
        }
        Ok(self.awaited == 0)
    }
}
