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

/// A number as Redis reads one: `inf` in any case, and nothing that is no number or too large to be one.
pub fn parse_double(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let value: f64 = text.parse().ok()?;
    let infinite = text.trim_start_matches(['+', '-']).as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    (!value.is_nan() && value.is_infinite() == infinite).then_some(value)
}

/// A number as Kvrocks and Redis show one: with up to 17 digits, as C's `%.17g`.
pub fn format_double(value: f64) -> String {
    const DIGITS: i32 = 17;
    if !value.is_finite() {
        return if value.is_nan() { "nan" } else { ["inf", "-inf"][usize::from(value < 0.0)] }.to_owned();
    }
    let scientific = format!("{value:.16e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..DIGITS).contains(&exponent) {
        let fixed = format!("{value:.*}", usize::try_from(DIGITS - 1 - exponent).unwrap_or(0));
        return trimmed(&fixed).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs())
}

/// Without zeros at the end of a fraction.
fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
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

    /// Numbers are shown as C shows them with `%.17g`, and read as Redis reads them.
    #[test]
    fn texts() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (10.6, "10.6"),
            (-946.44, "-946.44000000000005"),
            (std::f64::consts::PI, "3.1415926535897931"),
            (1e308, "1e+308"),
            (-1e-300, "-1e-300"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (3479099956230698.0, "3479099956230698"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(format_double(value), text);
            if !value.is_nan() {
                assert_eq!(parse_double(text.as_bytes()), Some(value));
            }
        }
        for text in ["", " 1", "1 ", "nan", "-NaN", "1e400", "-1e400", "x", "1,5", "--1", "infinit"] {
            assert_eq!(parse_double(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_double(b"+INF"), Some(f64::INFINITY));
        assert_eq!(parse_double(b"-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_double(b"1e3"), Some(1000.0));
    }
}
