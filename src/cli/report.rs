//! What a command has to say.

use std::path::Path;

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

/// The password in the first line of a file, or in the environment's `PUMICE_PASSWORD`; none without either.
pub fn password(file: Option<&Path>) -> Result<Option<String>, String> {
    match file {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|e| format!("password file {}: {e}", file.display()))?;
            let line = text.lines().next().unwrap_or_default();
            if line.is_empty() {
                return Err(format!(
                    "password file {}: its first line is empty, expected the password",
                    file.display()
                ));
            }
            Ok(Some(line.to_owned()))
        }
        // What is there and no password must not mean that there is none.
        None => match std::env::var_os("PUMICE_PASSWORD").map(std::ffi::OsString::into_string) {
            None => Ok(None),
            Some(Ok(password)) if !password.is_empty() => Ok(Some(password)),
            Some(Ok(_)) => Err("PUMICE_PASSWORD: it is empty, expected the password; unset it for none".to_owned()),
            Some(Err(_)) => Err("PUMICE_PASSWORD: got bytes that are not UTF-8, expected UTF-8".to_owned()),
        },
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
