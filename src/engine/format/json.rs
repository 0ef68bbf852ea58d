//! JSON documents: the format byte and the document behind it, as text or as CBOR.
//! Kvrocks: redis_metadata.cc JsonMetadata, types/json.h (jsoncons). Members are in the order of their names, and
//! numbers are written as jsoncons writes them.

use std::borrow::Cow;
use std::io;

use serde::Serialize as _;
use serde_json::ser::{Formatter, Serializer};
pub use serde_json::{Map, Number, Value};

use crate::engine::error::{Error, ErrorKind, Result, shown};

/// How deep arrays and objects may be in each other: the limit of Kvrocks.
pub const MAX_DEPTH: usize = 1024;

/// The longest text that is made of a value: no longer one is stored, and no longer reply is sent.
const MAX_TEXT: usize = 512 << 20;

/// The most bytes of a number beyond 64 bits in CBOR: 616 digits.
const MAX_BIGNUM: u64 = 256;

/// How a document is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFormat {
    Text = 0,
    Cbor = 1,
}

impl JsonFormat {
    pub fn name(self) -> &'static str {
        match self {
            JsonFormat::Text => "json",
            JsonFormat::Cbor => "cbor",
        }
    }
}

fn bad(kind: ErrorKind, what: impl std::fmt::Display) -> Error {
    Error::new(kind, format!("JSON document: {what}"))
}

/// Splits what stands behind the expiry in the metadata.
pub fn split_payload(payload: &[u8]) -> Result<(JsonFormat, &[u8])> {
    match payload.split_first() {
        Some((0, document)) => Ok((JsonFormat::Text, document)),
        Some((1, document)) => Ok((JsonFormat::Cbor, document)),
        Some((format, _)) => {
            Err(bad(ErrorKind::Unsupported, format_args!("got the storage format {format}, expected 0 or 1")))
        }
        None => Err(bad(ErrorKind::Corruption, "got 0 bytes, expected a storage format")),
    }
}

/// The payload of a document.
pub fn encode_payload(format: JsonFormat, document: &Value) -> Result<Vec<u8>> {
    check_depth(document)?;
    let mut out = vec![format as u8];
    match format {
        JsonFormat::Text => out.append(&mut to_text(document)?),
        JsonFormat::Cbor => write_cbor(&mut out, document),
    }
    Ok(out)
}

/// Reads a stored document.
pub fn decode_payload(payload: &[u8]) -> Result<(JsonFormat, Value)> {
    let (format, document) = split_payload(payload)?;
    let document = match format {
        JsonFormat::Text => parse_text(document).map_err(|e| bad(ErrorKind::Corruption, e.message()))?,
        JsonFormat::Cbor => read_cbor(document)?,
    };
    Ok((format, document))
}

/// Reads a text, with the numbers that are too large for a value as jsoncons stores them.
pub fn parse_text(text: &[u8]) -> Result<Value> {
    let refused = |what: String| bad(ErrorKind::InvalidArgument, what);
    let (text, depth) = scan(text);
    let text = &*text;
    if depth > MAX_DEPTH {
        return Err(refused(format!("got more than {MAX_DEPTH} arrays and objects in each other")));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // The depth was looked at: the parser's own limit is lower than that of Kvrocks.
    deserializer.disable_recursion_limit();
    let value = serde::Deserialize::deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|e| refused(format!("{} is no JSON: {e}", shown(text))))
}

/// The text with other words for the numbers that no value holds, and the most open brackets that are not inside of a string.
fn scan(text: &[u8]) -> (Cow<'_, [u8]>, usize) {
    let (mut depth, mut deepest, mut quoted, mut at) = (0usize, 0, false, 0);
    let (mut out, mut copied) = (Vec::new(), 0);
    while let Some(&byte) = text.get(at) {
        let mut end = at + 1;
        match byte {
            b'\\' if quoted => end += 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let rest = &text[at..];
                let part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let (number, rest) = rest.split_at(rest.iter().position(|byte| !part(byte)).unwrap_or(rest.len()));
                end = at + number.len();
                // No number is the name of a member.
                if let Some(new) = replacement(number)
                    && !rest.trim_ascii_start().starts_with(b":")
                {
                    out.extend_from_slice(&text[copied..at]);
                    out.extend_from_slice(&new);
                    copied = end;
                }
            }
            _ => {}
        }
        at = end;
    }
    if copied == 0 {
        return (text.into(), deepest);
    }
    out.extend_from_slice(&text[copied..]);
    (out.into(), deepest)
}

