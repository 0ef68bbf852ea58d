//! JSONPath, as far as Kvrocks' users ask for it: names, indexes, slices, wildcards, unions, descent, and filters that
//! compare. No crate: those that are alive bring features of RocksDB's own build dependencies, or recurse without end.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::json::{Map, Value};
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
    text: String,
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
    Path { from_root: bool, steps: Vec<Step> },
}

/// The longest path, and how deep parentheses and paths may be in each other.
const MAX_LENGTH: usize = 4096;
const MAX_NESTING: usize = 32;
/// The most steps of a search: each is a look at one value with one part of the path. What it finds is no more than that, and
/// no more than there is in the document.
const MAX_STEPS: usize = 1 << 24;
/// A text is compared in as many steps as it has pieces of this length.
const BYTES_PER_STEP: usize = 64;

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
        let steps = parser.path().map_err(|what| refused(&format!("got {what}")))?;
        parser.space();
        if !parser.rest.is_empty() {
            return Err(refused(&format!("got {} at its end", shown(parser.rest.as_bytes()))));
        }
        Ok(JsonPath { text: source.to_owned(), steps })
    }

    /// Whether it is the root alone.
    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// Every value that the path names, in the order of the document, each once. A path that takes too many steps for that is
    /// refused.
    pub fn find<'a>(&'a self, root: &'a Value) -> Result<Vec<&'a Value>> {
        Search { root, text: &self.text, steps: 0 }.find(root, &self.steps)
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

/// Does something with each value that a path finds: what is inside before what holds it. What came of it is in the order of
/// [`JsonPath::find`].
pub fn each_mut<R>(root: &mut Value, path: &JsonPath, mut each: impl FnMut(&mut Value) -> Result<R>) -> Result<Vec<R>> {
    if let Some(keys) = path.keys() {
        return at_mut(root, &keys).map(each).into_iter().collect();
    }
    let found = path.find(root)?;
    let mut out: Vec<Option<R>> = found.iter().map(|_| None).collect();
    let found: HashMap<usize, usize> = found.into_iter().map(place).zip(0..).collect();
    inside_out(root, &mut |value| {
        if let Some(out) = found.get(&place(value)).and_then(|&number| out.get_mut(number)) {
            *out = Some(each(value)?);
        }
        Ok(())
    })?;
    Ok(out.into_iter().flatten().collect())
}

/// As deep as the document, whose depth was looked at when it was read, with little on the stack for each level. Nothing is
/// moved before it was visited.
fn inside_out(value: &mut Value, visit: &mut dyn FnMut(&mut Value) -> Result<()>) -> Result<()> {
    match value {
        Value::Array(items) => {
            for item in items {
                inside_out(item, visit)?;
            }
        }
        Value::Object(members) => {
            for (_, member) in members {
                inside_out(member, visit)?;
            }
        }
        _ => {}
    }
    visit(value)
}

/// Removes what a path finds, but for the root. How many values.
pub fn remove(root: &mut Value, path: &JsonPath) -> Result<usize> {
    let found: HashSet<usize> = path.find(root)?.into_iter().map(place).collect();
    if !found.is_empty() {
        inside_out(root, &mut |value| {
            match value {
                Value::Array(items) => {
                    let goes: Vec<bool> = items.iter().map(|item| found.contains(&place(item))).collect();
                    let mut goes = goes.into_iter();
                    items.retain(|_| goes.next() != Some(true));
                }
                Value::Object(members) => {
                    let goes = members.iter().filter(|(_, member)| found.contains(&place(member)));
                    let goes: Vec<String> = goes.map(|(name, _)| name.clone()).collect();
                    goes.iter().for_each(|name| drop(members.remove(name)));
                }
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(found.len())
}

struct Search<'a> {
    root: &'a Value,
    text: &'a str,
    steps: usize,
}

impl<'a> Search<'a> {
    fn find(&mut self, from: &'a Value, path: &'a [Step]) -> Result<Vec<&'a Value>> {
        let mut found = vec![from];
        for step in path {
            // What several of them reach is walked once.
            let overlap = step.descend && found.len() > 1;
            let mut walked = HashSet::new();
            let mut next = Vec::new();
            for start in found {
                let mut open = vec![start];
                while let Some(value) = open.pop() {
                    if overlap && !walked.insert(place(value)) {
                        continue;
                    }
                    for selector in &step.selectors {
                        self.select(selector, value, &mut next)?;
                    }
                    if step.descend {
                        open.extend(children(value).rev());
                    }
                }
            }
            if step.selectors.len() > 1 {
                let mut seen = HashSet::new();
                next.retain(|value| seen.insert(place(value)));
            }
            found = next;
        }
        Ok(found)
    }

    fn spend(&mut self, steps: usize) -> Result<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps <= MAX_STEPS {
            return Ok(());
        }
        let what = format!("JSON path {}: got more than {MAX_STEPS} steps", shown(self.text.as_bytes()));
        Err(Error::new(ErrorKind::InvalidArgument, format!("{what}, expected fewer; name more of the way")))
    }

    fn select(&mut self, selector: &'a Selector, value: &'a Value, out: &mut Vec<&'a Value>) -> Result<()> {
        self.spend(1)?;
        match (selector, value) {
            (Selector::Name(name), Value::Object(members)) => out.extend(members.get(name)),
            (Selector::Index(index), Value::Array(items)) => {
                out.extend(absolute(*index, items.len()).and_then(|index| items.get(index)));
            }
            (Selector::Slice(start, end, step), Value::Array(items)) => {
                let indexes = slice(*start, *end, *step, items.len());
                self.spend(indexes.len())?;
                out.extend(indexes.into_iter().filter_map(|index| items.get(index)));
            }
            (Selector::All, _) => {
                for child in children(value) {
                    self.spend(1)?;
                    out.push(child);
                }
            }
            (Selector::Filter(filter), _) => {
                for child in children(value) {
                    if self.holds(filter, child)? {
                        out.push(child);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn holds(&mut self, filter: &'a Filter, value: &'a Value) -> Result<bool> {
        self.spend(1)?;
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
                let order = self.order(left, right)?;
                match comparison {
                    Comparison::Equal => order == Some(Ordering::Equal),
                    Comparison::NotEqual => order != Some(Ordering::Equal),
                    Comparison::Less => order == Some(Ordering::Less),
                    Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                    Comparison::Greater => order == Some(Ordering::Greater),
                    Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                }
            }
        })
    }

    fn operand(&mut self, operand: &'a Operand, value: &'a Value) -> Result<Option<&'a Value>> {
        match operand {
            Operand::Literal(literal) => Ok(Some(literal)),
            Operand::Path { from_root, steps } => {
                let from = if *from_root { self.root } else { value };
                Ok(self.find(from, steps)?.first().copied())
            }
        }
    }

    /// How two values compare; `None` where neither is less and they are not the same.
    fn order(&mut self, left: Option<&Value>, right: Option<&Value>) -> Result<Option<Ordering>> {
        Ok(match (left, right) {
            (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64().partial_cmp(&b.as_f64()),
            (Some(Value::String(a)), Some(Value::String(b))) => {
                self.spend(a.len().min(b.len()) / BYTES_PER_STEP)?;
                Some(a.cmp(b))
            }
            (Some(a), Some(b)) => self.same(a, b)?.then_some(Ordering::Equal),
            (None, None) => Some(Ordering::Equal),
            _ => None,
        })
    }

    /// Whether two values are the same, in as many steps as they have parts.
    fn same(&mut self, left: &Value, right: &Value) -> Result<bool> {
        let mut open = vec![(left, right)];
        while let Some((left, right)) = open.pop() {
            let same = match (left, right) {
                (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                    self.spend(a.len())?;
                    open.extend(a.iter().zip(b));
                    true
                }
                (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
                    self.spend(a.keys().map(|name| 1 + name.len() / BYTES_PER_STEP).sum())?;
                    open.extend(a.values().zip(b.values()));
                    a.keys().eq(b.keys())
                }
                (Value::Array(_) | Value::Object(_), _) => false,
                (Value::String(a), Value::String(b)) => {
                    self.spend(a.len().min(b.len()) / BYTES_PER_STEP)?;
                    a == b
                }
                (left, right) => left == right,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What tells one value of a document from every other for as long as none is moved.
fn place(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}

fn children(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    let (items, members) = match value {
        Value::Array(items) => (Some(items), None),
        Value::Object(members) => (None, Some(members)),
        _ => (None, None),
    };
    items.into_iter().flatten().chain(members.into_iter().flat_map(Map::values))
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
    fn path(&mut self) -> Parsed<Vec<Step>> {
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
                return Ok(steps);
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
            Operand::Path { from_root: false, steps: self.path()? }
        } else if self.eat("$") {
            Operand::Path { from_root: true, steps: self.path()? }
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
        let path = JsonPath::parse(path.as_bytes()).unwrap();
        let values = path.find(&root).unwrap().into_iter().cloned().collect();
        String::from_utf8(to_text(&Value::Array(values)).unwrap()).unwrap()
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

    /// What is found can be changed, what is inside before what holds it, and removed, without that something else is.
    #[test]
    fn changes() {
        let shown = |root: &Value| String::from_utf8(to_text(root).unwrap()).unwrap();
        for (path, changed, left) in [
            (
                "$.z[1][0]",
                r#"[2]"#,
                r#"{"a":[1,2,{"b":3}],"b":{"b":4,"x y":5},"c":"s","n":null,"t":true,"z":[[1],[3]]}"#,
            ),
            ("$..b", r#"[{"b":0,"x y":5},3,4]"#, r#"{"a":[1,2,{}],"c":"s","n":null,"t":true,"z":[[1],[2,3]]}"#),
            (
                "$.a[::2]",
                r#"[1,{"b":3}]"#,
                r#"{"a":[2],"b":{"b":4,"x y":5},"c":"s","n":null,"t":true,"z":[[1],[2,3]]}"#,
            ),
            ("$.z[-1]", "[[2,3]]", r#"{"a":[1,2,{"b":3}],"b":{"b":4,"x y":5},"c":"s","n":null,"t":true,"z":[[1]]}"#),
            ("$.nope[3]", "[]", DOCUMENT),
        ] {
            let root = parse_text(DOCUMENT.as_bytes()).unwrap();
            let path = JsonPath::parse(path.as_bytes()).unwrap();
            let mut other = root.clone();
            let was = each_mut(&mut other, &path, |value| Ok(std::mem::replace(value, 0.into()))).unwrap();
            assert_eq!(shown(&Value::Array(was)), changed, "{path:?}");
            let mut other = root.clone();
            let found = path.find(&root).unwrap().len();
            assert_eq!((remove(&mut other, &path).unwrap(), shown(&other).as_str()), (found, left), "{path:?}");
        }
    }

    /// What several parts of a path reach is found once and walked once, so that a path costs no more than its length times
    /// the document; what costs more, as filters in filters do, is refused.
    #[test]
    fn ends() {
        let deep = parse_text([r#"{"a":"#.repeat(1000), "1".into(), "}".repeat(1000)].concat().as_bytes()).unwrap();
        let find = |path: &str, root| JsonPath::parse(path.as_bytes()).unwrap().find(root).map(|found| found.len());
        for (path, found) in
            [("$..*", 1000), ("$..*..*..*", 998), (&format!("${}", "..*".repeat(900)), 101), ("$..['a','a']", 1000)]
        {
            assert_eq!(find(path, &deep).unwrap(), found, "{path}");
        }
        let items = |item: &str, count: usize| vec![item; count].join(",");
        let list = items("[1,2]", 20_000);
        let same = parse_text(format!(r#"{{"a":[[{list}]],"b":[{list}]}}"#).as_bytes()).unwrap();
        assert_eq!(find("$.a[?(@==$.b)]", &same).unwrap(), 1);
        let wide = parse_text(format!("[{}]", items("0", 50_000)).as_bytes()).unwrap();
        let (equal, all, any) = (items("?(@==$.b)", 390), items("*", 2000), vec!["@==1"; 600].join("||"));
        for (path, root) in [
            ("$..[?(@..[?(@..a)])]", &deep),
            ("$..[?($..[?(@..b)])]", &deep),
            (&format!("$.a[{equal}]"), &same),
            (&format!("$[{all}]"), &wide),
            (&format!("$[?({any})]"), &wide),
        ] {
            let error = find(path, root).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{path:.40}");
            assert!(error.message().contains("got more than 16777216 steps, expected fewer"), "{error}");
        }
    }
}
