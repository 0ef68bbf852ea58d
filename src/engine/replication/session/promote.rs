//! Telling a replica to become the primary: one conversation.

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::resp::{Limits, Reply, ReplyParser, encode_request};

/// What the replica said.
#[derive(Debug)]
pub enum Said {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Nothing whole yet.
    More,
    /// It is the primary now.
    Yes,
    /// It refused before it changed anything.
    No(Error),
}

/// The conversation: a password where there is one, and behind its answer `REPLICAOF NO ONE`.
pub struct Promote {
    parser: ReplyParser,
    authenticating: bool,
}

impl Promote {
    /// A conversation, and how it begins.
    pub fn begin(password: Option<&str>) -> (Promote, Vec<u8>) {
        let promote = Promote { parser: ReplyParser::new(Limits::default()), authenticating: password.is_some() };
        let first = password.map_or_else(order, |password| encode_request(&[b"AUTH", password.as_bytes()]));
        (promote, first)
    }

    /// Bytes of the replica. An error when it cannot be told what it did.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Said> {
        self.parser.push(bytes);
        let Some(reply) = self.parser.next()? else { return Ok(Said::More) };
        let refused = |text: &str| Error::new(ErrorKind::Busy, format!("promotion: the replica says \"{text}\""));
        match reply {
            Reply::Simple(_) if !self.authenticating => Ok(Said::Yes),
            Reply::Simple(_) => {
                self.authenticating = false;
                Ok(Said::Send(order()))
            }
            // It asks nobody for a password.
            Reply::Error(text) if self.authenticating && text.contains("no password is set") => {
                self.authenticating = false;
                Ok(Said::Send(order()))
            }
            Reply::Error(text) if self.authenticating => Ok(Said::No(refused(&text))),
            // Of other refusals nobody knows how far it had got.
            Reply::Error(text) if text.starts_with("NOAUTH") || text.contains("permission") => {
                Ok(Said::No(refused(&text)))
            }
            Reply::Error(text) => Err(refused(&text)),
            other => Err(Error::new(ErrorKind::Corruption, format!("promotion: got {other:?}, expected OK"))),
        }
    }
}

fn order() -> Vec<u8> {
    encode_request(&[b"REPLICAOF", b"NO", b"ONE"])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refused password promotes nobody; none where none is wanted does not matter; only a refusal from before any change
    /// is a no.
    #[test]
    fn answers() {
        let (mut promote, first) = Promote::begin(Some("pw"));
        assert!(first.windows(4).any(|word| word == b"AUTH") && !first.windows(9).any(|word| word == b"REPLICAOF"));
        assert!(matches!(promote.receive(b"-ERR invalid password\r\n"), Ok(Said::No(_))));
        let (mut promote, _) = Promote::begin(Some("pw"));
        let said = promote.receive(b"-ERR Client sent AUTH, but no password is set\r\n");
        assert!(matches!(said, Ok(Said::Send(order)) if order.windows(9).any(|word| word == b"REPLICAOF")));
        assert!(matches!(promote.receive(b"+O"), Ok(Said::More)));
        assert!(matches!(promote.receive(b"K\r\n"), Ok(Said::Yes)));
        let (mut promote, first) = Promote::begin(None);
        assert!(first.windows(9).any(|word| word == b"REPLICAOF"));
        assert!(matches!(promote.receive(b"-NOAUTH Authentication required.\r\n"), Ok(Said::No(_))));
        let (mut promote, _) = Promote::begin(None);
        assert!(promote.receive(b"-ERR promotion failed half way\r\n").is_err());
    }
}