/// What jsoncons stores for a number that is none of 64 bits and no double: a whole one as the text of its digits, another as
/// null. It takes the minus of a whole 0 off.
fn replacement(number: &[u8]) -> Option<Vec<u8>> {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(number).ok()?;
    if text == "-0" {
        return Some(b"0".to_vec());
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    // The largest have 19 digits, or an exponent.
    if (exponent.is_none() && whole.len() < 19)
        || !digits(whole.as_bytes())
        || (whole.len() > 1 && whole.starts_with('0'))
    {
        return None;
    }
    if exponent.is_none() && fraction.is_none() {
        let fits = text.parse::<u64>().is_ok() || text.parse::<i64>().is_ok();
        return (!fits).then(|| [b"\"", number, b"\""].concat());
    }
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    let is_number = [fraction, exponent].into_iter().flatten().all(|part| digits(part.as_bytes()));
    (is_number && text.parse::<f64>().is_ok_and(f64::is_infinite)).then(|| b"null".to_vec())
}

fn check_depth(document: &Value) -> Result<()> {
    let mut open = vec![(document, 1)];
    while let Some((value, depth)) = open.pop() {
        let children: Vec<&Value> = match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(members) => members.values().collect(),
            _ => continue,
        };
        if depth > MAX_DEPTH {
            let message = format!("got more than {MAX_DEPTH} arrays and objects in each other");
            return Err(bad(ErrorKind::InvalidArgument, message));
        }
        open.extend(children.into_iter().filter(|v| v.is_array() || v.is_object()).map(|child| (child, depth + 1)));
    }
    Ok(())
}

/// The text of a value, without spaces.
pub fn to_text(value: &Value) -> Result<Vec<u8>> {
    write_text(value, Jsoncons)
}

/// The text of a value over several lines, as JSON.GET is asked for it. `newline` stands where lines end.
pub fn to_pretty(value: &Value, indent: &[u8], newline: &[u8], space: &[u8]) -> Result<Vec<u8>> {
    write_text(value, Pretty { indent, newline, space, depth: 0, empty: false })
}

fn write_text(value: &Value, formatter: impl Formatter) -> Result<Vec<u8>> {
    let mut text = Text::default();
    match value.serialize(&mut Serializer::with_formatter(&mut text, formatter)) {
        Ok(()) => Ok(text.0),
        // Writing to memory fails for no other reason.
        Err(_) => {
            let what = format!("got a text of more than {MAX_TEXT} bytes, expected a shorter one; ask for less of it");
            Err(bad(ErrorKind::InvalidArgument, what))
        }
    }
}

/// A text that is being written, as far as it may grow: escapes, indents and ends of lines make more of a value than it takes.
#[derive(Default)]
struct Text(Vec<u8>);

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > MAX_TEXT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A double as jsoncons writes it: in full up to 17 digits before the point and 4 zeros behind it.
fn write_double(out: &mut (impl io::Write + ?Sized), value: f64) -> io::Result<()> {
    let value = if value == 0.0 { 0.0 } else { value };
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    match exponent {
        -4..=16 if value.fract() == 0.0 => write!(out, "{value:.1}"),
        -4..=16 => write!(out, "{value}"),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

struct Jsoncons;

impl Formatter for Jsoncons {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        write_double(writer, value)
    }
}

struct Pretty<'a> {
    indent: &'a [u8],
    newline: &'a [u8],
    space: &'a [u8],
    depth: usize,
    empty: bool,
}

impl Pretty<'_> {
    fn open<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.empty = true;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if !self.empty {
            self.line(writer)?;
        }
        self.empty = false;
        writer.write_all(bracket)
    }

    fn line<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.newline)?;
        (0..self.depth).try_for_each(|_| writer.write_all(self.indent))
    }

    fn item<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.empty = false;
        if !first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }
}

impl Formatter for Pretty<'_> {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        write_double(writer, value)
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.empty = false;
        Ok(())
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b":")?;
        writer.write_all(self.space)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.empty = false;
        Ok(())
    }
}

