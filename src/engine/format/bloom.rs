//! Bloom filters in a chain: the payload of their metadata, and the block-split filter that each link is.
//! Kvrocks: redis_metadata.cc BloomChainMetadata, types/bloom_filter.cc (that of Apache Parquet). The words of a filter
//! are little-endian, unlike everything else.

use xxhash_rust::xxh64::xxh64;

use super::double::{decode_double, encode_double};
use crate::engine::error::{Error, ErrorKind, Result, shown};

/// The bytes of the smallest filter, which are those of a block.
pub const MIN_FILTER: u64 = 32;
/// The bytes of the largest filter.
pub const MAX_FILTER: u64 = 128 << 20;
/// The most filters of a chain that are read: at twice the size each, far more than the sizes allow.
pub const MAX_FILTERS: u16 = 1024;

const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// What a chain's metadata says behind the common header, whose size counts the items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BloomState {
    pub filters: u16,
    /// By how much each filter is larger than the one before; 0 for a single one that never grows.
    pub expansion: u16,
    pub base_capacity: u32,
    pub error_rate: f64,
    /// The bytes of all filters.
    pub bytes: u32,
}

impl BloomState {
    /// A chain of one filter.
    pub fn new(base_capacity: u32, error_rate: f64, expansion: u16) -> BloomState {
        let mut state = BloomState { filters: 0, expansion, base_capacity, error_rate, bytes: 0 };
        state.grow();
        state
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20);
        out.extend(self.filters.to_be_bytes());
        out.extend(self.expansion.to_be_bytes());
        out.extend(self.base_capacity.to_be_bytes());
        out.extend(encode_double(self.error_rate));
        out.extend(self.bytes.to_be_bytes());
        out
    }

    pub fn decode(payload: &[u8]) -> Result<BloomState> {
        let bad = |got: String, expected: &str| {
            let message = format!("bloom metadata {}: got {got}, expected {expected}", shown(payload));
            Error::new(ErrorKind::Corruption, message)
        };
        let fields = (|| {
            let (filters, rest) = payload.split_first_chunk::<2>()?;
            let (expansion, rest) = rest.split_first_chunk::<2>()?;
            let (base_capacity, rest) = rest.split_first_chunk::<4>()?;
            let (error_rate, rest) = rest.split_first_chunk::<8>()?;
            Some(BloomState {
                filters: u16::from_be_bytes(*filters),
                expansion: u16::from_be_bytes(*expansion),
                base_capacity: u32::from_be_bytes(*base_capacity),
                error_rate: decode_double(*error_rate),
                bytes: u32::from_be_bytes(rest.try_into().ok()?),
            })
        })();
        let state = fields.ok_or_else(|| bad(format!("{} bytes", payload.len()), "20"))?;
        if !(1..=MAX_FILTERS).contains(&state.filters) {
            return Err(bad(format!("{} filters", state.filters), &format!("1 to {MAX_FILTERS}")));
        }
        if !(state.error_rate > 0.0 && state.error_rate < 1.0) {
            return Err(bad(format!("the error rate {}", state.error_rate), "one between 0 and 1"));
        }
        Ok(state)
    }

    /// Adds a filter; gives its bytes.
    pub fn grow(&mut self) -> u64 {
        let capacity = f64::from(self.base_capacity) * f64::from(self.expansion).powi(self.filters.into());
        let bytes =
            filter_bytes(if self.filters == 0 { f64::from(self.base_capacity) } else { capacity }, self.error_rate);
        self.filters = self.filters.saturating_add(1);
        self.bytes = self.bytes.wrapping_add(bytes as u32);
        bytes
    }

    /// How many items the chain holds before it grows, or is full.
    pub fn capacity(&self) -> u64 {
        let base = f64::from(self.base_capacity);
        match self.expansion {
            0 => self.base_capacity.into(),
            1 => u64::from(self.base_capacity) * u64::from(self.filters),
            by => (base * (1.0 - f64::from(by).powi(self.filters.into())) / (1.0 - f64::from(by))) as u32 as u64,
        }
    }
}

