//! What commands on bits do, in plain bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::{Answer, count, error, integer, ok};
use crate::model_special::of_key;
use crate::support::client::Reply;

/// All bitmaps and strings, between which only TYPE makes a difference, for which nobody asks. None is empty.
#[derive(Default)]
pub struct Bits(BTreeMap<String, Vec<u8>>);

/// The bit at an offset, the most significant of a byte first; off behind the end.
fn bit(bytes: &[u8], at: usize) -> bool {
    bytes.get(at / 8).is_some_and(|byte| *byte & (128u8 >> (at % 8)) != 0)
}

fn set_bit(bytes: &mut [u8], at: usize, on: bool) {
    let mask = 128u8 >> (at % 8);
    if on { bytes[at / 8] |= mask } else { bytes[at / 8] &= !mask }
}

/// Makes bytes as long as a bit needs them.
fn grow(bytes: &mut Vec<u8>, at: usize) {
    bytes.resize(bytes.len().max(at / 8 + 1), 0);
}

fn offset(text: &str) -> Result<usize, Option<Reply>> {
    match text.parse::<u32>() {
        Ok(at) => Ok(at as usize),
        Err(_) => error("bit offset is not an integer or out of range"),
    }
}

/// The bits from the first to the last byte or bit, counted from the end where they are negative.
fn window(bytes: &[u8], first: i64, last: i64, in_bits: bool) -> Range<usize> {
    let unit: usize = if in_bits { 1 } else { 8 };
    let total = (bytes.len() * 8 / unit) as i64;
    let at = |index: i64| if index < 0 { (total + index).max(0) } else { index };
    let (first, last) = (at(first), at(last).min(total - 1));
    if first > last {
        return 0..0;
    }
    (first as usize * unit)..((last + 1) as usize * unit)
}

/// A number among bits.
struct Field {
    signed: bool,
    width: usize,
    at: usize,
}

