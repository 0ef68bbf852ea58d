//! Random text, for ids and tokens.

use super::error::{Error, ErrorKind, Result};

/// 16 characters of `[0-9A-Z]`, as Kvrocks draws them.
pub fn random_id() -> Result<String> {
    random_text(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 16)
}

/// `length` random characters of an alphabet of at most 256.
pub fn random_text(alphabet: &[u8], length: usize) -> Result<String> {
    let limit = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0u8; 64];
    while text.len() < length {
        getrandom::fill(&mut bytes).map_err(|e| Error::new(ErrorKind::Io, format!("read random bytes: {e}")))?;
        let drawn = bytes.iter().map(|&byte| usize::from(byte)).filter(|&byte| byte < limit);
        text.extend(drawn.map(|byte| char::from(alphabet[byte % alphabet.len()])).take(length - text.len()));
    }
    Ok(text)
}
