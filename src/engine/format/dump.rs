//! What DUMP gives and RESTORE takes: one object of an RDB file, its version and a CRC-64.
//! Kvrocks: storage/rdb/rdb.cc. Written as Kvrocks writes it; read also in the packed forms that Redis writes.

use crate::engine::error::{Error, ErrorKind, Result, shown};

/// The RDB version that Kvrocks writes, and the newest that it takes.
const WRITTEN_VERSION: u16 = 6;
const NEWEST_VERSION: u16 = 12;

/// The most bytes that the parts of one object may have together once unpacked.
const MAX_UNPACKED: u64 = 1 << 30;
/// What an item takes beside its bytes.
const ITEM_BYTES: u64 = 48;

/// An object, as the commands of its type see it.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    String(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(Vec<Vec<u8>>),
    SortedSet(Vec<(Vec<u8>, f64)>),
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
}

const CRC64: [u64; 256] = crc64_table();

/// CRC-64 of Jones, reflected: the one of Redis.
const fn crc64_table() -> [u64; 256] {
    let mut table = [0u64; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ 0x95AC_9329_AC4B_C9B5 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

fn crc64(bytes: &[u8]) -> u64 {
    // A u8 index into 256 entries.
    bytes.iter().fold(0, |crc, &byte| CRC64[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// The payload of an object, with its footer.
pub fn encode_dump(object: &Object) -> Vec<u8> {
    let mut out = Vec::new();
    match object {
        Object::String(value) => {
            out.push(0);
            append_string(&mut out, value);
        }
        Object::List(items) => {
            // A quick list of ziplists with one entry each.
            out.push(14);
            append_length(&mut out, items.len() as u64);
            items.iter().for_each(|item| append_string(&mut out, &ziplist_of(item)));
        }
        Object::Set(members) => {
            out.push(2);
            append_length(&mut out, members.len() as u64);
            members.iter().for_each(|member| append_string(&mut out, member));
        }
        Object::SortedSet(members) => {
            out.push(5);
            append_length(&mut out, members.len() as u64);
            for (member, score) in members {
                append_string(&mut out, member);
                out.extend(score.to_le_bytes());
            }
        }
        Object::Hash(fields) => {
            out.push(4);
            append_length(&mut out, fields.len() as u64);
            for (field, value) in fields {
                append_string(&mut out, field);
                append_string(&mut out, value);
            }
        }
    }
    sealed(out)
}

/// A body with its version and its checksum behind it.
pub fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    body.extend(WRITTEN_VERSION.to_le_bytes());
    let crc = crc64(&body);
    body.extend(crc.to_le_bytes());
    body
}

fn append_length(out: &mut Vec<u8>, length: u64) {
    match length {
        0..0x40 => out.push(length as u8),
        0x40..0x4000 => out.extend((length as u16 | 0x4000).to_be_bytes()),
        0x4000..=0xFFFF_FFFF => {
            out.push(0x80);
            out.extend((length as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend(length.to_be_bytes());
        }
    }
}

fn append_string(out: &mut Vec<u8>, value: &[u8]) {
    if let Some(number) = canonical_integer(value) {
        if let Ok(number) = i8::try_from(number) {
            return out.extend([0xC0, number as u8]);
        }
        if let Ok(number) = i16::try_from(number) {
            out.push(0xC1);
            return out.extend(number.to_le_bytes());
        }
        if let Ok(number) = i32::try_from(number) {
            out.push(0xC2);
            return out.extend(number.to_le_bytes());
        }
    }
    append_length(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// The number that a text is, if the text is how that number is written.
fn canonical_integer(value: &[u8]) -> Option<i64> {
    if value.len() > 11 {
        return None;
    }
    let number: i64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == value).then_some(number)
}

fn ziplist_of(item: &[u8]) -> Vec<u8> {
    let mut entry = vec![0];
    match item.len() {
        length @ 0..0x40 => entry.push(length as u8),
        length @ 0x40..0x4000 => entry.extend((length as u16 | 0x4000).to_be_bytes()),
        length => {
            entry.push(0x80);
            entry.extend((length as u32).to_be_bytes());
        }
    }
    let total = 10 + entry.len() + item.len() + 1;
    let mut out = Vec::with_capacity(total);
    out.extend((total as u32).to_le_bytes());
    out.extend(10u32.to_le_bytes());
    out.extend(1u16.to_le_bytes());
    out.extend(entry);
    out.extend_from_slice(item);
    out.push(0xFF);
    out
}

/// In the words of Kvrocks.
fn refused(what: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, what)
}

fn bad(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("payload of RESTORE: {what}"))
}

/// Reads a payload whose checksum is right.
pub fn decode_dump(payload: &[u8]) -> Result<Object> {
    let footer = payload.split_last_chunk::<8>().and_then(|(signed, crc)| {
        let (body, version) = signed.split_last_chunk::<2>()?;
        Some((signed, body, u16::from_le_bytes(*version), u64::from_le_bytes(*crc)))
    });
    let Some((signed, body, version, crc)) = footer else {
        return Err(refused("invalid payload length".to_owned()));
    };
    if version > NEWEST_VERSION {
        return Err(refused(format!("invalid or unsupported rdb version: {version}")));
    }
    if crc64(signed) != crc {
        return Err(refused("incorrect checksum".to_owned()));
    }
    let mut reader = Reader { bytes: body, unpacked: 0 };
    let object = reader.object()?;
    if !reader.bytes.is_empty() {
        return Err(bad(format_args!("got {} bytes behind the object, expected none", reader.bytes.len())));
    }
    Ok(object)
}

struct Reader<'a> {
    bytes: &'a [u8],
    unpacked: u64,
}

/// A length, or the number of a special encoding.
enum Length {
    Plain(u64),
    Special(u8),
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(length).ok().and_then(|length| self.bytes.split_at_checked(length));
        let Some((taken, rest)) = split else {
            return Err(bad(format_args!("got {} more bytes, expected {length}", self.bytes.len())));
        };
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn big(&mut self, length: u64) -> Result<u64> {
        Ok(self.take(length)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn little(&mut self, length: u64) -> Result<i64> {
        let bytes = self.take(length)?;
        let number = bytes.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        let spare = 64 - 8 * length;
        Ok(((number << spare) as i64) >> spare)
    }

    fn length_or_special(&mut self) -> Result<Length> {
        let first = self.byte()?;
        Ok(match first >> 6 {
            0 => Length::Plain(first.into()),
            1 => Length::Plain(u64::from(first & 0x3F) << 8 | u64::from(self.byte()?)),
            3 => Length::Special(first & 0x3F),
            _ => match first {
                0x80 => Length::Plain(self.big(4)?),
                0x81 => Length::Plain(self.big(8)?),
                _ => return Err(bad(format_args!("got the length {first:#04x}"))),
            },
        })
    }

    fn length(&mut self) -> Result<u64> {
        match self.length_or_special()? {
            Length::Plain(length) => Ok(length),
            Length::Special(encoding) => Err(bad(format_args!("got the encoding {encoding}, expected a length"))),
        }
    }

    /// Counts an item of that length before it is made.
    fn charge(&mut self, length: u64) -> Result<()> {
        self.unpacked = self.unpacked.saturating_add(length).saturating_add(ITEM_BYTES);
        if self.unpacked > MAX_UNPACKED {
            return Err(bad(format_args!("got more than {MAX_UNPACKED} bytes of content")));
        }
        Ok(())
    }

    fn string(&mut self) -> Result<Vec<u8>> {
        Ok(match self.length_or_special()? {
            Length::Plain(length) => self.item(length)?,
            Length::Special(encoding @ 0..=2) => self.integer(1 << encoding)?,
            Length::Special(3) => {
                let (packed, length) = (self.length()?, self.length()?);
                let packed = self.take(packed)?;
                self.charge(length)?;
                unpack_lzf(packed, length)?
            }
            Length::Special(encoding) => return Err(bad(format_args!("got the string encoding {encoding}"))),
        })
    }

    /// An item of that length.
    fn item(&mut self, length: u64) -> Result<Vec<u8>> {
        self.charge(length.min(self.bytes.len() as u64))?;
        Ok(self.take(length)?.to_vec())
    }

    /// An integer of that many bytes, as the item that it stands for.
    fn integer(&mut self, length: u64) -> Result<Vec<u8>> {
        self.charge(0)?;
        Ok(self.little(length)?.to_string().into_bytes())
    }

    /// An integer that its head is.
    fn small(&mut self, integer: u8) -> Result<Vec<u8>> {
        self.charge(0)?;
        Ok(integer.to_string().into_bytes())
    }

    fn strings(&mut self) -> Result<Vec<Vec<u8>>> {
        let count = self.length()?;
        (0..count).map(|_| self.string()).collect()
    }

    /// The items of a string that packs many, within the same bounds.
    fn packed(&mut self, unpack: fn(&mut Reader<'_>) -> Result<Vec<Vec<u8>>>) -> Result<Vec<Vec<u8>>> {
        let packed = self.string()?;
        let mut inner = Reader { bytes: &packed, unpacked: self.unpacked };
        let items = unpack(&mut inner);
        self.unpacked = inner.unpacked;
        items
    }

    fn object(&mut self) -> Result<Object> {
        Ok(match self.byte()? {
            0 => Object::String(self.string()?),
            1 => Object::List(self.strings()?),
            2 => Object::Set(self.strings()?),
            kind @ (3 | 5) => {
                let count = self.length()?;
                let mut members = Vec::new();
                for _ in 0..count {
                    let member = self.string()?;
                    let score = if kind == 5 { f64::from_bits(self.little(8)? as u64) } else { self.text_score()? };
                    members.push((member, checked_score(score)?));
                }
                Object::SortedSet(members)
            }
            4 => {
                let count = self.length()?;
                let mut fields = Vec::new();
                for _ in 0..count {
                    fields.push((self.string()?, self.string()?));
                }
                Object::Hash(fields)
            }
            10 => Object::List(self.packed(ziplist)?),
            11 => Object::Set(self.packed(intset)?),
            12 => Object::SortedSet(scored(self.packed(ziplist)?)?),
            13 => Object::Hash(paired(self.packed(ziplist)?)?),
            kind @ (14 | 18) => {
                let count = self.length()?;
                let mut items = Vec::new();
                for _ in 0..count {
                    match if kind == 14 { 0 } else { self.length()? } {
                        0 => items.extend(self.packed(ziplist)?),
                        1 => items.push(self.string()?),
                        2 => items.extend(self.packed(listpack)?),
                        container => return Err(bad(format_args!("got the list container {container}"))),
                    }
                }
                Object::List(items)
            }
            16 => Object::Hash(paired(self.packed(listpack)?)?),
            17 => Object::SortedSet(scored(self.packed(listpack)?)?),
            20 => Object::Set(self.packed(listpack)?),
            kind => {
                return Err(Error::new(ErrorKind::Unsupported, format!("unsupported type: {kind}")));
            }
        })
    }

    fn text_score(&mut self) -> Result<f64> {
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Ok(f64::NAN),
            length => parse_score(self.take(length.into())?),
        }
    }
}

fn checked_score(score: f64) -> Result<f64> {
    if score.is_nan() { Err(bad("got a score that is not a number")) } else { Ok(score) }
}

fn parse_score(text: &[u8]) -> Result<f64> {
    let score = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    checked_score(score.ok_or_else(|| bad(format_args!("got the score {}", shown(text))))?)
}

fn paired(items: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    if !items.len().is_multiple_of(2) {
        return Err(bad(format_args!("got {} items, expected pairs", items.len())));
    }
    let mut items = items.into_iter();
    let mut out = Vec::new();
    while let (Some(first), Some(second)) = (items.next(), items.next()) {
        out.push((first, second));
    }
    Ok(out)
}

fn scored(items: Vec<Vec<u8>>) -> Result<Vec<(Vec<u8>, f64)>> {
    paired(items)?.into_iter().map(|(member, score)| Ok((member, parse_score(&score)?))).collect()
}

fn intset(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>> {
    let (width, count) = (reader.little(4)? as u64, reader.little(4)? as u32);
    if ![2, 4, 8].contains(&width) {
        return Err(bad(format_args!("got integers of {width} bytes, expected 2, 4 or 8")));
    }
    (0..count).map(|_| reader.integer(width)).collect()
}

fn ziplist(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>> {
    reader.take(10)?;
    let mut items = Vec::new();
    loop {
        // The length of the entry before, which only walking backwards needs.
        match reader.byte()? {
            0xFF => return Ok(items),
            0xFE => drop(reader.take(4)?),
            _ => {}
        }
        let head = reader.byte()?;
        let length = match head >> 6 {
            0 => Some(u64::from(head)),
            1 => Some(u64::from(head & 0x3F) << 8 | u64::from(reader.byte()?)),
            2 => Some(reader.big(4)?),
            _ => None,
        };
        items.push(match (length, head) {
            (Some(length), _) => reader.item(length)?,
            (None, 0xC0) => reader.integer(2)?,
            (None, 0xD0) => reader.integer(4)?,
            (None, 0xE0) => reader.integer(8)?,
            (None, 0xF0) => reader.integer(3)?,
            (None, 0xFE) => reader.integer(1)?,
            (None, 0xF1..=0xFD) => reader.small(head - 0xF1)?,
            (None, _) => return Err(bad(format_args!("got the ziplist entry {head:#04x}"))),
        });
    }
}

fn listpack(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>> {
    reader.take(6)?;
    let mut items = Vec::new();
    loop {
        let before = reader.bytes.len();
        let head = reader.byte()?;
        let item = match head {
            0xFF => return Ok(items),
            0x00..=0x7F => reader.small(head)?,
            0x80..=0xBF => reader.item(u64::from(head & 0x3F))?,
            0xC0..=0xDF => {
                let raw = i64::from(head & 0x1F) << 8 | i64::from(reader.byte()?);
                reader.charge(0)?;
                ((raw << 51) >> 51).to_string().into_bytes()
            }
            0xE0..=0xEF => {
                let length = u64::from(head & 0x0F) << 8 | u64::from(reader.byte()?);
                reader.item(length)?
            }
            0xF0 => {
                let length = reader.little(4)? as u32;
                reader.item(length.into())?
            }
            0xF1..=0xF4 => reader.integer([2, 3, 4, 8][usize::from(head - 0xF1)])?,
            _ => return Err(bad(format_args!("got the listpack entry {head:#04x}"))),
        };
        // The entry's own length follows it, in groups of seven bits.
        let back = match before - reader.bytes.len() {
            0..=0x7F => 1,
            0x80..=0x3FFF => 2,
            0x4000..=0x1F_FFFF => 3,
            0x20_0000..=0xFFF_FFFF => 4,
            _ => 5,
        };
        reader.take(back)?;
        items.push(item);
    }
}

/// Unpacks LZF: runs of literals, and copies from what was unpacked before.
fn unpack_lzf(packed: &[u8], length: u64) -> Result<Vec<u8>> {
    let mut reader = Reader { bytes: packed, unpacked: 0 };
    let mut out: Vec<u8> = Vec::new();
    while !reader.bytes.is_empty() && out.len() as u64 <= length {
        let control = reader.byte()?;
        if control < 0x20 {
            out.extend_from_slice(reader.take(u64::from(control) + 1)?);
            continue;
        }
        let mut count = usize::from(control >> 5);
        if count == 7 {
            count += usize::from(reader.byte()?);
        }
        let back = usize::from(control & 0x1F) << 8 | usize::from(reader.byte()?);
        let Some(start) = out.len().checked_sub(back + 1) else {
            return Err(bad("got LZF that copies from before its start"));
        };
        for at in start..start + count + 2 {
            // A copy may overlap what it makes.
            let byte = out.get(at).copied().unwrap_or_default();
            out.push(byte);
        }
    }
    if out.len() as u64 == length {
        return Ok(out);
    }
    Err(bad(format_args!("got {} bytes of LZF, expected {length}", out.len())))
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::hex;
    use super::*;

    /// A string has the payload that a Kvrocks server gave, and the checksum is that of Redis.
    #[test]
    fn known_payloads() {
        assert_eq!(crc64(b"123456789"), 0xe9c6d914c4b8d9ca);
        let dump = hex("001268656c6c6f2066726f6d2064656661756c74060076c8825619c71c6f");
        let object = Object::String(b"hello from default".to_vec());
        assert_eq!(encode_dump(&object), dump);
        assert_eq!(decode_dump(&dump).unwrap(), object);
    }

    /// Every object comes back from its payload, and no payload that was changed is taken.
    #[test]
    fn round_trips() {
        let texts = || ["", "a", "-5", "300", "70000", "99999999999", "007", "+1"].map(|t| t.as_bytes().to_vec());
        let long = vec![b'x'; 20_000];
        for object in [
            Object::String(long.clone()),
            Object::List(texts().into_iter().chain([long.clone(), vec![0xFF; 100]]).collect()),
            Object::Set(texts().to_vec()),
            Object::SortedSet(texts().into_iter().zip([0.0, -1.5, f64::INFINITY, 1e300, 2.0, 3.0, 4.0, 5.0]).collect()),
            Object::Hash(texts().into_iter().zip(texts()).collect()),
        ] {
            let payload = encode_dump(&object);
            assert_eq!(decode_dump(&payload).unwrap(), object);
            for at in (0..payload.len()).step_by(97) {
                let mut changed = payload.clone();
                changed[at] ^= 1;
                assert!(decode_dump(&changed).is_err());
                assert!(decode_dump(&payload[..at]).is_err());
            }
        }
    }

    /// Lying counts and lengths behind a right checksum are refused with little memory.
    #[test]
    fn lies() {
        for body in [
            "",
            "00",
            "02 8100ffffffffffffff",
            "00 81ffffffffffffffff",
            "00 c3 01 81ffffffffffffffff 00",
            "00 c3 03 20 20 20 20",
            "0b 08 0300000001000000",
            "0a 0b 00000000000000000000 ff 00",
            "0a 01 00",
            "10 07 000000000000 f0",
            "14 07 000000000000 f9",
            "06 00",
            "0e 01 00",
            "05 01 00 000000000000f87f",
            "15 00",
        ] {
            let mut payload = hex(body);
            payload.extend(6u16.to_le_bytes());
            payload.extend(crc64(&payload).to_le_bytes());
            assert!(decode_dump(&payload).is_err(), "{body}");
        }
    }

    /// Many items that are nothing, or were packed into less than a byte each, count as what they take.
    #[test]
    fn many_small_items() {
        let sealed = |mut payload: Vec<u8>| {
            payload.extend(6u16.to_le_bytes());
            payload.extend(crc64(&payload).to_le_bytes());
            payload
        };
        let zeros = |count: u32| {
            let mut set = hex("02 80");
            set.extend(count.to_be_bytes());
            set.resize(set.len() + count as usize, 0);
            sealed(set)
        };
        assert!(matches!(decode_dump(&zeros(1000)), Ok(Object::Set(items)) if items.len() == 1000));
        assert!(decode_dump(&zeros((MAX_UNPACKED / ITEM_BYTES) as u32 + 1)).is_err());

        // A listpack of integers of two bytes, by LZF copies of 264 bytes.
        let copied = |copies: u32| {
            let (length, packed) = (8 + 264 * copies, 9 + 3 * copies + 2);
            let mut list = hex("14 c3 80");
            list.extend(packed.to_be_bytes());
            list.push(0x80);
            list.extend((length + 1).to_be_bytes());
            list.extend(hex("07 000000000000 0101"));
            list.extend(hex("e0ff01").repeat(copies as usize));
            list.extend(hex("00 ff"));
            sealed(list)
        };
        assert!(matches!(decode_dump(&copied(10)), Ok(Object::Set(items)) if items.len() == 1 + 132 * 10));
        assert!(decode_dump(&copied(180_000)).is_err());
    }
}
