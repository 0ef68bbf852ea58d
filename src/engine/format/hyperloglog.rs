//! HyperLogLog: 16384 registers of six bits, dense, in 16 segments of 768 bytes; a missing segment is all zeros.
//! Kvrocks: types/hyperloglog.cc, redis_hyperloglog.cc. The hash is MurmurHash64A, the estimate is Ertl's
//! (arXiv:1702.01284), both as in Redis, so that the estimates are equal.

use crate::engine::error::{Error, ErrorKind, Result};

/// How many segments there are.
pub const SEGMENTS: usize = 16;
/// The bytes of one segment.
pub const SEGMENT: usize = 768;
const REGISTERS: usize = 1 << 14;
const PER_SEGMENT: usize = REGISTERS / SEGMENTS;
/// The bits of the hash that do not choose the register.
const HASH_BITS: usize = 50;

/// All registers, unpacked.
pub struct Registers(Vec<u8>);

impl Registers {
    pub fn empty() -> Registers {
        Registers(vec![0; REGISTERS])
    }

    /// Takes the larger of each register of a stored segment and its own.
    pub fn merge_segment(&mut self, segment: usize, bytes: &[u8]) -> Result<()> {
        if bytes.len() != SEGMENT {
            return Err(Error::new(
                ErrorKind::Corruption,
                format!("HyperLogLog segment {segment}: got {} bytes, expected {SEGMENT}", bytes.len()),
            ));
        }
        let own = self.0.iter_mut().skip(segment * PER_SEGMENT);
        for (at, own) in own.take(PER_SEGMENT).enumerate() {
            *own = (*own).max(register(bytes, at));
        }
        Ok(())
    }

    /// A segment as it is stored; `None` when it is all zeros.
    pub fn segment(&self, segment: usize) -> Option<Vec<u8>> {
        let registers = self.0.get(segment * PER_SEGMENT..(segment + 1) * PER_SEGMENT)?;
        if registers.iter().all(|&register| register == 0) {
            return None;
        }
        let mut bytes = vec![0; SEGMENT];
        for (at, &value) in registers.iter().enumerate() {
            let (byte, shift) = (at * 6 / 8, at * 6 % 8);
            let value = u16::from(value) << shift;
            for (byte, part) in bytes.iter_mut().skip(byte).zip(value.to_le_bytes()) {
                *byte |= part;
            }
        }
        Some(bytes)
    }

    /// Adds an element; the segment that changed, if one did.
    pub fn add(&mut self, element: &[u8]) -> Option<usize> {
        let hash = murmur64(element);
        let at = hash as usize % REGISTERS;
        let run = (hash >> 14 | 1 << HASH_BITS).trailing_zeros() as u8 + 1;
        let own = self.0.get_mut(at)?;
        (run > *own).then(|| {
            *own = run;
            at / PER_SEGMENT
        })
    }

    /// The estimated number of different elements.
    pub fn estimate(&self) -> u64 {
        const ALPHA: f64 = 0.721_347_520_444_481_7;
        let mut histogram = [0u32; 64];
        for &register in &self.0 {
            // A stored register has six bits.
            if let Some(count) = histogram.get_mut(usize::from(register)) {
                *count += 1;
            }
        }
        let m = REGISTERS as f64;
        let mut z = m * tau((m - f64::from(histogram[HASH_BITS + 1])) / m);
        for &count in histogram[1..=HASH_BITS].iter().rev() {
            z = (z + f64::from(count)) * 0.5;
        }
        z += m * sigma(f64::from(histogram[0]) / m);
        (ALPHA * m * m / z).round() as u64
    }
}

fn register(bytes: &[u8], at: usize) -> u8 {
    let (byte, shift) = (at * 6 / 8, at * 6 % 8);
    let part = |at: usize| u16::from(bytes.get(at).copied().unwrap_or_default());
    ((part(byte) | part(byte + 1) << 8) >> shift) as u8 & 0x3F
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// MurmurHash64A, little-endian, with the seed of Redis.
fn murmur64(bytes: &[u8]) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const SEED: u64 = 0xadc8_3b19;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ k >> 47).wrapping_mul(M);
        hash = (hash ^ k).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0u64, |tail, &byte| tail << 8 | u64::from(byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 47).wrapping_mul(M);
    hash ^ hash >> 47
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments keep every register, and the estimate is near the truth.
    #[test]
    fn segments_and_estimates() {
        let mut registers = Registers::empty();
        assert_eq!(registers.estimate(), 0);
        assert!((0..SEGMENTS).all(|segment| registers.segment(segment).is_none()));
        for n in 0..5000 {
            registers.add(format!("element {n}").as_bytes());
        }
        assert_eq!(registers.add(b"element 17"), None);
        let mut again = Registers::empty();
        for segment in 0..SEGMENTS {
            again.merge_segment(segment, &registers.segment(segment).unwrap()).unwrap();
        }
        assert_eq!(again.0, registers.0);
        assert!((4900..5100).contains(&again.estimate()), "{}", again.estimate());
        for length in [0, 767, 769] {
            let error = again.merge_segment(3, &vec![0; length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption);
        }
    }
}
