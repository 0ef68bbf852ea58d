//! Bits of a byte string, most significant first, as Redis counts them. Kvrocks' bitmaps are kept in fragments of
//! 1024 bytes with the least significant bit first: turned around byte by byte they are read by the same functions.
//! Kvrocks: redis_bitmap.cc, ExpandBitmapSegment; the sub part is the fragment's byte offset in decimal.

/// The bytes of one fragment.
pub const FRAGMENT: usize = 1024;

/// The most bytes that a bitmap can have: offsets of bits are 32 bits.
pub const MAX_BITMAP: u64 = 512 << 20;

/// The sub part of a fragment's key.
pub fn fragment_sub(index: u64) -> Vec<u8> {
    index.saturating_mul(FRAGMENT as u64).to_string().into_bytes()
}

/// The fragment's number of a sub part; `None` for what Kvrocks would not have written.
pub fn fragment_index(sub: &[u8]) -> Option<u64> {
    let offset: u64 = std::str::from_utf8(sub).ok()?.parse().ok()?;
    let index = offset / FRAGMENT as u64;
    (fragment_sub(index) == sub && offset < MAX_BITMAP).then_some(index)
}

/// Turns a fragment from one order of bits into the other. Bytes beyond a fragment's end are no part of it.
pub fn turned(fragment: &[u8]) -> Vec<u8> {
    fragment.iter().take(FRAGMENT).map(|byte| byte.reverse_bits()).collect()
}

/// The length to which Kvrocks grows a fragment that must hold `needed` bytes: it doubles, up to a whole fragment.
pub fn grown(length: usize, needed: usize) -> usize {
    if needed <= length { length } else { needed.max((length * 2).min(FRAGMENT)) }
}

/// The bit at an offset; 0 behind the end.
pub fn bit(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / 8).ok().and_then(|at| bytes.get(at));
    byte.is_some_and(|byte| byte >> (7 - offset % 8) & 1 == 1)
}

/// Sets the bit at an offset that the bytes have.
pub fn set_bit(bytes: &mut [u8], offset: u64, on: bool) {
    let mask = 1u8 << (7 - offset % 8);
    if let Some(byte) = usize::try_from(offset / 8).ok().and_then(|at| bytes.get_mut(at)) {
        if on { *byte |= mask } else { *byte &= !mask }
    }
}

/// How many bits are set from one offset to another, both included, of those that the bytes have.
pub fn count(bytes: &[u8], from: u64, to: u64) -> u64 {
    let Some((first, last, head, tail)) = span(bytes, from, to) else { return 0 };
    let of = |range: &[u8]| range.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
    let whole = of(bytes.get(first..=last).unwrap_or_default());
    let edge = |at: usize, mask: u8| u64::from((bytes.get(at).copied().unwrap_or_default() & mask).count_ones());
    whole - edge(first, !head) - edge(last, !tail)
}

/// The first bit that is `on`, from one offset to another, both included, of those that the bytes have.
pub fn position(bytes: &[u8], on: bool, from: u64, to: u64) -> Option<u64> {
    let (first, last, head, tail) = span(bytes, from, to)?;
    for (at, &byte) in bytes.iter().enumerate().take(last + 1).skip(first) {
        let mut found = if on { byte } else { !byte };
        if at == first {
            found &= head;
        }
        if at == last {
            found &= tail;
        }
        if found != 0 {
            return Some(at as u64 * 8 + u64::from(found.leading_zeros()));
        }
    }
    None
}

/// The first and the last byte of a range of bits, and the masks of its bits in them.
fn span(bytes: &[u8], from: u64, to: u64) -> Option<(usize, usize, u8, u8)> {
    let end = (bytes.len() as u64 * 8).checked_sub(1)?;
    let (to, tail) = if to > end { (end, 0xFF) } else { (to, 0xFFu8 << (7 - to % 8)) };
    (from <= to).then_some((from as usize / 8, to as usize / 8, 0xFF >> (from % 8), tail))
}

/// The width and sign of an integer in a bit field: 1 to 64 bits with a sign, 1 to 63 without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub signed: bool,
    pub width: u32,
}

/// What happens to a number that does not fit into its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

impl Field {
    /// Reads the field from its bits, most significant first.
    pub fn read(self, bit: impl Fn(u64) -> bool) -> i64 {
        let raw = (0..u64::from(self.width)).fold(0u64, |value, at| value << 1 | u64::from(bit(at)));
        self.extend(raw)
    }