impl Field {
    fn parse(kind: &str, at: &str) -> Result<Field, Option<Reply>> {
        let (signed, width) = (kind.starts_with('i'), kind[1..].parse::<usize>().unwrap());
        let most = if signed { 64 } else { 63 };
        if width > most {
            return error(
                "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            );
        }
        let at = match at.strip_prefix('#') {
            Some(number) => number.parse::<usize>().unwrap() * width,
            None => offset(at)?,
        };
        Ok(Field { signed, width, at })
    }

    fn read(&self, bytes: &[u8]) -> i64 {
        self.number((self.at..self.at + self.width).fold(0u64, |raw, at| raw << 1 | u64::from(bit(bytes, at))))
    }

    fn write(&self, bytes: &mut [u8], number: i64) {
        for place in 0..self.width {
            let on = (number >> (self.width - 1 - place)) & 1 == 1;
            set_bit(bytes, self.at + place, on);
        }
    }

    /// The number that the lowest bits stand for.
    fn number(&self, raw: u64) -> i64 {
        let spare = 64 - self.width;
        if self.signed { ((raw << spare) as i64) >> spare } else { raw as i64 }
    }

    /// A number as the field keeps it; `None` for one that it does not take.
    fn fit(&self, number: i128, how: &str) -> Option<i64> {
        let least = if self.signed { -(1i128 << (self.width - 1)) } else { 0 };
        let most = least + (1i128 << self.width) - 1;
        if (least..=most).contains(&number) {
            return Some(number as i64);
        }
        match how {
            "FAIL" => None,
            "SAT" => Some(number.clamp(least, most) as i64),
            _ => Some(self.number((number as u64) & (u64::MAX >> (64 - self.width)))),
        }
    }
}

impl Bits {
    fn bytes(&self, key: &str) -> &[u8] {
        self.0.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn answer(&mut self, words: &[&str]) -> Answer {
        if let Some(reply) = of_key(&mut self.0, words, "bitmap") {
            return Ok(reply);
        }
        Ok(match *words {
            ["SET", key, value] => {
                self.0.insert(key.to_owned(), value.as_bytes().to_vec());
                ok()
            }
            ["GET", key] => self.0.get(key).map_or(Reply::Nil, |bytes| Reply::Bulk(bytes.clone())),
            ["SETBIT", key, at, on] => {
                let at = offset(at)?;
                if on != "0" && on != "1" {
                    return error("bit is not an integer or out of range");
                }
                let bytes = self.0.entry(key.to_owned()).or_default();
                grow(bytes, at);
                let was = bit(bytes, at);
                set_bit(bytes, at, on == "1");
                count(was.into())
            }
            ["GETBIT", key, at] => count(bit(self.bytes(key), offset(at)?).into()),
            ["BITCOUNT", key] => count(self.bytes(key).iter().map(|byte| byte.count_ones() as usize).sum()),
            ["BITCOUNT", key, first, last, ref unit @ ..] => {
                let (bytes, first, last) = (self.bytes(key), integer(first)?, integer(last)?);
                // Ends that crossed count nothing, though both may lie before the start, where BITPOS looks.
                let crossed = first < 0 && last < first;
                let within = if crossed { 0..0 } else { window(bytes, first, last, unit.contains(&"BIT")) };
                count(within.filter(|at| bit(bytes, *at)).count())
            }
            ["BITPOS", key, on, ref rest @ ..] => {
                let on = on == "1";
                let first = if let [first, ..] = rest { integer(first)? } else { 0 };
                let last = if let [_, last, ..] = rest { integer(last)? } else { -1 };
                let Some(bytes) = self.0.get(key) else { return Ok(Reply::Integer(if on { -1 } else { 0 })) };
                let within = window(bytes, first, last, rest.contains(&"BIT"));
                let found = within.clone().find(|at| bit(bytes, *at) == on);
                match found {
                    Some(at) => count(at),
                    // Behind an open end all bits are off.
                    None if !on && !within.is_empty() && rest.len() < 2 => count(bytes.len() * 8),
                    None => Reply::Integer(-1),
                }
            }
            ["BITOP", how, to, ref from @ ..] => {
                let combined = self.combined(how, from);
                let size = combined.len();
                self.0.remove(to);
                if size > 0 {
                    self.0.insert(to.to_owned(), combined);
                }
                count(size)
            }
            ["BITFIELD" | "BITFIELD_RO", key, ref steps @ ..] => self.fields(key, steps)?,
            _ => return Err(None),
        })
    }

    fn combined(&self, how: &str, keys: &[&str]) -> Vec<u8> {
        let from: Vec<&[u8]> = keys.iter().map(|key| self.bytes(key)).collect();
        let size = from.iter().map(|bytes| bytes.len()).max().unwrap_or_default();
        let byte = |at: usize| {
            let bytes = from.iter().map(|bytes| bytes.get(at).copied().unwrap_or_default());
            let combined = bytes.reduce(|one, other| match how {
                "AND" => one & other,
                "OR" => one | other,
                _ => one ^ other,
            });
            let combined = combined.unwrap_or_default();
            if how == "NOT" { !combined } else { combined }
        };
        (0..size).map(byte).collect()
    }

    /// The steps of a BITFIELD, of which none is done when one is wrong.
    fn fields(&mut self, key: &str, mut steps: &[&str]) -> Answer {
        let mut bytes = self.bytes(key).to_vec();
        let (mut changes, mut how, mut out) = (false, "WRAP", Vec::new());
        while let [step, kind, rest @ ..] = steps {
            if *step == "OVERFLOW" {
                how = *kind;
                steps = rest;
                continue;
            }
            let field = Field::parse(kind, rest[0])?;
            let old = field.read(&bytes);
            if *step == "GET" {
                out.push(Reply::Integer(old));
                steps = &rest[1..];
                continue;
            }
            let value = integer(rest[1])?;
            steps = &rest[2..];
            let wanted = match (*step, field.signed) {
                // It is taken for 64 bits of a number of the field's own sign.
                ("SET", false) => i128::from(value as u64),
                ("SET", true) => i128::from(value),
                _ => i128::from(old) + i128::from(value),
            };
            let new = field.fit(wanted, how);
            // What is not done makes the key as long all the same.
            grow(&mut bytes, field.at + field.width - 1);
            changes = true;
            out.push(match new {
                None => Reply::Nil,
                Some(new) => {
                    field.write(&mut bytes, new);
                    Reply::Integer(if *step == "SET" { old } else { new })
                }
            });
        }
        if changes {
            self.0.insert(key.to_owned(), bytes);
        }
        Ok(Reply::Array(out))
    }
}
