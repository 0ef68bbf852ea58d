//! The primary's end after PSYNC was accepted: entries as frames, and acknowledgements.

use super::Peer;
use super::frame::{GET_ACK, HEARTBEAT, PING, append_frame};
use super::handshake::parse_sequence;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::Batch;
use crate::engine::format::resp::{Limits, RequestParser};
use crate::engine::format::state::Epoch;

/// After how long without a frame a Kvrocks is told that one is still there, as its own primaries do.
const PING_INTERVAL_MS: u64 = 2_000;
/// How often a Pumice is told where the primary is.
const HEARTBEAT_INTERVAL_MS: u64 = 1_000;
/// Acknowledgements are short, and nothing else has to be understood.
const REQUESTS: Limits = Limits { count: 64, bulk: 4 << 10, line: 4 << 10, inline: false, total: 16 << 10, depth: 1 };

/// One running feed.
pub struct Feed {
    peer: Peer,
    requests: RequestParser,
    /// The first sequence of the next entry.
    next: u64,
    /// When the last ping or heartbeat was due; a Kvrocks' frames move it as well.
    told_ms: u64,
    framed: bool,
    acked: Option<u64>,
    durable: Option<u64>,
    last_ack_ms: Option<u64>,
    /// The epoch under which the primary writes, and of which dataset: a heartbeat tells it.
    pub epoch: Option<(Epoch, String)>,
}

impl Feed {
    pub fn new(peer: Peer, next: u64, now_ms: u64) -> Feed {
        Feed {
            peer,
            requests: RequestParser::new(REQUESTS),
            next,
            told_ms: now_ms,
            framed: false,
            acked: None,
            durable: None,
            last_ack_ms: None,
            epoch: None,
        }
    }

    /// Frames the next entry.
    pub fn entry(&mut self, first: u64, last: u64, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let (sequence, count) = Batch::head(bytes)?;
        if (first, sequence) != (self.next, self.next) || count == 0 || first + u64::from(count) - 1 != last {
            let message = format!(
                "feed: got an entry of {first} to {last} whose batch is of {count} records from {sequence}, expected one from {} on",
                self.next
            );
            return Err(Error::new(ErrorKind::Internal, message));
        }
        append_frame(out, bytes);
        self.next = last + 1;
        self.framed = true;
        Ok(())
    }