/// The sub part of a filter's key.
pub fn filter_sub(index: u16) -> [u8; 2] {
    index.to_be_bytes()
}

/// The bytes of a filter for so many items.
fn filter_bytes(items: f64, error_rate: f64) -> u64 {
    // The number of items is one of 32 bits in Kvrocks.
    let items = f64::from(items as u32);
    let bits = -8.0 * items / (1.0 - error_rate.powf(1.0 / 8.0)).ln();
    let bits = if bits < 0.0 || bits > (MAX_FILTER * 8) as f64 { MAX_FILTER * 8 } else { bits as u32 as u64 };
    bits.clamp(MIN_FILTER * 8, MAX_FILTER * 8).next_power_of_two() / 8
}

/// The hash of an item.
pub fn hash(item: &[u8]) -> u64 {
    xxh64(item, 0)
}

/// Refuses bytes that cannot be a filter.
pub fn check_filter(index: u16, bytes: &[u8]) -> Result<()> {
    let length = bytes.len() as u64;
    if (MIN_FILTER..=MAX_FILTER).contains(&length) && length.is_power_of_two() {
        return Ok(());
    }
    let message = format!("bloom filter {index}: got {length} bytes, expected a power of two from 32 to 128 MiB");
    Err(Error::new(ErrorKind::Corruption, message))
}

/// Where the bits of a hash are in a filter: the byte and the bit in it.
fn places(length: usize, hash: u64) -> impl Iterator<Item = (usize, u8)> {
    let block = (((hash >> 32) * (length as u64 / MIN_FILTER)) >> 32) as usize;
    SALT.iter().enumerate().map(move |(word, salt)| {
        let bit = (hash as u32).wrapping_mul(*salt) >> 27;
        (block * MIN_FILTER as usize + word * 4 + bit as usize / 8, 1 << (bit % 8))
    })
}

/// Whether a filter may hold the item of this hash.
pub fn contains(filter: &[u8], hash: u64) -> bool {
    places(filter.len(), hash).all(|(at, bit)| filter.get(at).is_some_and(|byte| byte & bit != 0))
}

pub fn insert(filter: &mut [u8], hash: u64) {
    for (at, bit) in places(filter.len(), hash) {
        if let Some(byte) = filter.get_mut(at) {
            *byte |= bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes and capacities are those that a Kvrocks server gave for the same chains.
    #[test]
    fn sizes() {
        let mut chain = BloomState::new(100, 0.01, 2);
        assert_eq!((chain.bytes, chain.capacity(), chain.filters), (128, 100, 1));
        chain.grow();
        assert_eq!((chain.bytes, chain.capacity(), chain.filters), (384, 300, 2));
        assert_eq!(BloomState::decode(&chain.encode()).unwrap(), chain);
        assert_eq!(BloomState::new(u32::MAX, 1e-9, 0).bytes as u64, MAX_FILTER);
        assert_eq!(BloomState::new(1, 0.9, 1).bytes as u64, MIN_FILTER);
    }

    /// Metadata that lies about itself is Corruption.
    #[test]
    fn lies() {
        let good = BloomState::new(100, 0.01, 2).encode();
        for cut in 0..good.len() {
            assert!(BloomState::decode(&good[..cut]).is_err());
        }
        for (at, byte) in [(0, 0xFF), (1, 0), (8, 0xFF)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(BloomState::decode(&bad).unwrap_err().kind(), ErrorKind::Corruption);
        }
        for length in [0, 31, 33, 96] {
            assert!(check_filter(0, &vec![0; length]).is_err(), "{length}");
        }
    }

    /// What was inserted is found; hardly anything else is.
    #[test]
    fn filter() {
        let mut filter = vec![0; 256];
        let item = |n: u32| hash(format!("item {n}").as_bytes());
        (0..100).for_each(|n| insert(&mut filter, item(n)));
        assert!((0..100).all(|n| contains(&filter, item(n))));
        assert!((1000..2000).filter(|&n| contains(&filter, item(n))).count() < 50);
    }
}