/// The head of a CBOR item: its major type, and its number in the shortest form.
fn write_head(out: &mut Vec<u8>, major: u8, number: u64) {
    let major = major << 5;
    match number {
        0..=23 => out.push(major | number as u8),
        24..=0xFF => out.extend([major | 24, number as u8]),
        0x100..=0xFFFF => {
            out.push(major | 25);
            out.extend((number as u16).to_be_bytes());
        }
        0x1_0000..=0xFFFF_FFFF => {
            out.push(major | 26);
            out.extend((number as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend(number.to_be_bytes());
        }
    }
}

fn write_cbor(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0xF6),
        Value::Bool(on) => out.push(0xF4 + u8::from(*on)),
        Value::Number(number) => {
            if let Some(number) = number.as_u64() {
                write_head(out, 0, number);
            } else if let Some(number) = number.as_i64() {
                write_head(out, 1, !number as u64);
            } else {
                let number = number.as_f64().unwrap_or_default();
                let short = number as f32;
                if f64::from(short) == number {
                    out.push(0xFA);
                    out.extend(short.to_be_bytes());
                } else {
                    out.push(0xFB);
                    out.extend(number.to_be_bytes());
                }
            }
        }
        Value::String(text) => {
            write_head(out, 3, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Array(items) => {
            write_head(out, 4, items.len() as u64);
            items.iter().for_each(|item| write_cbor(out, item));
        }
        Value::Object(members) => {
            write_head(out, 5, members.len() as u64);
            for (name, value) in members {
                write_head(out, 3, name.len() as u64);
                out.extend_from_slice(name.as_bytes());
                write_cbor(out, value);
            }
        }
    }
}

/// Reads a document in CBOR: what JSON can say, in any of the widths that CBOR has, with lengths known before.
fn read_cbor(bytes: &[u8]) -> Result<Value> {
    let mut reader = Cbor { bytes, whole: bytes.len() };
    let value = reader.value(0)?;
    if !reader.bytes.is_empty() {
        return Err(reader.bad(format_args!("{} bytes behind its end", reader.bytes.len())));
    }
    Ok(value)
}

struct Cbor<'a> {
    bytes: &'a [u8],
    whole: usize,
}

impl<'a> Cbor<'a> {
    fn bad(&self, got: impl std::fmt::Display) -> Error {
        let at = self.whole - self.bytes.len();
        bad(ErrorKind::Corruption, format_args!("CBOR: got {got} at byte {at} of {}", self.whole))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(length).ok().and_then(|length| self.bytes.split_at_checked(length));
        let Some((taken, rest)) = split else { return Err(self.bad(format_args!("a length of {length}"))) };
        self.bytes = rest;
        Ok(taken)
    }

    fn head(&mut self) -> Result<(u8, u8, u64)> {
        let first = self.take(1)?.first().copied().unwrap_or_default();
        let (major, info) = (first >> 5, first & 0x1F);
        let number = match info {
            0..=23 => info.into(),
            24..=27 => self.take(1 << (info - 24))?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)),
            _ => return Err(self.bad(format_args!("the item {first:#04x}"))),
        };
        Ok((major, info, number))
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(self.bad(format_args!("more than {MAX_DEPTH} arrays and objects in each other")));
        }
        let (major, info, number) = self.head()?;
        Ok(match major {
            0 => number.into(),
            1 => match i64::try_from(number) {
                Ok(number) => (!number).into(),
                Err(_) => (-1.0 - number as f64).into(),
            },
            3 => Value::String(self.text(number)?),
            // Whole numbers beyond 64 bits: jsoncons shows them as the text of their digits.
            6 if matches!(number, 2 | 3) => {
                let (major, _, length) = self.head()?;
                if major != 2 || length > MAX_BIGNUM {
                    return Err(self.bad(format_args!("a number of {length} bytes with the major type {major}")));
                }
                Value::String(decimal(self.take(length)?, number == 3))
            }
            4 => {
                let mut items = Vec::new();
                for _ in 0..number {
                    items.push(self.value(depth + 1)?);
                }
                Value::Array(items)
            }
            5 => {
                let mut members = Map::new();
                for _ in 0..number {
                    let (major, _, length) = self.head()?;
                    if major != 3 {
                        return Err(self.bad("a name that is no text"));
                    }
                    let name = self.text(length)?;
                    members.insert(name, self.value(depth + 1)?);
                }
                Value::Object(members)
            }
            7 => match (info, number) {
                (20 | 21, _) => Value::Bool(info == 21),
                (22 | 23, _) => Value::Null,
                (25, bits) => half(bits as u16).into(),
                (26, bits) => f64::from(f32::from_bits(bits as u32)).into(),
                (27, bits) => f64::from_bits(bits).into(),
                _ => return Err(self.bad(format_args!("the simple value {number}"))),
            },
            _ => return Err(self.bad(format_args!("the major type {major}"))),
        })
    }

    fn text(&mut self, length: u64) -> Result<String> {
        let bytes = self.take(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.bad("a text that is no UTF-8"))
    }
}