    /// Bytes of the replica.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8]) -> Result<()> {
        self.requests.push(bytes);
        while let Some(args) = self.requests.next()? {
            // Whatever else a later replica says needs no answer.
            if let [command, option, applied, rest @ ..] = args.as_slice()
                && command.eq_ignore_ascii_case(b"replconf")
                && option.eq_ignore_ascii_case(b"ack")
            {
                let applied = self.acknowledged(applied)?;
                let durable = rest.first().map(|durable| self.acknowledged(durable)).transpose()?;
                self.acked = self.acked.max(Some(applied));
                self.durable = self.durable.max(durable);
                self.last_ack_ms = Some(now_ms);
            }
        }
        Ok(())
    }

    fn acknowledged(&self, digits: &[u8]) -> Result<u64> {
        let sequence = parse_sequence(digits).filter(|&sequence| sequence < self.next);
        sequence.ok_or_else(|| {
            let message =
                format!("acknowledgement: got {}, expected a sequence of at most {}", shown(digits), self.sent());
            Error::new(ErrorKind::InvalidArgument, message)
        })
    }

    /// To be called after entries were framed, and at `next_tick_ms`. The primary is at `latest`.
    pub fn tick(&mut self, now_ms: u64, latest: u64, out: &mut Vec<u8>) {
        match self.peer {
            Peer::Kvrocks => {
                if std::mem::take(&mut self.framed) {
                    self.told_ms = now_ms;
                } else if now_ms >= self.next_tick_ms() {
                    append_frame(out, PING);
                    self.told_ms = now_ms;
                }
            }
            Peer::Pumice => {
                if now_ms >= self.next_tick_ms() {
                    let told = self.epoch.as_ref();
                    let epoch = told.map(|(epoch, origin)| format!(" epoch {epoch} origin {origin}"));
                    let words = format!("latest {latest}{}", epoch.unwrap_or_default());
                    append_frame(out, &[HEARTBEAT, words.as_bytes()].concat());
                    self.told_ms = now_ms;
                }
            }
        }
    }

    /// When `tick` has something to do, if nothing else happens.
    pub fn next_tick_ms(&self) -> u64 {
        let interval = match self.peer {
            Peer::Kvrocks => PING_INTERVAL_MS,
            Peer::Pumice => HEARTBEAT_INTERVAL_MS,
        };
        self.told_ms.saturating_add(interval)
    }

    /// Asks for an acknowledgement. Not of a Kvrocks that has never sent one: it would take the question for a batch.
    pub fn want_ack(&mut self, out: &mut Vec<u8>) {
        if self.peer == Peer::Pumice || self.acked.is_some() {
            append_frame(out, GET_ACK);
        }
    }

    /// The last sequence that was framed.
    pub fn sent(&self) -> u64 {
        self.next - 1
    }

    /// The last sequence that the replica says it has applied.
    pub fn acked(&self) -> Option<u64> {
        self.acked
    }

    /// The last sequence that the replica says will survive a power cut.
    pub fn durable(&self) -> Option<u64> {
        self.durable
    }

    /// When the last acknowledgement came.
    pub fn last_ack_ms(&self) -> Option<u64> {
        self.last_ack_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::batch::{BatchBuilder, METADATA};
    use crate::engine::format::resp::encode_request;

    fn batch(first: u64, count: u64) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        (0..count).for_each(|n| builder.put(METADATA, &n.to_le_bytes(), b"v"));
        builder.finish(first)
    }

    /// Entries are framed in order and nothing else is.
    #[test]
    fn in_order() {
        let mut feed = Feed::new(Peer::Kvrocks, 5, 0);
        let mut out = Vec::new();
        assert_eq!(feed.sent(), 4);
        feed.entry(5, 7, &batch(5, 3), &mut out).unwrap();
        let expected = [b"$51\r\n".as_slice(), &batch(5, 3), b"\r\n"].concat();
        assert_eq!((out.as_slice(), feed.sent()), (expected.as_slice(), 7));
        for (first, last, bytes) in
            [(5, 7, batch(5, 3)), (9, 9, batch(9, 1)), (8, 8, batch(9, 1)), (8, 9, batch(8, 1)), (8, 7, batch(8, 0))]
        {
            let error = feed.entry(first, last, &bytes, &mut out).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
        }
        assert!(feed.entry(8, 8, b"short", &mut out).is_err());
        assert_eq!((out, feed.sent()), (expected, 7));
    }

    /// A Kvrocks is pinged after two seconds without a frame, a Pumice hears each second where the primary is.
    #[test]
    fn signs_of_life() {
        let mut feed = Feed::new(Peer::Kvrocks, 1, 100);
        let mut out = Vec::new();
        assert_eq!(feed.next_tick_ms(), 2_100);
        feed.tick(2_099, 0, &mut out);
        assert!(out.is_empty());
        feed.tick(2_100, 0, &mut out);
        assert_eq!(out, b"$4\r\nping\r\n");
        assert_eq!(feed.next_tick_ms(), 4_100);
        feed.entry(1, 1, &batch(1, 1), &mut out).unwrap();
        out.clear();
        feed.tick(4_000, 1, &mut out);
        assert_eq!((out.as_slice(), feed.next_tick_ms()), (b"".as_slice(), 6_000));

        let mut feed = Feed::new(Peer::Pumice, 1, 100);
        feed.entry(1, 1, &batch(1, 1), &mut out).unwrap();
        out.clear();
        feed.tick(1_100, 7, &mut out);
        assert_eq!(out, b"$16\r\n_pumice latest 7\r\n");
        assert_eq!(feed.next_tick_ms(), 2_100);
        out.clear();
        feed.epoch = Some((Epoch { number: 3, id: "ABCDEFGHIJKLMNOP".into() }, "0123456789ABCDEF".into()));
        feed.tick(2_100, 7, &mut out);
        assert_eq!(out, b"$65\r\n_pumice latest 7 epoch 3:ABCDEFGHIJKLMNOP origin 0123456789ABCDEF\r\n");
    }

    /// Acknowledgements are taken as far as something was sent, and never go back.
    #[test]
    fn acknowledgements() {
        let mut feed = Feed::new(Peer::Pumice, 1, 0);
        feed.entry(1, 9, &batch(1, 9), &mut Vec::new()).unwrap();
        assert_eq!((feed.acked(), feed.durable(), feed.last_ack_ms()), (None, None, None));
        let bytes = [
            encode_request(&[b"replconf", b"ack", b"7", b"5"]),
            encode_request(&[b"something", b"else"]),
            encode_request(&[b"REPLCONF", b"ACK", b"6"]),
        ]
        .concat();
        for (now, byte) in bytes.iter().enumerate() {
            feed.receive(now as u64, &[*byte]).unwrap();
        }
        assert_eq!((feed.acked(), feed.durable()), (Some(7), Some(5)));
        assert_eq!(feed.last_ack_ms(), Some(bytes.len() as u64 - 1));
        for bad in [
            encode_request(&[b"replconf", b"ack", b"10"]),
            encode_request(&[b"replconf", b"ack", b"7", b"10"]),
            encode_request(&[b"replconf", b"ack", b"-1"]),
            encode_request(&[b"replconf", b"ack", b"18446744073709551616"]),
            b"hello\r\n".to_vec(),
            b"*1000\r\n".to_vec(),
            b"*1\r\n$9999999\r\n".to_vec(),
        ] {
            let mut feed = Feed::new(Peer::Pumice, 10, 0);
            assert_eq!(feed.receive(0, &bad).unwrap_err().kind(), ErrorKind::InvalidArgument, "{}", shown(&bad));
        }
    }

    /// A Kvrocks is asked for an acknowledgement only once it has shown that it sends them.
    #[test]
    fn asking() {
        let mut out = Vec::new();
        let mut feed = Feed::new(Peer::Kvrocks, 10, 0);
        feed.want_ack(&mut out);
        assert!(out.is_empty());
        feed.receive(0, &encode_request(&[b"replconf", b"ack", b"9"])).unwrap();
        feed.want_ack(&mut out);
        Feed::new(Peer::Pumice, 10, 0).want_ack(&mut out);
        assert_eq!(out, b"$7\r\n_getack\r\n$7\r\n_getack\r\n");
    }
}
