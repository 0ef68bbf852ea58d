//! Values as they are made of a text, and what they take in memory: more than is allowed is refused before it is there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::bad;
use crate::engine::error::{Error, ErrorKind, Result};

/// The most bytes that the values of one call take in memory. Small values take many times their text: `1,` 16 times, `[1],`
/// 40 times, `{"":1},` a hundred times.
pub const MAX_MEMORY: usize = 1 << 30;

/// What a block of memory takes besides what is in it.
const BLOCK: usize = 16;
/// A node of an object, and how many members it has at least where they come in order, but for the last.
const NODE: usize = 640;
const MEMBERS: usize = 6;
/// For how many items an array has room besides the first.
const SPARE: usize = 3 * size_of::<Value>();

/// Room for values in memory.
pub struct Room {
    left: usize,
    pub is_full: bool,
}

impl Default for Room {
    fn default() -> Room {
        Room::of(MAX_MEMORY)
    }
}

impl Room {
    pub fn of(bytes: usize) -> Room {
        Room { left: bytes, is_full: false }
    }

    fn take(&mut self, bytes: usize) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.is_full = true;
                Err(too_large())
            }
        }
    }

    /// A value where it stands.
    pub fn value(&mut self) -> Result<()> {
        self.take(size_of::<Value>())
    }

    /// What is behind a value: a text of that length, a name, or what an array or an object begins with.
    pub fn block(&mut self, bytes: usize) -> Result<()> {
        self.take(BLOCK + bytes)
    }

    /// An item of an array that has so many before it, besides the item itself.
    pub fn item(&mut self, before: usize) -> Result<()> {
        if before == 0 { self.take(SPARE) } else { Ok(()) }
    }

    /// A member of an object that has so many before it, besides name and value.
    pub fn member(&mut self, before: usize) -> Result<()> {
        if before.is_multiple_of(MEMBERS) { self.take(NODE) } else { Ok(()) }
    }
}

pub fn too_large() -> Error {
    let what =
        format!("got one that takes more than {MAX_MEMORY} bytes in memory, expected less; keep it in several keys");
    bad(ErrorKind::Unsupported, what)
}

/// About how many bytes a value takes in memory.
pub fn weight(value: &Value) -> usize {
    let mut open = vec![value];
    let mut sum = 0;
    while let Some(value) = open.pop() {
        sum += size_of::<Value>();
        match value {
            Value::String(text) => sum += BLOCK + text.len(),
            Value::Array(items) => {
                sum += BLOCK + if items.is_empty() { 0 } else { SPARE };
                open.extend(items);
            }
            Value::Object(members) => {
                sum += BLOCK + members.len().div_ceil(MEMBERS) * NODE;
                sum += members.keys().map(|name| BLOCK + name.len()).sum::<usize>();
                open.extend(members.values());
            }
            _ => {}
        }
    }
    sum
}

/// A value that is to be read, where there is room for it.
pub struct Tree<'r>(pub &'r mut Room);

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        self.0.value().map_err(D::Error::custom)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, on: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(on))
    }

    fn visit_i64<E>(self, number: i64) -> std::result::Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> std::result::Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> std::result::Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Value, E> {
        self.0.block(text.len()).map_err(E::custom)?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        self.0.block(0).map_err(A::Error::custom)?;
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(Tree(&mut *self.0))? {
            self.0.item(out.len()).map_err(A::Error::custom)?;
            out.push(item);
        }
        out.shrink_to_fit();
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> std::result::Result<Value, A::Error> {
        self.0.block(0).map_err(A::Error::custom)?;
        let mut out = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let counted = self.0.member(out.len()).and_then(|()| self.0.block(name.len()));
            counted.map_err(A::Error::custom)?;
            out.insert(name, members.next_value_seed(Tree(&mut *self.0))?);
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{JsonFormat, cbor, encode_payload, read_text};
    use super::*;

    /// What is counted while a value is read from either format is what it weighs then, so that what can be written can be
    /// read again; what has no room is refused in the middle, and not as a text that is none.
    #[test]
    fn room() {
        let members: Vec<String> = (0..40).map(|n| format!("\"{n:02}\":[{{}},{n}]")).collect();
        for text in [
            "null",
            "[]",
            "{}",
            "\"text \\u00fc\"",
            "[1,-1,1.5,true,null,\"a\"]",
            "[{\"\":0},{\"a\":{\"b\":[[]]}}]",
            &format!("{{{}}}", members.join(",")),
        ] {
            let mut room = Room::default();
            let value = read_text(text.as_bytes(), &mut room).unwrap();
            let weight = weight(&value);
            assert_eq!(MAX_MEMORY - room.left, weight, "{text}");
            let payload = encode_payload(JsonFormat::Cbor, &value).unwrap();
            let mut again = Room::of(weight);
            assert_eq!(cbor::read(&payload[1..], &mut again).unwrap(), value, "{text}");
            assert_eq!(again.left, 0, "{text}");
            for room in [0, 31, weight - 1] {
                for error in [
                    read_text(text.as_bytes(), &mut Room::of(room)).unwrap_err(),
                    cbor::read(&payload[1..], &mut Room::of(room)).unwrap_err(),
                ] {
                    assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}: {error}");
                }
            }
        }
        // Short texts of many small values are not much longer in memory than they may be.
        for small in ["{},", "[],", "1,", "[1],", "{\"\":1},"] {
            let text = format!("[{}0]", small.repeat(10_000));
            let error = read_text(text.as_bytes(), &mut Room::of(100_000)).unwrap_err();
            assert!(error.message().contains("in memory, expected less"), "{error}");
        }
    }
}
