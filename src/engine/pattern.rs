//! Patterns of key names, as Redis' `stringmatchlen` reads them: `*`, `?`, `[a-c]`, `[^a]`, `\`.

use std::convert::Infallible;

/// The most bytes that a pattern may have.
pub const MAX_PATTERN: usize = 4 << 10;

/// Whether a pattern fits all of a text. Takes at most the product of both lengths.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let Ok(fits) = matches_by_steps(pattern, text, &mut || Ok::<_, Infallible>(()));
    fits
}

/// As [`matches`], which a step can end; each takes at most the length of the pattern.
pub fn matches_by_steps<E>(pattern: &[u8], text: &[u8], step: &mut impl FnMut() -> Result<(), E>) -> Result<bool, E> {
    let (mut p, mut t) = (0, 0);
    // Behind the last star, and where in the text it stopped.
    let mut star: Option<(usize, usize)> = None;
    loop {
        step()?;
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        let Some(&c) = text.get(t) else { return Ok(p == pattern.len()) };
        if let Some(next) = fits(pattern, p, c) {
            (p, t) = (next, t + 1);
        } else if let Some((behind, stopped)) = star {
            star = Some((behind, stopped + 1));
            (p, t) = (behind, stopped + 1);
        } else {
            return Ok(false);
        }
    }
}

/// Where the pattern goes on when what stands at `p` fits the byte.
fn fits(pattern: &[u8], p: usize, c: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => {
            let (fits, next) = class(pattern, p + 1, c);
            fits.then_some(next)
        }
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == c).then_some(p + 2),
        literal => (literal == c).then_some(p + 1),
    }
}

/// Whether the byte is in the class that starts at `p`, and where the class ends. One that is not closed ends with the
/// pattern.
fn class(pattern: &[u8], mut p: usize, c: u8) -> (bool, usize) {
    let not = pattern.get(p) == Some(&b'^');
    if not {
        p += 1;
    }
    let mut found = false;
    loop {
        match pattern.get(p..).unwrap_or_default() {
            [] => return (found != not, p),
            [b']', ..] => return (found != not, p + 1),
            [b'\\', escaped, ..] => {
                found |= *escaped == c;
                p += 2;
            }
            [from, b'-', to, ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&c);
                p += 3;
            }
            [literal, ..] => {
                found |= *literal == c;
                p += 1;
            }
        }
    }
}

/// What every text that fits starts with.
pub fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(pattern.len());
    &pattern[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A match ends at the step that says so, however much of it is left.
    #[test]
    fn interrupted() {
        let mut left = 1000;
        let mut step = || {
            left -= 1;
            if left == 0 { Err("enough") } else { Ok(()) }
        };
        assert_eq!(matches_by_steps(b"*aaaaaaaaab", &[b'a'; 5000], &mut step), Err("enough"));
    }

    /// Patterns fit what they fit in Redis.
    #[test]
    fn as_in_redis() {
        for (pattern, yes, no) in [
            ("", &[""][..], &["a"][..]),
            ("*", &["", "a", "abc"], &[]),
            ("h?llo", &["hello", "hallo"], &["hllo", "heello"]),
            ("h*llo", &["hllo", "heeeello"], &["hell"]),
            ("h[ae]llo", &["hello", "hallo"], &["hillo"]),
            ("h[^e]llo", &["hallo"], &["hello", "hllo"]),
            ("h[a-b]llo", &["hallo", "hbllo"], &["hcllo"]),
            ("h[b-a]llo", &["hallo", "hbllo"], &["hcllo"]),
            (r"h\*llo", &["h*llo"], &["hello"]),
            (r"[\]]", &["]"], &["\\"]),
            ("[a", &["a"], &["b"]),
            ("[", &[], &["[", ""]),
            (r"a\", &["a\\"], &["a"]),
            ("*a*b*c", &["abc", "xaxbxc", "aabbcc"], &["acb", "abcx"]),
            ("a**b", &["ab", "axb"], &["a"]),
            ("user:*:name", &["user:1:name", "user::name"], &["user:1:nam"]),
        ] {
            for text in yes {
                assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
            for text in no {
                assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
        }
    }

    /// A pattern of many stars takes no exponential time.
    #[test]
    fn many_stars() {
        let pattern = b"a*".repeat(200);
        assert!(!matches(&[&pattern[..], b"b"].concat(), &[b'a'; 5000]));
    }

    /// All that fits starts with the literal prefix.
    #[test]
    fn prefixes() {
        for (pattern, prefix) in [("user:*", "user:"), ("a?b", "a"), ("[ab]", ""), ("plain", "plain"), (r"a\*", "a")] {
            assert_eq!(literal_prefix(pattern.as_bytes()), prefix.as_bytes());
        }
    }
}
