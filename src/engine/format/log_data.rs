//! LogData records: what Kvrocks notes beside the changes of a batch. `r <replication id>`, or the data type's
//! number in decimal with the command's arguments.
//! Kvrocks: server.h ServerLogData, redis_db.h WriteBatchLogData.

use super::registry::check_replication_id;

/// What a LogData record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogData<'a> {
    /// The replication id under which the batch was made.
    ReplicationId(&'a str),
    /// The data type of the command that made the batch, and its arguments.
    Redis {
        /// The type's number, as in metadata.
        kind: u8,
        /// The arguments, separated by spaces.
        args: &'a [u8],
    },
    /// Something else: to be kept and passed on as it is.
    Unknown(&'a [u8]),
}

/// Reads a LogData record. What it cannot read is `Unknown`.
pub fn parse_log_data(bytes: &[u8]) -> LogData<'_> {
    if let Some(id) = bytes.strip_prefix(b"r ")
        && let Ok(id) = check_replication_id(id)
    {
        return LogData::ReplicationId(id);
    }
    let (digits, args) = match bytes.iter().position(|&b| b == b' ') {
        Some(space) => (bytes.get(..space).unwrap_or_default(), bytes.get(space + 1..).unwrap_or_default()),
        None => (bytes, &[][..]),
    };
    // u8::from_str would take a leading plus.
    let decimal = digits.iter().all(u8::is_ascii_digit);
    match std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u8>().ok()) {
        Some(kind) if decimal => LogData::Redis { kind, args },
        _ => LogData::Unknown(bytes),
    }
}

/// The pieces of the LogData record that ends every batch of ours.
pub fn replication_id_log(id: &str) -> [&[u8]; 2] {
    [b"r ", id.as_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes of Kvrocks and ours are told apart, and what is neither stays as it is.
    #[test]
    fn known_notes() {
        let id = "ABCDEFGHIJKLMNOP";
        assert_eq!(replication_id_log(id).concat(), b"r ABCDEFGHIJKLMNOP");
        assert_eq!(parse_log_data(&replication_id_log(id).concat()), LogData::ReplicationId(id));
        assert_eq!(parse_log_data(b"1"), LogData::Redis { kind: 1, args: b"" });
        assert_eq!(parse_log_data(b"3 4 k 0"), LogData::Redis { kind: 3, args: b"4 k 0" });
        for note in [b"".as_slice(), b"r", b"r short", b"+1", b" 1", b"256", b"1x", b"\xff\xff"] {
            assert_eq!(parse_log_data(note), LogData::Unknown(note));
        }
    }
}
