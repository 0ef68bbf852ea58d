//! JSONPath, as far as Kvrocks' users ask for it: names, indexes, slices, wildcards, unions, descent, and filters that
//! compare. No crate: those that are alive bring features of RocksDB's own build dependencies, or recurse without end.

use std::cmp::Ordering;

use super::json::{MAX_DEPTH, Value};
use crate::engine::error::{Error, ErrorKind, Result, shown};

/// One step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Name(String),
    Index(usize),
}

/// Where a value is in its document: the steps to it from the root.
pub type Location = Vec<Key>;

/// A path that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
struct Step {
    /// Whether it is taken from every value below, and not only from this one.
    descend: bool,
    selectors: Vec<Selector>,
}

#[derive(Clone, Debug, PartialEq)]
enum Selector {
    Name(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>, i64),
    All,
    Filter(Filter),
}

#[derive(Clone, Debug, PartialEq)]
enum Filter {
    Or(Vec<Filter>),
    And(Vec<Filter>),
    Not(Box<Filter>),
    Compare(Operand, Comparison, Operand),
    Exists(Operand),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Literal(Value),
    Path { from_root: bool, path: JsonPath },
}

/// The longest path, and how deep parentheses and paths may be in each other.
const MAX_LENGTH: usize = 4096;
const MAX_NESTING: usize = 32;
/// The most values that one path may find, and the most that it may look at.
const MAX_FOUND: usize = 1 << 20;
const MAX_VISITED: usize = 1 << 24;

impl JsonPath {
    pub fn parse(text: &[u8]) -> Result<JsonPath> {
        let refused = |what: &str| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("JSON path {}: {what}, expected one like $.a[0]", shown(text)),
            )
        };
        if text.len() > MAX_LENGTH {
            return Err(refused(&format!("got {} bytes, expected at most {MAX_LENGTH}", text.len())));
        }
        let source = std::str::from_utf8(text).map_err(|_| refused("got bytes that are no UTF-8"))?;
        let mut parser = Parser { rest: source, nesting: 0 };
        parser.space();
        if !parser.eat("$") && !parser.eat("@") {
            return Err(refused("got no $ at its start"));
        }
        let path = parser.path().map_err(|what| refused(&format!("got {what}")))?;
        parser.space();
        if !parser.rest.is_empty() {
            return Err(refused(&format!("got {} at its end", shown(parser.rest.as_bytes()))));
        }
        Ok(path)
    }

    /// Whether it is the root alone.
    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// Every value that the path names, in the order of the document, each once.
    pub fn find(&self, root: &Value) -> Result<Vec<Location>> {
        let mut search = Search { root, visited: 0 };
        search.find(root, self)
    }

    /// The one place that a path of names and indexes names, whether or not it is there.
    pub fn single(&self) -> Option<Vec<(&str, i64)>> {
        self.steps
            .iter()
            .map(|step| match (step.descend, &step.selectors[..]) {
                (false, [Selector::Name(name)]) => Some((name.as_str(), 0)),
                (false, [Selector::Index(index)]) => Some(("", *index)),
                _ => None,
            })
            .collect()
    }

    /// The steps of a path that leads to one place: where a new member can be made.
    pub fn keys(&self) -> Option<Vec<Key>> {
        let key = |step: &Step| match (step.descend, &step.selectors[..]) {
            (false, [Selector::Name(name)]) => Some(Key::Name(name.clone())),
            (false, [Selector::Index(index)]) => usize::try_from(*index).ok().map(Key::Index),
            _ => None,
        };
        self.steps.iter().map(key).collect()
    }
}

/// The value at a location.
pub fn at<'a>(root: &'a Value, location: &[Key]) -> Option<&'a Value> {
    location.iter().try_fold(root, |value, key| match key {
        Key::Name(name) => value.get(name),
        Key::Index(index) => value.get(index),
    })
}

/// The value at a location, to be changed.
pub fn at_mut<'a>(root: &'a mut Value, location: &[Key]) -> Option<&'a mut Value> {
    location.iter().try_fold(root, |value, key| match key {
        Key::Name(name) => value.get_mut(name),
        Key::Index(index) => value.get_mut(index),
    })
}

