//! JSONPath, as far as Kvrocks' users ask for it: names, indexes, slices, wildcards, unions, descent, and filters that
//! compare. No crate: those that are alive bring features of RocksDB's own build dependencies, or recurse without end.

mod parser;
mod search;

use std::collections::{HashMap, HashSet};

use super::json::Value;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use parser::Parser;
use search::Search;
pub use search::absolute;

/// One step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Name(String),
    Index(usize),
}

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

/// The longest path.
const MAX_LENGTH: usize = 4096;

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
        let mut parser = Parser::new(source);
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
        Search::new(root, &self.text).find(root, &self.steps)
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

/// What tells one value of a document from every other for as long as none is moved.
fn place(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
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

    /// Whole numbers are compared by all of their digits, also where a double has fewer.
    #[test]
    fn long_numbers() {
        let numbers = "[9007199254740992,9007199254740993,9007199254740993.5,-1,18446744073709551615]";
        let root = parse_text(numbers.as_bytes()).unwrap();
        for (path, expected) in [
            ("$[?(@==9007199254740993)]", "[9007199254740993]"),
            ("$[?(@<9007199254740993 && @>-1)]", "[9007199254740992]"),
            ("$[?(@>9223372036854775807)]", "[18446744073709551615]"),
            ("$[?(@==-1.0)]", "[-1]"),
        ] {
            let values = JsonPath::parse(path.as_bytes()).unwrap().find(&root).unwrap().into_iter().cloned().collect();
            assert_eq!(String::from_utf8(to_text(&Value::Array(values)).unwrap()).unwrap(), expected, "{path}");
        }
    }

    /// Escapes in quoted names are four digits, or two times four for what is beyond 16 bits, and nothing else.
    #[test]
    fn escapes() {
        let root =
            parse_text(r#"{"A":1,"\u00fc":2,"\ud83d\ude00":3,"\u00fc4":4,"x\ud83d\ude00y":5}"#.as_bytes()).unwrap();
        for (path, found) in [
            (r"$['\u0041']", 1),
            (r"$['\u00Fc']", 2),
            (r"$['\uD83D\uDE00']", 3),
            (r"$['\u00fc4']", 4),
            (r#"$["x\ud83d\ude00y"]"#, 5),
        ] {
            let values = JsonPath::parse(path.as_bytes()).unwrap();
            assert_eq!(values.find(&root).unwrap(), [&Value::from(found)], "{path}");
        }
        for bad in [
            r"\u+041",
            r"\u-041",
            r"\u 041",
            r"\u41",
            r"\uD83D",
            r"\uDE00",
            r"\uD83Dx",
            r"\uD83D\u0041",
            r"\uD83D\n",
            r"\uD83D\u",
        ] {
            let error = JsonPath::parse(format!("$['{bad}']").as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad}");
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