    /// The bits of a number in this field, most significant first.
    pub fn bits(self, value: i64) -> impl Iterator<Item = bool> {
        (0..self.width).rev().map(move |at| value >> at & 1 == 1)
    }

    fn extend(self, raw: u64) -> i64 {
        if self.signed {
            let spare = 64 - self.width;
            ((raw << spare) as i64) >> spare
        } else {
            raw as i64
        }
    }

    fn least(self) -> i128 {
        if self.signed { -(1 << (self.width - 1)) } else { 0 }
    }

    fn most(self) -> i128 {
        if self.signed { (1 << (self.width - 1)) - 1 } else { (1 << self.width) - 1 }
    }

    /// The number as the field holds it; `None` when it does not fit and must not be changed.
    pub fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        if (self.least()..=self.most()).contains(&value) {
            return i64::try_from(value).ok();
        }
        match overflow {
            Overflow::Fail => None,
            Overflow::Saturate => i64::try_from(value.clamp(self.least(), self.most())).ok(),
            Overflow::Wrap => Some(self.extend(value as u64 & (u64::MAX >> (64 - self.width)))),
        }
    }

    /// What SET stores: the value is taken as 64 bits of a number of the field's own sign, as Redis does.
    pub fn set(self, value: i64, overflow: Overflow) -> Option<i64> {
        let wide = if self.signed { i128::from(value) } else { i128::from(value as u64) };
        self.fit(wide, overflow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits are found, counted and set where Redis counts them, at every edge.
    #[test]
    fn ranges() {
        let bytes = [0b0000_0001u8, 0xFF, 0b1000_0000];
        for from in 0..26u64 {
            for to in 0..30u64 {
                let inside = || (from..=to).filter(|&at| at < 24);
                assert_eq!(count(&bytes, from, to), inside().filter(|&at| bit(&bytes, at)).count() as u64);
                for on in [false, true] {
                    assert_eq!(position(&bytes, on, from, to), inside().find(|&at| bit(&bytes, at) == on));
                }
            }
        }
        assert_eq!((count(&[], 0, 7), position(&[], false, 0, 7)), (0, None));
        let mut out = [0; 2];
        set_bit(&mut out, 7, true);
        set_bit(&mut out, 8, true);
        set_bit(&mut out, 99, true);
        assert_eq!(out, [1, 0x80]);
    }

    /// Fragments grow as Kvrocks grows them, and are named by their byte offset.
    #[test]
    fn fragments() {
        for (length, needed, expected) in
            [(0, 1, 1), (1, 1, 1), (1, 2, 2), (13, 14, 26), (13, 1024, 1024), (600, 601, 1024), (5, 40, 40)]
        {
            assert_eq!(grown(length, needed), expected);
        }
        assert_eq!(fragment_sub(24), b"24576");
        assert_eq!(fragment_index(b"24576"), Some(24));
        for bad in [&b""[..], b"1", b"01024", b"-1024", b"1024x", b"99999999999999999999", b"536870912"] {
            assert_eq!(fragment_index(bad), None);
        }
        assert_eq!(turned(&[1, 0xF0]), [0x80, 0x0F]);
    }

    /// Numbers that do not fit wrap, stop at the edge, or are refused.
    #[test]
    fn overflow() {
        let u8_ = Field { signed: false, width: 8 };
        let i8_ = Field { signed: true, width: 8 };
        assert_eq!(u8_.fit(257, Overflow::Wrap), Some(1));
        assert_eq!(u8_.fit(257, Overflow::Saturate), Some(255));
        assert_eq!(u8_.fit(-1, Overflow::Saturate), Some(0));
        assert_eq!(u8_.fit(256, Overflow::Fail), None);
        assert_eq!(i8_.fit(128, Overflow::Wrap), Some(-128));
        assert_eq!(i8_.fit(-200, Overflow::Saturate), Some(-128));
        assert_eq!(u8_.set(-1, Overflow::Saturate), Some(255));
        for field in [u8_, i8_, Field { signed: true, width: 64 }, Field { signed: false, width: 63 }] {
            for value in [0i64, 1, 100, -1, i64::MAX, i64::MIN] {
                let Some(kept) = field.fit(value.into(), Overflow::Wrap) else { panic!("{field:?} {value}") };
                let bits: Vec<bool> = field.bits(kept).collect();
                assert_eq!(field.read(|at| bits[at as usize]), kept);
            }
        }
    }
}