/// The digits of a number of many bytes, or, where it counts down from -1, of that one.
fn decimal(bytes: &[u8], negative: bool) -> String {
    const PIECE: u64 = 1_000_000_000;
    // In pieces of nine digits, the lowest first.
    let mut pieces = vec![0u64];
    let mut carry_in = |times: u64, plus: u64| {
        let mut carry = plus;
        for piece in &mut pieces {
            carry += *piece * times;
            *piece = carry % PIECE;
            carry /= PIECE;
        }
        if carry > 0 {
            pieces.push(carry);
        }
    };
    bytes.iter().for_each(|&byte| carry_in(256, byte.into()));
    carry_in(1, negative.into());
    let mut out = String::from(if negative { "-" } else { "" });
    for (place, piece) in pieces.iter().rev().enumerate() {
        out += &if place == 0 { piece.to_string() } else { format!("{piece:09}") };
    }
    out
}

/// A float of 16 bits.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        0x1F if fraction == 0.0 => f64::INFINITY,
        0x1F => f64::NAN,
        _ => (fraction + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::hex;
    use super::*;

    /// Doubles are written as a Kvrocks server wrote them.
    #[test]
    fn doubles() {
        for (given, written) in [
            ("1e100", "1e+100"),
            ("1e-7", "1e-07"),
            ("1e17", "1e+17"),
            ("1e16", "10000000000000000.0"),
            ("1.5e17", "1.5e+17"),
            ("1.0", "1.0"),
            ("-0.0", "0.0"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e-5", "1.5e-05"),
            ("123.456e30", "1.23456e+32"),
            ("1e5", "100000.0"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("5e-324", "5e-324"),
            ("0.1", "0.1"),
            ("-12.5", "-12.5"),
            ("18446744073709551615", "18446744073709551615"),
            ("123456789012345678", "123456789012345678"),
        ] {
            let value = parse_text(given.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(to_text(&value).unwrap()).unwrap(), written);
        }
    }

    /// The double that is nearest to a text is the one that it stands for, whatever its digits.
    #[test]
    fn nearest_doubles() {
        for text in ["2.4500000000000006e79", "1.7976931348623157e308", "5e-324", "9007199254740993.0", "0.1"] {
            let Value::Number(number) = parse_text(text.as_bytes()).unwrap() else { panic!("{text}") };
            assert_eq!(number.as_f64().unwrap().to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        }
        let mut bits = 1u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let double = f64::from_bits(bits ^ bits >> 29);
            if double.is_finite() {
                let Value::Number(number) = parse_text(format!("{double:e}").as_bytes()).unwrap() else { panic!() };
                assert_eq!(number.as_f64().unwrap(), double);
            }
        }
    }

    /// Numbers that no value holds are stored as a Kvrocks server stored them, and what is no number stays none.
    #[test]
    fn large_numbers() {
        for (given, stored) in [
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "\"18446744073709551616\""),
            ("-9223372036854775808", "-9223372036854775808"),
            ("-9223372036854775809", "\"-9223372036854775809\""),
            ("[1e400,-1e400, 12345678901234567890e500]", "[null,null,null]"),
            ("[-0,-0.0,0e400,1e-400]", "[0,0.0,0.0,0.0]"),
            ("18446744073709551616.0", "1.8446744073709552e+19"),
            (r#"{"1e400":"-0, 1e400 \" 18446744073709551616"}"#, r#"{"1e400":"-0, 1e400 \" 18446744073709551616"}"#),
            (&"9".repeat(400), &format!("\"{}\"", "9".repeat(400))),
            (&format!("{}.5", "9".repeat(400)), "null"),
        ] {
            assert_eq!(String::from_utf8(to_text(&parse_text(given.as_bytes()).unwrap()).unwrap()).unwrap(), stored);
        }
        for bad in [
            "{18446744073709551616:1}",
            "{18446744073709551616 :1}",
            "{-0:1}",
            "018446744073709551616",
            "18446744073709551616x",
            "1844674407370955161600.",
            "1e+-400",
            "1.e400",
            "1e400e400",
            "--18446744073709551616",
            "\"a\"18446744073709551616",
        ] {
            assert_eq!(parse_text(bad.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidArgument, "{bad}");
        }
        // As that server wrote it in CBOR.
        let array = hex("85 c249010000000000000000 fa7f800000 00 c3488000000000000000 fa80000000");
        let read = read_cbor(&array).unwrap();
        assert_eq!(to_text(&read).unwrap(), br#"["18446744073709551616",null,0,"-9223372036854775809",0.0]"#);
        assert_eq!(decimal(&[], false), "0");
        assert_eq!(decimal(&[0xFF; 16], true), "-340282366920938463463374607431768211456");
        for bad in ["c201", "c2", "c25901010000", "c34900", "c2590101"] {
            assert_eq!(read_cbor(&hex(bad)).unwrap_err().kind(), ErrorKind::Corruption, "{bad}");
        }
    }

    /// A document is the same from both formats, and CBOR has the bytes that a Kvrocks server wrote.
    #[test]
    fn formats() {
        let text = br#"{"a":1,"b":[true,null,-5,2.5],"c":"cbor"}"#;
        let document = parse_text(text).unwrap();
        let payload = encode_payload(JsonFormat::Cbor, &document).unwrap();
        assert_eq!(payload, hex("01 a3 6161 01 6162 84 f5 f6 24 fa40200000 6163 64 63626f72"));
        for format in [JsonFormat::Text, JsonFormat::Cbor] {
            let payload = encode_payload(format, &document).unwrap();
            assert_eq!(decode_payload(&payload).unwrap(), (format, document.clone()));
        }
        assert_eq!(&encode_payload(JsonFormat::Text, &document).unwrap()[1..], text);
        for (cbor, expected) in
            [("f93e00", "1.5"), ("f90001", "5.960464477539063e-08"), ("f9c000", "-2.0"), ("1903e8", "1000")]
        {
            assert_eq!(to_text(&read_cbor(&hex(cbor)).unwrap()).unwrap(), expected.as_bytes(), "{cbor}");
        }
    }

    /// Nesting without end, lying lengths and other hostile documents are refused without a crash.
    #[test]
    fn hostile() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for depth in [1024, 1025, 10_000, 1_000_000] {
                let text = [open.repeat(depth), "1".into(), close.repeat(depth)].concat();
                assert_eq!(parse_text(text.as_bytes()).is_ok(), depth <= MAX_DEPTH, "{depth}");
            }
        }
        assert!(parse_text(br#""[[[\"[[""#).is_ok());
        let deep = [vec![0x81; 10_000], vec![1]].concat();
        for bad in [&deep[..], &[0x9B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], &[0x7A, 0xFF, 0, 0, 0, 1]] {
            assert_eq!(read_cbor(bad).unwrap_err().kind(), ErrorKind::Corruption);
        }
        for bad in ["", "9f", "5f", "61ff", "a10102", "f8ff", "c001", "0101", "1c"] {
            assert_eq!(read_cbor(&hex(bad)).unwrap_err().kind(), ErrorKind::Corruption, "{bad}");
        }
        assert_eq!(decode_payload(&[2, 1]).unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(decode_payload(&[]).unwrap_err().kind(), ErrorKind::Corruption);
        assert_eq!(decode_payload(b"\0{bad").unwrap_err().kind(), ErrorKind::Corruption);
    }

    /// Lines, indents and spaces stand where Kvrocks puts them.
    #[test]
    fn pretty() {
        let value = parse_text(br#"{"a":[],"b":[1,{}],"c":{"d":null}}"#).unwrap();
        let text = String::from_utf8(to_pretty(&value, b"  ", b"\n", b" ").unwrap()).unwrap();
        assert_eq!(text, "{\n  \"a\": [],\n  \"b\": [\n    1,\n    {}\n  ],\n  \"c\": {\n    \"d\": null\n  }\n}");
    }
}
