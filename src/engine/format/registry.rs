//! The namespace registry: the JSON object of token to namespace name under `__namespace_keys__` in the propagate
//! column family, and the replication id beside it.
//! Kvrocks: server/namespace.cc Namespace::LoadAndRewrite, Namespace::Rewrite; storage.cc kReplicationIdKey.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::key::{DEFAULT_NAMESPACE, MAX_NAMESPACE};
use crate::engine::error::{Error, ErrorKind, Result, shown};

/// Where the registry stands in the propagate column family.
pub const REGISTRY_KEY: &[u8] = b"__namespace_keys__";
/// Where the replication id stands in the propagate column family.
pub const REPLICATION_ID_KEY: &[u8] = b"replication_id_";
/// The length of a replication id.
pub const REPLICATION_ID_LENGTH: usize = 16;

pub const MAX_REGISTRY: usize = 64 << 20;
const MAX_TOKEN: usize = 4096;

/// The namespaces of one generation and their tokens. Its debug form shows no tokens.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Registry {
    tokens: BTreeMap<String, String>,
    /// A name may have several tokens when Kvrocks merged some from its config file.
    names: BTreeMap<String, BTreeSet<String>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("names", &self.names.keys()).finish_non_exhaustive()
    }
}

impl Registry {
    /// The token of a namespace: the first one in byte order where it has several.
    pub fn token_of(&self, name: &str) -> Option<&str> {
        self.names.get(name)?.first().map(String::as_str)
    }

    /// The namespace that a token opens.
    pub fn name_of(&self, token: &str) -> Option<&str> {
        self.tokens.get(token).map(String::as_str)
    }

    /// All tokens with the namespace that each opens, sorted by token.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tokens.iter().map(|(token, name)| (token.as_str(), name.as_str()))
    }

    /// The names, sorted by their bytes. The default namespace is not among them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Whether a namespace is registered.
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// How many namespaces are registered.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether none is registered.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Makes `token` the only token of `name`. A namespace that had this token, and no other, is gone.
    pub fn insert(&mut self, token: impl Into<String>, name: impl Into<String>) {
        let name = name.into();
        self.remove(&name);
        self.add(token.into(), name);
    }

    /// Forgets a namespace and its tokens. False when there was none.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(tokens) = self.names.remove(name) else { return false };
        for token in tokens {
            self.tokens.remove(&token);
        }
        true
    }

    fn add(&mut self, token: String, name: String) {
        if let Some(former) = self.tokens.insert(token.clone(), name.clone())
            && let Some(tokens) = self.names.get_mut(&former)
        {
            tokens.remove(&token);
            if tokens.is_empty() {
                self.names.remove(&former);
            }
        }
        self.names.entry(name).or_default().insert(token);
    }
}

fn bad(got: String, expected: &str) -> Error {
    Error::new(ErrorKind::Corruption, format!("namespace registry: got {got}, expected {expected}"))
}

/// Reads a registry. Messages show names but no tokens.
pub fn decode_registry(bytes: &[u8]) -> Result<Registry> {
    if bytes.len() > MAX_REGISTRY {
        return Err(bad(format!("{} bytes", bytes.len()), &format!("at most {MAX_REGISTRY}")));
    }
    // serde_json's own message may quote a token.
    let tokens: BTreeMap<String, String> = serde_json::from_slice(bytes).map_err(|error| {
        bad(
            format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column()),
            "a JSON object of strings",
        )
    })?;
    let mut registry = Registry::default();
    for (token, name) in tokens {
        if let Some(fault) = name_fault(name.as_bytes()) {
            return Err(bad(format!("the namespace {}, which {fault}", shown(name.as_bytes())), "a usable name"));
        }
        registry.add(token, name);
    }
    Ok(registry)
}

/// Writes a registry as Kvrocks does: sorted by token, no white space, `{}` when empty.
pub fn encode_registry(registry: &Registry) -> Vec<u8> {
    // A map of strings has no unwritable value and a Vec takes any bytes.
    serde_json::to_vec(&registry.tokens).unwrap_or_default()
}

/// Why a name is no namespace name, if so.
fn name_fault(name: &[u8]) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > MAX_NAMESPACE {
        Some("is longer than 255 bytes")
    } else if name.last() == Some(&0xFF) {
        Some("ends in the byte 0xFF")
    } else if std::str::from_utf8(name).is_err() {
        Some("is not UTF-8")
    } else if name == DEFAULT_NAMESPACE {
        Some("is the default namespace's own")
    } else {
        None
    }
}

/// Checks the name of a namespace to be registered.
pub fn check_name(name: &[u8]) -> Result<()> {
    match name_fault(name) {
        None => Ok(()),
        Some(fault) => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("namespace {}: the name {fault}, expected 1 to {MAX_NAMESPACE} bytes of UTF-8", shown(name)),
        )),
    }
}

