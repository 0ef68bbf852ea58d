//! Ordered doubles: eight bytes whose byte order is the numeric order.
//! Kvrocks: encoding.cc EncodeDoubleToUInt64.

const SIGN: u64 = 1 << 63;

/// The eight bytes of a double. They sort as the numbers do, with -0.0 just below +0.0.
pub fn encode_double(value: f64) -> [u8; 8] {
    let bits = value.to_bits();
    let ordered = if bits & SIGN != 0 { !bits } else { bits | SIGN };
    ordered.to_be_bytes()
}

/// The double of eight bytes. Every pattern is one, NaN included.
pub fn decode_double(bytes: [u8; 8]) -> f64 {
    let ordered = u64::from_be_bytes(bytes);
    f64::from_bits(if ordered & SIGN != 0 { ordered ^ SIGN } else { !ordered })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known doubles have the bytes that Kvrocks writes for them.
    #[test]
    fn known_bytes() {
        for (value, bytes) in [
            (1.5, 0xbff8000000000000u64),
            (-1.5, 0x4007ffffffffffff),
            (0.0, 0x8000000000000000),
            (-0.0, 0x7fffffffffffffff),
            (f64::INFINITY, 0xfff0000000000000),
            (f64::NEG_INFINITY, 0x000fffffffffffff),
        ] {
            assert_eq!(encode_double(value), bytes.to_be_bytes(), "{value}");
            assert_eq!(decode_double(bytes.to_be_bytes()).to_bits(), value.to_bits(), "{value}");
        }
    }
}
