//! What a Kvrocks wrote and was told, as the fixtures have it.

use std::fs;
use std::path::PathBuf;

use super::fixture;

/// The folders of fixtures: those of the tests, and all below `PUMICE_FIXTURES`.
pub fn fixtures() -> Vec<PathBuf> {
    let names = ["plain-wal", "plain-zstd", "plain-lz4", "plain-snappy", "cluster-zstd"];
    let mut found: Vec<PathBuf> = names.iter().map(|name| fixture(name)).collect();
    if let Some(more) = std::env::var_os("PUMICE_FIXTURES") {
        let folders = fs::read_dir(more).unwrap().map(|entry| entry.unwrap().path());
        found.extend(folders.filter(|folder| folder.join("expected.json").exists()));
    }
    found
}

/// The words of a line as `redis-cli` reads it.
pub fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.iter().copied().peekable();
    while let Some(first) = bytes.next() {
        if first == b' ' {
            continue;
        }
        let mut word = Vec::new();
        if first != b'"' {
            word.push(first);
            while let Some(byte) = bytes.next_if(|byte| *byte != b' ') {
                word.push(byte);
            }
            words.push(word);
            continue;
        }
        loop {
            match bytes.next().unwrap() {
                b'"' => break,
                b'\\' => match bytes.next().unwrap() {
                    b'x' => {
                        let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                        word.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                    }
                    other => word.push(other),
                },
                byte => word.push(byte),
            }
        }
        words.push(word);
    }
    words
}

/// A key as it is in the metadata; `namespace` as the fixtures name it.
pub fn stored_key(namespace: &str, cluster: bool, key: &[u8]) -> Vec<u8> {
    let stored = if namespace == "default" { "__namespace" } else { namespace };
    let slot = if cluster { slot(key).to_be_bytes().to_vec() } else { Vec::new() };
    [&[stored.len() as u8], stored.as_bytes(), &slot, key].concat()
}

/// The key in the metadata that a subkey belongs to, and where its version begins.
pub fn key_of(subkey: &[u8], cluster: bool) -> (Vec<u8>, usize) {
    let head = 1 + usize::from(subkey[0]) + if cluster { 2 } else { 0 };
    let length = u32::from_be_bytes(subkey[head..head + 4].try_into().unwrap()) as usize;
    ([&subkey[..head], &subkey[head + 4..head + 4 + length]].concat(), head + 4 + length)
}

/// CRC-16/XMODEM of the hash tag, or of the key.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        rest.iter().position(|&byte| byte == b'}').filter(|&close| close > 0).map(|close| &rest[..close])
    });
    let crc = tag.unwrap_or(key).iter().fold(0u16, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    });
    crc & 0x3FFF
}
