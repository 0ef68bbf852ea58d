//! A network that cuts, stalls, repeats, swaps and damages. What is sent in one go is repeated or swapped as a whole: inside
//! of a value nobody could notice it.

use std::collections::VecDeque;

use crate::engine::format::fuzz::Random;

/// What may happen. A number is one in so many deliveries; none is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub cut: Option<usize>,
    pub stall: Option<usize>,
    pub repeat: Option<usize>,
    pub swap: Option<usize>,
    pub flip: Option<usize>,
    pub giant: Option<usize>,
    /// How often a request is answered with LOADING.
    pub loading: Option<usize>,
}

impl Faults {
    /// Whether other bytes may arrive than those that were sent.
    pub fn alters(&self) -> bool {
        [self.repeat, self.swap, self.flip, self.giant].iter().any(Option::is_some)
    }
}

pub fn happens(random: &mut Random, rate: Option<usize>) -> bool {
    rate.is_some_and(|rate| random.below(rate) == 0)
}

/// One direction of a connection.
#[derive(Default)]
pub struct Pipe {
    sends: VecDeque<Vec<u8>>,
    /// The first send was delivered in part.
    partial: bool,
    stalled_until_ms: u64,
    /// The sender sends nothing more.
    pub ended: bool,
    pub cut: bool,
}

impl Pipe {
    pub fn send(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() && !self.ended {
            self.sends.push_back(bytes);
        }
    }

    /// Whether the receiver has everything that it will get.
    pub fn is_over(&self) -> bool {
        self.cut || (self.ended && self.sends.is_empty())
    }

    /// The next piece.
    pub fn deliver(&mut self, now_ms: u64, random: &mut Random, faults: &Faults) -> Option<Vec<u8>> {
        if self.cut || now_ms < self.stalled_until_ms || self.sends.is_empty() {
            return None;
        }
        if happens(random, faults.stall) {
            self.stalled_until_ms = now_ms + random.below(60_000) as u64;
            return None;
        }
        if !self.partial {
            if happens(random, faults.repeat) {
                self.sends.push_front(self.sends[0].clone());
            }
            if happens(random, faults.swap) && self.sends.len() > 1 {
                self.sends.swap(0, 1);
            }
            if happens(random, faults.giant) {
                let giants: [&[u8]; 7] = [
                    b"$9223372036854775808\r\n",
                    b"$1073741824\r\n",
                    b"$536870912\r\n",
                    b"*1048576\r\n",
                    b"18446744073709551615\r\n",
                    &[b'9'; 70_000],
                    b"*2\r\n*2\r\n*2\r\n*2\r\n",
                ];
                self.sends.push_front(giants[random.below(giants.len())].to_vec());
            }
        }
        let mut bytes = self.sends.pop_front()?;
        self.partial = random.below(3) == 0 && bytes.len() > 1;
        if self.partial {
            let rest = bytes.split_off(1 + random.below(bytes.len() - 1));
            self.sends.push_front(rest);
        }
        if happens(random, faults.flip) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        if happens(random, faults.cut) {
            self.cut = true;
        }
        Some(bytes)
    }
}

/// A connection.
#[derive(Default)]
pub struct Connection {
    pub to_primary: Pipe,
    pub to_replica: Pipe,
}

impl Connection {
    pub fn is_cut(&self) -> bool {
        self.to_primary.cut || self.to_replica.cut
    }
}
