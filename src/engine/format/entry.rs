//! An entry: one committed batch, as it is stored and sent between us.
//! `"PMLE", u8 format, u8 layout (1 for cluster), u8 id length, id, u64 first, u64 last, u32 length, batch, u32 crc32c` of all before it;
//! integers are little-endian.

use std::sync::Arc;

use super::batch::Batch;
use super::registry::check_replication_id;
use crate::engine::error::{Error, ErrorKind, Result, shown};

const MAGIC: &[u8; 4] = b"PMLE";
const FORMAT: u8 = 1;

/// One committed batch with its sequence numbers and the history that it continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The replication id before the batch; empty when the directory had none.
    pub replication_id: String,
    /// Whether its keys are in the cluster layout.
    pub cluster: bool,
    /// The sequence number of its first record.
    pub first: u64,
    /// The sequence number of its last record.
    pub last: u64,
    /// The batch.
    pub bytes: Arc<[u8]>,
}

fn bad(message: String) -> Error {
    Error::new(ErrorKind::Corruption, message)
}

fn check_id(id: &str) -> Result<()> {
    if !id.is_empty() {
        check_replication_id(id.as_bytes()).map_err(|error| error.context("entry"))?;
    }
    Ok(())
}

/// Checks a batch for an entry. Gives its first and last sequence number.
fn check_batch(bytes: &[u8]) -> Result<(u64, u64)> {
    let batch = Batch::parse(bytes).map_err(|error| error.context("entry"))?;
    if batch.count() == 0 {
        return Err(bad(format!(
            "entry at sequence {}: got a batch of 0 records, expected at least 1",
            batch.sequence()
        )));
    }
    Ok((batch.sequence(), batch.last_sequence()))
}

fn take<'a>(input: &mut &'a [u8], length: usize, what: &str) -> Result<&'a [u8]> {
    let Some((bytes, rest)) = input.split_at_checked(length) else {
        return Err(bad(format!("entry, {what}: got {} bytes, expected {length}", input.len())));
    };
    *input = rest;
    Ok(bytes)
}

fn take_array<const N: usize>(input: &mut &[u8], what: &str) -> Result<[u8; N]> {
    let Some((bytes, rest)) = input.split_first_chunk::<N>() else {
        return Err(bad(format!("entry, {what}: got {} bytes, expected {N}", input.len())));
    };
    *input = rest;
    Ok(*bytes)
}

impl Entry {
    /// An entry of a batch, which is checked and names the sequence numbers.
    pub fn new(replication_id: impl Into<String>, cluster: bool, bytes: Arc<[u8]>) -> Result<Entry> {
        let replication_id = replication_id.into();
        check_id(&replication_id)?;
        let (first, last) = check_batch(&bytes)?;
        Ok(Entry { replication_id, cluster, first, last, bytes })
    }