/// Takes the value at a location out of its parent.
pub fn remove(root: &mut Value, location: &[Key]) -> bool {
    let Some((last, parent)) = location.split_last() else { return false };
    match (at_mut(root, parent), last) {
        (Some(Value::Object(members)), Key::Name(name)) => members.remove(name).is_some(),
        (Some(Value::Array(items)), Key::Index(index)) if *index < items.len() => {
            items.remove(*index);
            true
        }
        _ => false,
    }
}

struct Search<'a> {
    root: &'a Value,
    visited: usize,
}

impl<'a> Search<'a> {
    fn find(&mut self, from: &'a Value, path: &JsonPath) -> Result<Vec<Location>> {
        let mut found: Vec<(Location, &'a Value)> = vec![(Vec::new(), from)];
        for step in &path.steps {
            let mut next = Vec::new();
            for (location, value) in found {
                self.take(step, location, value, 0, &mut next)?;
            }
            found = next;
        }
        let mut out = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for (location, _) in found {
            if seen.insert(shape(&location)) {
                out.push(location);
            }
        }
        Ok(out)
    }

    fn take(
        &mut self,
        step: &Step,
        location: Location,
        value: &'a Value,
        depth: usize,
        out: &mut Vec<(Location, &'a Value)>,
    ) -> Result<()> {
        self.visited += 1;
        if self.visited > MAX_VISITED || out.len() > MAX_FOUND || depth > MAX_DEPTH {
            let message = format!("JSON path: got more than {MAX_FOUND} values, expected a path that finds fewer");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        for selector in &step.selectors {
            self.select(selector, &location, value, out)?;
        }
        if step.descend {
            for (key, child) in children(value) {
                let mut location = location.clone();
                location.push(key);
                self.take(step, location, child, depth + 1, out)?;
            }
        }
        Ok(())
    }

    fn select(
        &mut self,
        selector: &Selector,
        location: &Location,
        value: &'a Value,
        out: &mut Vec<(Location, &'a Value)>,
    ) -> Result<()> {
        let mut push = |key: Key, child: &'a Value| {
            let mut location = location.clone();
            location.push(key);
            out.push((location, child));
        };
        match (selector, value) {
            (Selector::Name(name), Value::Object(members)) => {
                if let Some(child) = members.get(name) {
                    push(Key::Name(name.clone()), child);
                }
            }
            (Selector::Index(index), Value::Array(items)) => {
                if let Some(index) = absolute(*index, items.len())
                    && let Some(child) = items.get(index)
                {
                    push(Key::Index(index), child);
                }
            }
            (Selector::Slice(start, end, step), Value::Array(items)) => {
                for index in slice(*start, *end, *step, items.len()) {
                    if let Some(child) = items.get(index) {
                        push(Key::Index(index), child);
                    }
                }
            }
            (Selector::All, _) => children(value).into_iter().for_each(|(key, child)| push(key, child)),
            (Selector::Filter(filter), _) => {
                for (key, child) in children(value) {
                    self.visited += 1;
                    if self.holds(filter, child)? {
                        push(key, child);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn holds(&mut self, filter: &Filter, value: &'a Value) -> Result<bool> {
        Ok(match filter {
            Filter::Or(parts) => {
                for part in parts {
                    if self.holds(part, value)? {
                        return Ok(true);
                    }
                }
                false
            }
            Filter::And(parts) => {
                for part in parts {
                    if !self.holds(part, value)? {
                        return Ok(false);
                    }
                }
                true
            }
            Filter::Not(part) => !self.holds(part, value)?,
            Filter::Exists(operand) => self.operand(operand, value)?.is_some(),
            Filter::Compare(left, comparison, right) => {
                let (left, right) = (self.operand(left, value)?, self.operand(right, value)?);
                compare(left.as_ref(), *comparison, right.as_ref())
            }
        })
    }

    fn operand(&mut self, operand: &Operand, value: &'a Value) -> Result<Option<Value>> {
        match operand {
            Operand::Literal(literal) => Ok(Some(literal.clone())),
            Operand::Path { from_root, path } => {
                let from = if *from_root { self.root } else { value };
                let found = self.find(from, path)?;
                Ok(found.first().and_then(|location| at(from, location)).cloned())
            }
        }
    }
}

/// A location as something that can be ordered.
fn shape(location: &Location) -> Vec<(usize, String)> {
    let key = |key: &Key| match key {
        Key::Name(name) => (usize::MAX, name.clone()),
        Key::Index(index) => (*index, String::new()),
    };
    location.iter().map(key).collect()
}

fn children(value: &Value) -> Vec<(Key, &Value)> {
    match value {
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (Key::Index(index), item)).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (Key::Name(name.clone()), member)).collect(),
        _ => Vec::new(),
    }
}

/// An index that may count from the end.
pub fn absolute(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { length.checked_add(index)? } else { index }).ok()
}

fn slice(start: Option<i64>, end: Option<i64>, step: i64, length: usize) -> Vec<usize> {
    let length = length as i64;
    let from_end = |index: i64| if index < 0 { length.saturating_add(index) } else { index };
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |index: Option<i64>, default| index.map_or(default, |index| from_end(index).clamp(low, high));
    let (mut at, end) =
        if step > 0 { (bound(start, low), bound(end, high)) } else { (bound(start, high), bound(end, low)) };
    let mut out = Vec::new();
    while step != 0 && (if step > 0 { at < end } else { at > end }) {
        out.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    out
}

fn compare(left: Option<&Value>, comparison: Comparison, right: Option<&Value>) -> bool {
    let equal = match (left, right) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64() == b.as_f64(),
        (left, right) => left == right,
    };
    let order = match (left, right) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64().partial_cmp(&b.as_f64()),
        (Some(Value::String(a)), Some(Value::String(b))) => Some(a.cmp(b)),
        _ => None,
    };
    match comparison {
        Comparison::Equal => equal,
        Comparison::NotEqual => !equal,
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => equal || order == Some(Ordering::Less),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => equal || order == Some(Ordering::Greater),
    }
}

struct Parser<'a> {
    rest: &'a str,
    nesting: usize,
}

type Parsed<T> = std::result::Result<T, String>;

impl<'a> Parser<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Parsed<()> {
        self.space();
        if self.eat(token) { Ok(()) } else { Err(format!("{:.20?} where {token:?} should be", self.rest)) }
    }

    fn deeper(&mut self) -> Parsed<()> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING { Err(format!("more than {MAX_NESTING} levels")) } else { Ok(()) }
    }

