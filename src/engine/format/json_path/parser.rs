//! The text of a path.

use std::str::Chars;

use super::super::json::Value;
use super::{Comparison, Filter, Operand, Selector, Step};

/// How deep parentheses and paths may be in each other.
const MAX_NESTING: usize = 32;

/// A text, as far as it was not understood yet.
pub struct Parser<'a> {
    pub rest: &'a str,
    nesting: usize,
}

type Parsed<T> = std::result::Result<T, String>;

/// What stands behind a `\u`: four digits of a character, or of the first half of one, with the other half behind it.
fn escaped(chars: &mut Chars<'_>) -> Parsed<char> {
    let unit = |chars: &mut Chars<'_>| {
        let digits: String = chars.take(4).collect();
        let all = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        u16::from_str_radix(&digits, 16).ok().filter(|_| all).ok_or_else(|| format!("the escape \\u{digits}"))
    };
    let first = unit(chars)?;
    let second = match chars.as_str().strip_prefix("\\u") {
        Some(rest) if (0xD800..0xDC00).contains(&first) => {
            *chars = rest.chars();
            Some(unit(chars)?)
        }
        _ => None,
    };
    let character = char::decode_utf16([first].into_iter().chain(second)).next().and_then(|found| found.ok());
    character.ok_or_else(|| format!("half of a character in the escape \\u{first:04x}"))
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str) -> Parser<'a> {
        Parser { rest: text, nesting: 0 }
    }

    pub fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    pub fn eat(&mut self, token: &str) -> bool {
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
    pub fn path(&mut self) -> Parsed<Vec<Step>> {
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
                    Some('u') => out.push(escaped(&mut chars)?),
                    Some(c) => out.push(c),
                    None => break,
                },
                c => out.push(c),
            }
        }
        Err("a text without its end".to_owned())
    }

    fn or(&mut self) -> Parsed<Filter> {
        self.joined("||", Self::and, Filter::Or)
    }

    fn and(&mut self) -> Parsed<Filter> {
        self.joined("&&", Self::comparison, Filter::And)
    }

    /// Parts with a token between them, as one filter; a part alone as it is.
    fn joined(
        &mut self,
        token: &str,
        part: fn(&mut Self) -> Parsed<Filter>,
        join: fn(Vec<Filter>) -> Filter,
    ) -> Parsed<Filter> {
        let mut parts = vec![part(self)?];
        while {
            self.space();
            self.eat(token)
        } {
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) })
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