    /// The entry as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let id = self.replication_id.as_bytes();
        let id_length = u8::try_from(id.len()).unwrap_or(u8::MAX);
        let id = id.get(..usize::from(id_length)).unwrap_or(id);
        let mut out = Vec::with_capacity(31 + id.len() + self.bytes.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[FORMAT, self.cluster.into(), id_length]);
        out.extend_from_slice(id);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.last.to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&self.bytes);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// Reads and checks an entry, its batch included.
    pub fn decode(bytes: &[u8]) -> Result<Entry> {
        let mut input = bytes;
        let magic = take(&mut input, MAGIC.len(), "magic")?;
        if magic != MAGIC {
            return Err(bad(format!("entry, magic: got {}, expected {}", shown(magic), shown(MAGIC))));
        }
        let [format, layout, id_length] = take_array(&mut input, "format")?;
        if format != FORMAT {
            let message = format!("entry, format: got {format}, expected {FORMAT}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        if layout > 1 {
            return Err(bad(format!("entry, layout: got {layout}, expected 0 or 1")));
        }
        let id = take(&mut input, usize::from(id_length), "replication id")?;
        let first = u64::from_le_bytes(take_array(&mut input, "first sequence")?);
        let last = u64::from_le_bytes(take_array(&mut input, "last sequence")?);
        let length = u32::from_le_bytes(take_array(&mut input, "length")?);
        let batch = take(&mut input, usize::try_from(length).unwrap_or(usize::MAX), "batch")?;
        let covered = bytes.get(..bytes.len() - input.len()).unwrap_or(bytes);
        let crc = u32::from_le_bytes(take_array(&mut input, "checksum")?);
        if !input.is_empty() {
            return Err(bad(format!("entry: got {} bytes after the end, expected none", input.len())));
        }
        let computed = crc32c::crc32c(covered);
        if crc != computed {
            return Err(bad(format!("entry, crc32c: got {crc:#010x}, expected {computed:#010x}")));
        }
        let id = std::str::from_utf8(id).map_err(|_| {
            bad(format!("entry, replication id {}: got no UTF-8, expected letters and digits", shown(id)))
        })?;
        check_id(id)?;
        let got = check_batch(batch)?;
        if got != (first, last) {
            return Err(bad(format!("entry, batch: got sequences {} to {}, expected {first} to {last}", got.0, got.1)));
        }
        Ok(Entry { replication_id: id.to_string(), cluster: layout == 1, first, last, bytes: Arc::from(batch) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::BatchBuilder;
    use super::super::fuzz::hex;
    use super::*;

    const GOLDEN: &str = "504d4c45 01 00 10 4142434445464748494a4b4c4d4e4f50 0500000000000000 0500000000000000 42000000 \
        05000000000000000100000003013105010f0b5f5f6e616d657370616365666f6f0c810000000000000000626172 \
        031272204142434445464748494a4b4c4d4e4f50 36a0da15";

    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - 4);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// The bytes of an entry never change.
    #[test]
    fn golden_bytes() {
        let golden = hex(GOLDEN);
        let entry = Entry::decode(&golden).unwrap();
        assert_eq!((entry.replication_id.as_str(), entry.first, entry.last), ("ABCDEFGHIJKLMNOP", 5, 5));
        assert_eq!(Entry::new("ABCDEFGHIJKLMNOP", false, entry.bytes.clone()).unwrap(), entry);
        assert_eq!(entry.encode(), golden);
    }

    /// One flipped bit anywhere, a cut or a byte more: refused.
    #[test]
    fn damage() {
        let golden = hex(GOLDEN);
        for bit in 0..golden.len() * 8 {
            let mut bytes = golden.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Entry::decode(&bytes).is_err(), "bit {bit}");
        }
        for cut in 0..golden.len() {
            assert_eq!(Entry::decode(&golden[..cut]).unwrap_err().kind(), ErrorKind::Corruption, "cut at {cut}");
        }
        assert!(Entry::decode(&[&golden[..], b"x"].concat()).is_err());
    }

    /// Fields that disagree with the batch are refused although the checksum is right.
    #[test]
    fn disagreement() {
        let cases: [(usize, u8, &str); 4] = [
            (23, 6, "got sequences 5 to 5, expected 6 to 5"),
            (31, 6, "got sequences 5 to 5, expected 5 to 6"),
            (7, b'-', "replication id"),
            (43, 9, "got sequences 9 to 9"),
        ];
        for (at, byte, message) in cases {
            let mut bytes = hex(GOLDEN);
            bytes[at] = byte;
            let error = Entry::decode(&sealed(bytes)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption);
            assert!(error.message().contains(message), "{error}");
        }
        let mut bytes = hex(GOLDEN);
        bytes[4] = 2;
        let error = Entry::decode(&sealed(bytes)).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Unsupported, "entry, format: got 2, expected 1"));
    }

    /// A batch without records is no entry, and neither is a bad id; no id is allowed.
    #[test]
    fn no_entry() {
        let mut builder = BatchBuilder::new();
        builder.log_data(b"1");
        let empty: Arc<[u8]> = builder.finish(3).into();
        assert!(
            Entry::new("", false, empty).unwrap_err().message().contains("at sequence 3: got a batch of 0 records")
        );
        let mut builder = BatchBuilder::new();
        builder.put(1, b"k", b"v");
        let one: Arc<[u8]> = builder.finish(3).into();
        assert!(Entry::new("short", false, one.clone()).is_err());
        let entry = Entry::new("", true, one).unwrap();
        assert_eq!(Entry::decode(&entry.encode()).unwrap(), entry);
    }
}