    /// The steps behind a `$` or an `@`.
    fn path(&mut self) -> Parsed<JsonPath> {
        let mut steps = Vec::new();
        loop {
            let before = self.rest;
            self.space();
            let descend = self.eat("..");
            if !descend && self.eat(".") {
                self.space();
                if !self.rest.starts_with('[') {
                    steps.push(Step { descend, selectors: vec![self.dotted()?] });
                    continue;
                }
            }
            if self.eat("[") {
                steps.push(Step { descend, selectors: self.union()? });
            } else if descend {
                self.space();
                steps.push(Step { descend, selectors: vec![self.dotted()?] });
            } else {
                self.rest = before;
                return Ok(JsonPath { steps });
            }
        }
    }

    /// What may stand behind a dot: a name, quoted or not, or a star.
    fn dotted(&mut self) -> Parsed<Selector> {
        if self.eat("*") {
            return Ok(Selector::All);
        }
        if self.rest.starts_with(['\'', '"']) {
            return Ok(Selector::Name(self.quoted()?));
        }
        let named = |c: char| c.is_alphanumeric() || c == '_' || !c.is_ascii();
        let end = self.rest.find(|c| !named(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() {
            return Err(format!("{:.20?} where a name should be", self.rest));
        }
        self.rest = rest;
        Ok(Selector::Name(name.to_owned()))
    }

    fn union(&mut self) -> Parsed<Vec<Selector>> {
        let mut selectors = Vec::new();
        loop {
            self.space();
            selectors.push(self.bracketed()?);
            self.space();
            if self.eat("]") {
                return Ok(selectors);
            }
            self.expect(",")?;
        }
    }

    fn bracketed(&mut self) -> Parsed<Selector> {
        if self.eat("*") {
            return Ok(Selector::All);
        }
        if self.rest.starts_with(['\'', '"']) {
            return Ok(Selector::Name(self.quoted()?));
        }
        if self.eat("?") {
            return Ok(Selector::Filter(self.or()?));
        }
        let start = self.integer();
        self.space();
        if !self.eat(":") {
            return start.map(Selector::Index).ok_or_else(|| format!("{:.20?} in brackets", self.rest));
        }
        self.space();
        let end = self.integer();
        self.space();
        let step = if self.eat(":") {
            self.space();
            self.integer()
        } else {
            None
        };
        match step {
            Some(0) => Err("a step of 0".to_owned()),
            step => Ok(Selector::Slice(start, end, step.unwrap_or(1))),
        }
    }

    fn integer(&mut self) -> Option<i64> {
        let digits = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        let end = self.rest.len() - digits.len() + count;
        let number = self.rest.get(..end)?.parse().ok()?;
        self.rest = self.rest.get(end..)?;
        Some(number)
    }

    fn quoted(&mut self) -> Parsed<String> {
        let mut chars = self.rest.chars();
        let Some(quote) = chars.next() else { return Err("nothing where a text should be".to_owned()) };
        let mut out = String::new();
        while let Some(c) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = chars.as_str();
                    return Ok(out);
                }
                '\\' => match chars.next() {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('b') => out.push('\u{8}'),
                    Some('f') => out.push('\u{c}'),
                    Some('u') => {
                        let digits: String = chars.by_ref().take(4).collect();
                        let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                        out.push(code.ok_or_else(|| format!("the escape \\u{digits}"))?);
                    }
                    Some(c) => out.push(c),
                    None => break,
                },
                c => out.push(c),
            }
        }
        Err("a text without its end".to_owned())
    }

    fn or(&mut self) -> Parsed<Filter> {
        let mut parts = vec![self.and()?];
        while {
            self.space();
            self.eat("||")
        } {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Or(parts) })
    }

    fn and(&mut self) -> Parsed<Filter> {
        let mut parts = vec![self.comparison()?];
        while {
            self.space();
            self.eat("&&")
        } {
            parts.push(self.comparison()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::And(parts) })
    }

    fn comparison(&mut self) -> Parsed<Filter> {
        self.deeper()?;
        self.space();
        let filter = if self.rest.starts_with('!') && !self.rest.starts_with("!=") {
            self.eat("!");
            Filter::Not(Box::new(self.comparison()?))
        } else if self.eat("(") {
            let inner = self.or()?;
            self.expect(")")?;
            inner
        } else {
            let left = self.operand()?;
            self.space();
            let comparisons = [
                ("==", Comparison::Equal),
                ("!=", Comparison::NotEqual),
                ("<=", Comparison::LessOrEqual),
                (">=", Comparison::GreaterOrEqual),
                ("<", Comparison::Less),
                (">", Comparison::Greater),
            ];
            match comparisons.into_iter().find(|(token, _)| self.eat(token)) {
                Some((_, comparison)) => Filter::Compare(left, comparison, self.operand()?),
                None => Filter::Exists(left),
            }
        };
        self.nesting -= 1;
        Ok(filter)
    }

    fn operand(&mut self) -> Parsed<Operand> {
        self.deeper()?;
        self.space();
        let operand = if self.eat("@") {
            Operand::Path { from_root: false, path: self.path()? }
        } else if self.eat("$") {
            Operand::Path { from_root: true, path: self.path()? }
        } else if self.rest.starts_with(['\'', '"']) {
            Operand::Literal(Value::String(self.quoted()?))
        } else {
            let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
            let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            let literal = serde_json::from_str(word).map_err(|_| format!("{:.20?} in a filter", self.rest))?;
            self.rest = rest;
            Operand::Literal(literal)
        };
        self.nesting -= 1;
        Ok(operand)
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::{parse_text, to_text};
    use super::*;

    const DOCUMENT: &str = r#"{"a":[1,2,{"b":3}],"b":{"b":4,"x y":5},"c":"s","n":null,"t":true,"z":[[1],[2,3]]}"#;

    fn found(path: &str) -> String {
        let root = parse_text(DOCUMENT.as_bytes()).unwrap();
        let locations = JsonPath::parse(path.as_bytes()).unwrap().find(&root).unwrap();
        let values = locations.iter().map(|location| at(&root, location).unwrap().clone()).collect();
        String::from_utf8(to_text(&Value::Array(values))).unwrap()
    }

    /// Paths find what a Kvrocks server found, but that nothing is found twice.
    #[test]
    fn paths() {
        for (path, expected) in [
            ("$.a", r#"[[1,2,{"b":3}]]"#),
            ("$..b", r#"[{"b":4,"x y":5},3,4]"#),
            ("$.a[0]", "[1]"),
            ("$.a[-1]", r#"[{"b":3}]"#),
            ("$.a[0:2]", "[1,2]"),
            ("$.a[*]", r#"[1,2,{"b":3}]"#),
            ("$['b']['x y']", "[5]"),
            (r#"$["a","c"]"#, r#"[[1,2,{"b":3}],"s"]"#),
            ("$[?(@.b==4)]", r#"[{"b":4,"x y":5}]"#),
            ("$..[?@.b>3]", r#"[{"b":4,"x y":5}]"#),
            ("$.a[0,1]", "[1,2]"),
            ("$.nope", "[]"),
            ("$.a[::2]", r#"[1,{"b":3}]"#),
            ("$.a[::-1]", r#"[{"b":3},2,1]"#),
            ("@.a[1]", "[2]"),
            ("$.a[?(@>1)]", "[2]"),
            ("$.a[?(@.b)]", r#"[{"b":3}]"#),
            ("$ .a[1]", "[2]"),
            ("$.a.b", "[]"),
            ("$.a[2].b", "[3]"),
            ("$.a[5]", "[]"),
            (r#"$[?(@.b=="4")]"#, "[]"),
            ("$.a[?(@==1||@==2)]", "[1,2]"),
            ("$.b[?(@!=4)]", "[5]"),
            ("$.a[?(!(@==1) && @<$.b.b)]", "[2]"),
            (r#"$.b["x y"]"#, "[5]"),
            ("$[*][*]", r#"[1,2,{"b":3},4,5,[1],[2,3]]"#),
        ] {
            assert_eq!(found(path), expected, "{path}");
        }
    }

    /// What is no path is refused, however deep.
    #[test]
    fn no_paths() {
        let deep = format!("$[?{}@==1{}]", "(".repeat(1000), ")".repeat(1000));
        let nested = format!("$[?@{}==1]", "[?@".repeat(500));
        let long = format!("${}", ".a".repeat(10_000));
        for bad in [
            "",
            ".",
            ".a",
            "a",
            "$.",
            "$[",
            "$...b",
            "$.b[x]",
            "..b",
            "$.a[?(@==]",
            "$.a[0",
            "$.a[::0]",
            "$['a",
            "$.b.`x y`",
            "$x",
            "$.a[99999999999999999999]",
            &deep,
            &nested,
            &long,
        ] {
            let error = JsonPath::parse(bad.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad}");
        }
        assert!(JsonPath::parse(&[b'$', 0xFF]).is_err());
    }

    /// A path that finds too much ends, and one that finds a value is where that value can be changed or removed.
    #[test]
    fn ends() {
        let wide = format!("[{}]", vec!["[[1,1],[1,1]]"; 1000].join(","));
        let wide = parse_text(wide.as_bytes()).unwrap();
        let much = format!("${}", "..*".repeat(40));
        assert!(JsonPath::parse(much.as_bytes()).unwrap().find(&wide).is_ok_and(|found| found.is_empty()));
        let mut root = parse_text(DOCUMENT.as_bytes()).unwrap();
        let path = JsonPath::parse(b"$.z[1][0]").unwrap();
        let location = path.find(&root).unwrap().remove(0);
        *at_mut(&mut root, &location).unwrap() = Value::Null;
        assert!(remove(&mut root, &[Key::Name("z".into()), Key::Index(0)]));
        assert_eq!(to_text(&root["z"]), b"[[null,3]]");
        assert!(!remove(&mut root, &[]));
    }
}
