//! Patterns of key names, as Redis' `stringmatchlen` reads them: `*`, `?`, `[a-c]`, `[^a]`, `\`.

use std::convert::Infallible;

/// The most bytes that a pattern may have.
pub const MAX_PATTERN: usize = 4 << 10;

/// Whether a pattern fits all of a text. Takes at most the product of both lengths.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let Ok(fits) = matches_by_steps(pattern, text, &mut |_| Ok::<_, Infallible>(()));
    fits
}

/// As [`matches`], which `step` can end. It is told how many bytes of the pattern were looked at.
pub fn matches_by_steps<E>(
    pattern: &[u8],
    text: &[u8],
    step: &mut impl FnMut(usize) -> Result<(), E>,
) -> Result<bool, E> {
    let (mut p, mut t) = (0, 0);
    // Behind the last star, and where in the text it stopped.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            step(1)?;
            p += 1;
            star = Some((p, t));
            continue;
        }
        let Some(&c) = text.get(t) else { return Ok(p == pattern.len()) };
        let (fits, next) = fits(pattern, p, c);
        step((next - p).max(1))?;
        if fits {
            (p, t) = (next, t + 1);
        } else if let Some((behind, stopped)) = star {
            star = Some((behind, stopped + 1));
            (p, t) = (behind, stopped + 1);
        } else {
            return Ok(false);
        }
    }
}

/// Whether what stands at `p` fits the byte, and where it ends.
fn fits(pattern: &[u8], p: usize, c: u8) -> (bool, usize) {
    match pattern.get(p..).unwrap_or_default() {
        [] => (false, p),
        [b'?', ..] => (true, p + 1),
        [b'[', ..] => class(pattern, p + 1, c),
        [b'\\', escaped, ..] => (*escaped == c, p + 2),
        [literal, ..] => (*literal == c, p + 1),
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
        let looks = |pattern: &[u8], most: usize| {
            let mut looked = 0;
            let mut step = |bytes| {
                looked += bytes;
                if looked > most { Err("enough") } else { Ok(()) }
            };
            matches_by_steps(pattern, &[b'a'; 500], &mut step)
        };
        assert_eq!(looks(b"*aaaaaaaaab", 1000), Err("enough"));
        // A class is looked at to its end for every byte of the text.
        let class = [b"*[".as_slice(), &[b'b'; 4000], b"]"].concat();
        assert_eq!(looks(&class, 1_999_999), Err("enough"));
        assert_eq!(looks(&class, 2_002_000), Ok(false));
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
