//! JSON documents in CBOR. Kvrocks: jsoncons' encode_cbor and decode_cbor.

use serde_json::{Map, Value};

use super::tree::Room;
use super::{MAX_DEPTH, bad};
use crate::engine::error::{Error, ErrorKind, Result};

/// The most bytes of a number beyond 64 bits in CBOR: 616 digits.
const MAX_BIGNUM: u64 = 256;

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

/// Appends a value, which is no deeper than is allowed.
pub fn write(out: &mut Vec<u8>, value: &Value) {
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
            items.iter().for_each(|item| write(out, item));
        }
        Value::Object(members) => {
            write_head(out, 5, members.len() as u64);
            for (name, value) in members {
                write_head(out, 3, name.len() as u64);
                out.extend_from_slice(name.as_bytes());
                write(out, value);
            }
        }
    }
}

/// Reads a document in CBOR: what JSON can say, in any of the widths that CBOR has, with lengths known before.
pub fn read(bytes: &[u8], room: &mut Room) -> Result<Value> {
    let mut reader = Cbor { bytes, whole: bytes.len(), room };
    let value = reader.value(0)?;
    if !reader.bytes.is_empty() {
        return Err(reader.bad(format_args!("{} bytes behind its end", reader.bytes.len())));
    }
    Ok(value)
}

struct Cbor<'a> {
    bytes: &'a [u8],
    whole: usize,
    room: &'a mut Room,
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
        let (major, info, number) = self.head()?;
        if matches!(major, 4 | 5) && depth >= MAX_DEPTH {
            return Err(self.bad(format_args!("more than {MAX_DEPTH} arrays and objects in each other")));
        }
        self.room.value()?;
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
                let digits = decimal(self.take(length)?, number == 3);
                self.room.block(digits.len())?;
                Value::String(digits)
            }
            4 => {
                self.room.block(0)?;
                let mut items = Vec::new();
                for _ in 0..number {
                    self.room.item(items.len())?;
                    items.push(self.value(depth + 1)?);
                }
                items.shrink_to_fit();
                Value::Array(items)
            }
            5 => {
                self.room.block(0)?;
                let mut members = Map::new();
                for _ in 0..number {
                    let (major, _, length) = self.head()?;
                    if major != 3 {
                        return Err(self.bad("a name that is no text"));
                    }
                    self.room.member(members.len())?;
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
        self.room.block(bytes.len())?;
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
    use super::super::super::fuzz::hex;
    use super::*;

    /// A number of many bytes is its digits, and one that counts down from -1 those of that one.
    #[test]
    fn long_numbers() {
        assert_eq!(decimal(&[], false), "0");
        assert_eq!(decimal(&[0xFF; 16], true), "-340282366920938463463374607431768211456");
        for bad in ["c201", "c2", "c25901010000", "c34900", "c2590101"] {
            let error = read(&hex(bad), &mut Room::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{bad}");
        }
    }
}