/// Checks a token. The message does not show it.
pub fn check_token(token: &str) -> Result<()> {
    if (1..=MAX_TOKEN).contains(&token.len()) {
        return Ok(());
    }
    let message = format!("namespace token: got {} bytes, expected 1 to {MAX_TOKEN}", token.len());
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

/// Checks a replication id: 16 ASCII letters and digits. Kvrocks and we draw from `0-9A-Z`.
pub fn check_replication_id(bytes: &[u8]) -> Result<&str> {
    match std::str::from_utf8(bytes) {
        Ok(id) if id.len() == REPLICATION_ID_LENGTH && id.bytes().all(|b| b.is_ascii_alphanumeric()) => Ok(id),
        _ => Err(Error::new(
            ErrorKind::Corruption,
            format!("replication id {}: got {} bytes, expected 16 letters and digits", shown(bytes), bytes.len()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of<T: fmt::Debug>(result: Result<T>) -> ErrorKind {
        result.unwrap_err().kind()
    }

    /// A registry has the bytes of Kvrocks: sorted by token, no white space, `{}` when empty.
    #[test]
    fn known_bytes() {
        let mut registry = Registry::default();
        assert_eq!(encode_registry(&registry), b"{}");
        registry.insert("tok-b", "alpha");
        registry.insert("tok-a", "beta");
        registry.insert("quo\"te\n", "gamma");
        let bytes = br#"{"quo\"te\n":"gamma","tok-a":"beta","tok-b":"alpha"}"#;
        assert_eq!(encode_registry(&registry), bytes);
        assert_eq!(decode_registry(bytes).unwrap(), registry);
        assert_eq!(decode_registry(b" { } ").unwrap(), Registry::default());
    }

    /// Both directions of the registry always agree, whatever is inserted, replaced and removed.
    #[test]
    fn both_maps_agree() {
        let mut registry = Registry::default();
        registry.insert("t1", "a");
        registry.insert("t2", "b");
        assert_eq!((registry.token_of("a"), registry.name_of("t2"), registry.len()), (Some("t1"), Some("b"), 2));
        // A new token replaces the old one.
        registry.insert("t3", "a");
        assert_eq!((registry.token_of("a"), registry.name_of("t1")), (Some("t3"), None));
        // A token taken from another namespace leaves that one without any.
        registry.insert("t3", "b");
        assert_eq!((registry.contains("a"), registry.name_of("t3"), registry.name_of("t2")), (false, Some("b"), None));
        assert_eq!(registry.names().collect::<Vec<_>>(), ["b"]);
        assert!(registry.remove("b") && !registry.remove("b"));
        assert_eq!(registry, Registry::default());
        assert!(registry.is_empty());
    }

    /// Several tokens of one namespace, as Kvrocks may merge them, are all kept and all removed.
    #[test]
    fn several_tokens() {
        let mut registry = decode_registry(br#"{"t2":"a","t1":"a"}"#).unwrap();
        assert_eq!((registry.token_of("a"), registry.name_of("t2"), registry.len()), (Some("t1"), Some("a"), 1));
        assert_eq!(encode_registry(&registry), br#"{"t1":"a","t2":"a"}"#);
        registry.remove("a");
        assert_eq!(encode_registry(&registry), b"{}");
    }

    /// Anything but an object of usable names is Corruption, and no message or debug form shows a token.
    #[test]
    fn bad_registries() {
        let long = format!(r#"{{"secret":"{}"}}"#, "x".repeat(256));
        for bytes in [
            b"".as_slice(),
            b"[]",
            b"\"secret\"",
            br#"{"secret":1}"#,
            br#"{"secret":"a"} x"#,
            br#"{"secret":""}"#,
            br#"{"secret":"__namespace"}"#,
            b"{\"secret\":\"\xff\"}",
            long.as_bytes(),
        ] {
            let error = decode_registry(bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption);
            assert!(!error.message().contains("secret"), "{error}");
        }
        let registry = decode_registry(br#"{"secret":"a"}"#).unwrap();
        assert!(!format!("{registry:?}").contains("secret"));
        assert_eq!(kind_of(decode_registry(&vec![b' '; MAX_REGISTRY + 1])), ErrorKind::Corruption);
    }

    /// Each bad name is refused with its own reason, and the longest good one passes.
    #[test]
    fn names() {
        for (name, reason) in [
            (b"".as_slice(), "is empty"),
            (&[b'x'; 256], "longer than 255"),
            (b"x\xff", "0xFF"),
            (b"\xffx", "UTF-8"),
            (b"__namespace", "default"),
        ] {
            let error = check_name(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.message().contains(reason), "{error}");
        }
        check_name(&[b'x'; 255]).unwrap();
        check_name("grün".as_bytes()).unwrap();
    }

    /// Tokens are 1 to 4096 bytes, and a message about one does not show it.
    #[test]
    fn tokens() {
        check_token("t").unwrap();
        check_token(&"t".repeat(4096)).unwrap();
        assert_eq!(kind_of(check_token("")), ErrorKind::InvalidArgument);
        let error = check_token(&"t".repeat(4097)).unwrap_err();
        assert_eq!(error.message(), "namespace token: got 4097 bytes, expected 1 to 4096");
    }

    /// Replication ids are exactly 16 letters and digits.
    #[test]
    fn replication_ids() {
        assert_eq!(check_replication_id(b"ABCDEFGHIJKLMNO9").unwrap(), "ABCDEFGHIJKLMNO9");
        assert_eq!(check_replication_id(b"abcdefghijklmno9").unwrap(), "abcdefghijklmno9");
        for id in
            [b"".as_slice(), b"ABCDEFGHIJKLMNO", b"ABCDEFGHIJKLMNOPQ", b"ABCDEFGHIJKLMNO\xc3", b"ABCDEFGHIJKLMNO-"]
        {
            assert_eq!(kind_of(check_replication_id(id)), ErrorKind::Corruption);
        }
    }
}
