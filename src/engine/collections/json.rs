//! JSON documents as users hold them: as text.

use serde::Serialize;

use super::super::error::{Error, ErrorKind, Result};
use super::super::format::json::{Value, parse_text, parse_texts, to_text, weight};
use super::super::format::json_path::JsonPath;
use super::super::format::metadata::Kind;
use super::super::types::json;
use super::Key;

/// A JSON document, read and changed by JSONPath. A handle of a key, which need not be there; WrongType when it is of
/// another type.
///
/// Values go in and come out as the text of JSON, at most 1024 levels deep. A document is one record: every change
/// writes all of it, and each call holds all of it in memory, in at most 1 GiB: a number takes 32 bytes, a short array 150 and a
/// small object 700, so that this is 10 to 30 times the text of most documents, and a hundred times that of the worst. What
/// takes more is Unsupported, given or stored. Each call is one write, which survives a killed process when it returns, or one
/// look. A text or a path that is none is InvalidArgument.
///
/// ```
/// use pumice::{Engine, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let cart = engine.default_namespace().json("cart");
/// cart.set("$", r#"{"items": [], "paid": false}"#)?;
/// cart.append("$.items", &[r#"{"name": "pen", "price": 2}"#])?;
/// assert_eq!(cart.find("$.items[*].name")?.unwrap(), r#"["pen"]"#);
/// cart.merge("$", r#"{"paid": true}"#)?;
/// assert_eq!(cart.get()?.unwrap(), r#"{"items":[{"name":"pen","price":2}],"paid":true}"#);
/// assert_eq!(cart.remove("$.items[0]")?, 1);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Json {
    pub(super) key: Key,
}

fn text(value: &impl Serialize) -> Result<String> {
    String::from_utf8(to_text(value)?)
        .map_err(|_| Error::new(ErrorKind::Internal, "JSON document: got a text that is no UTF-8"))
}

impl Json {
    /// The whole document; `None` when there is none.
    pub fn get(&self) -> Result<Option<String>> {
        let document = self.key.read(json::read)?;
        document.map(|document| text(&document.value)).transpose()
    }

    /// What a path finds, as one array; `None` when there is no document.
    pub fn find(&self, path: &str) -> Result<Option<String>> {
        let path = JsonPath::parse(path.as_bytes())?;
        let Some(document) = self.key.read(json::read)? else { return Ok(None) };
        text(&path.find(&document.value)?).map(Some)
    }

    /// Sets what a path finds, or makes the member that a path of names names. A new document is set at `$`.
    pub fn set(&self, path: &str, value: &str) -> Result<()> {
        let (path, value) = (JsonPath::parse(path.as_bytes())?, parse_text(value.as_bytes())?);
        self.key.write(|writing, key| json::set(writing, key, &path, value))
    }

    /// Merges a patch into what a path finds (RFC 7396): members that are null in it go.
    pub fn merge(&self, path: &str, patch: &str) -> Result<()> {
        let (path, patch) = (JsonPath::parse(path.as_bytes())?, parse_text(patch.as_bytes())?);
        self.key.write(|writing, key| json::merge(writing, key, &path, &patch).map(drop))
    }

    /// Appends values to the arrays that a path finds. Their lengths then, `None` for what is no array. NotFound without
    /// a document.
    pub fn append(&self, path: &str, values: &[impl AsRef<str>]) -> Result<Vec<Option<u64>>> {
        let path = JsonPath::parse(path.as_bytes())?;
        let new = parse_texts(values.iter().map(|value| value.as_ref().as_bytes()))?;
        let adds = new.iter().map(weight).sum();
        let appended = self.key.write(|writing, key| {
            json::change(writing, key, &path, adds, |value| {
                let Value::Array(items) = value else { return Ok((None, false)) };
                items.extend_from_slice(&new);
                Ok((Some(items.len() as u64), true))
            })
        })?;
        appended.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("JSON document {}: there is none", self.key.shown()))
        })
    }

    /// Removes what a path finds; the whole document with `$`. How many values went.
    pub fn remove(&self, path: &str) -> Result<u64> {
        let path = JsonPath::parse(path.as_bytes())?;
        self.key.write(|writing, key| json::delete(writing, key, &path))
    }

    /// Removes the document.
    pub fn clear(&self) -> Result<()> {
        self.key.clear(Kind::JSON)
    }
}
