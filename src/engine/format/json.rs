//! JSON documents: the format byte and the document behind it, as text or as CBOR.
//! Kvrocks: redis_metadata.cc JsonMetadata, types/json.h (jsoncons). Members are in the order of their names, and
//! numbers are written as jsoncons writes them.

mod cbor;
mod tree;

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use serde::de::DeserializeSeed as _;
use serde_json::ser::{Formatter, Serializer};
pub use serde_json::{Map, Number, Value};

pub use self::tree::weight;
use self::tree::{Room, Tree};
use crate::engine::error::{Error, ErrorKind, Result, shown};

/// How deep arrays and objects may be in each other: the limit of Kvrocks.
pub const MAX_DEPTH: usize = 1024;

/// The longest text that is made of a value: no longer one is stored, and no longer reply is sent.
const MAX_TEXT: usize = 512 << 20;

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

/// The payload of a document, which can be read again.
pub fn encode_payload(format: JsonFormat, document: &Value) -> Result<Vec<u8>> {
    check_depth(document)?;
    if weight(document) > tree::MAX_MEMORY {
        return Err(tree::too_large());
    }
    let mut out = vec![format as u8];
    match format {
        JsonFormat::Text => out.append(&mut to_text(document)?),
        JsonFormat::Cbor => cbor::write(&mut out, document),
    }
    Ok(out)
}

/// Reads a stored document.
pub fn decode_payload(payload: &[u8]) -> Result<(JsonFormat, Value)> {
    let (format, document) = split_payload(payload)?;
    let mut room = Room::default();
    let document = match format {
        JsonFormat::Text => read_text(document, &mut room).map_err(|e| match e.kind() {
            ErrorKind::Unsupported => e,
            _ => bad(ErrorKind::Corruption, e.message()),
        })?,
        JsonFormat::Cbor => cbor::read(document, &mut room)?,
    };
    Ok((format, document))
}

/// Reads a text, with the numbers that are too large for a value as jsoncons stores them. Unsupported when it takes too much
/// memory.
pub fn parse_text(text: &[u8]) -> Result<Value> {
    read_text(text, &mut Room::default())
}

/// Reads texts that are in memory together.
pub fn parse_texts<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Result<Vec<Value>> {
    let mut room = Room::default();
    texts.into_iter().map(|text| read_text(text.as_ref(), &mut room)).collect()
}

fn read_text(text: &[u8], room: &mut Room) -> Result<Value> {
    let refused = |what: String| bad(ErrorKind::InvalidArgument, what);
    let (text, depth) = scan(text);
    let text = &*text;
    if depth > MAX_DEPTH {
        return Err(refused(format!("got more than {MAX_DEPTH} arrays and objects in each other")));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // The depth was looked at: the parser's own limit is lower than that of Kvrocks.
    deserializer.disable_recursion_limit();
    let value = Tree(&mut *room).deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|e| match room.is_full {
        true => tree::too_large(),
        false => refused(format!("{} is no JSON: {e}", shown(text))),
    })
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
pub fn to_text(value: &impl Serialize) -> Result<Vec<u8>> {
    write_text(value, Jsoncons)
}

/// The text of a value over several lines, as JSON.GET is asked for it. `newline` stands where lines end.
pub fn to_pretty(value: &impl Serialize, indent: &[u8], newline: &[u8], space: &[u8]) -> Result<Vec<u8>> {
    write_text(value, Pretty { indent, newline, space, depth: 0, empty: false })
}

fn write_text(value: &impl Serialize, formatter: impl Formatter) -> Result<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use super::super::fuzz::hex;
    use super::*;

    fn read_cbor(bytes: &[u8]) -> Result<Value> {
        cbor::read(bytes, &mut Room::default())
    }

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
        // Both formats are as deep, for what is read and for what is written, and whatever is in the innermost.
        for inner in [&[0x80][..], &[0xA0], &[0x81, 1]] {
            for depth in [1024, 1025] {
                let deep = [&vec![0x81; depth - 1], inner].concat();
                let (read, fits) = (read_cbor(&deep), depth <= MAX_DEPTH);
                assert_eq!(read.is_ok(), fits, "{depth}");
                let text = ["[".repeat(depth - 1), "[]".into(), "]".repeat(depth - 1)].concat();
                assert_eq!(parse_text(text.as_bytes()).is_ok(), fits, "{depth}");
                if let Ok(read) = read {
                    assert_eq!(encode_payload(JsonFormat::Cbor, &read).unwrap()[1..], deep);
                    assert_eq!(
                        encode_payload(JsonFormat::Text, &Value::Array(vec![read])).unwrap_err().kind(),
                        ErrorKind::InvalidArgument
                    );
                }
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
