//! What a command has to say.

use serde_json::{Value, json};

use crate::Position;

/// A result for people and for programs, with the exit status.
pub struct Report {
    pub text: String,
    pub json: Value,
    pub status: i32,
}

impl Report {
    pub fn good(text: String, json: Value) -> Report {
        Report { text, json, status: 0 }
    }
}

/// A position for people.
pub fn position_text(position: &Position) -> String {
    let id = if position.replication_id.is_empty() { "no replication id," } else { &position.replication_id };
    format!("{id} {}", position.sequence)
}

/// A position for programs.
pub fn position_json(position: &Position) -> Value {
    json!({ "replication_id": position.replication_id, "sequence": position.sequence })
}

/// A name for people: as it is where that is plain text, else escaped.
pub fn name_text(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.is_empty() && !text.chars().any(|c| c.is_control() || c == '"') => text.to_owned(),
        _ => format!("\"{}\"", name.escape_ascii()),
    }
}

/// A name for programs: text, with its bytes in hex where it is none.
pub fn name_json(name: &[u8]) -> Value {
    match std::str::from_utf8(name) {
        Ok(name) => json!({ "name": name }),
        Err(_) => {
            let hex: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "name": String::from_utf8_lossy(name), "name_hex": hex })
        }
    }
}
