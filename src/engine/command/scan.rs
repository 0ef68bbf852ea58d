//! Walks through the keys: SCAN and KEYS.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::pattern::{literal_prefix, matches};
use super::{Answer, Context, Refusal, bulk, bulks, error, is, parse_integer};
use crate::engine::error::{Error, ErrorKind};
use crate::engine::format::resp::Reply;

/// The most bytes of keys in one reply.
const MOST_BYTES: usize = 256 << 20;

/// After how many keys a walk asks whether it may go on.
const LOOK_AROUND: u64 = 8192;

/// Where walks go on. Clients want a number for a cursor, which has no room for a key, so the last key of a page is kept
/// here: the newest of them, as Kvrocks does it.
#[derive(Default)]
pub struct Cursors {
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    /// The number of the first place.
    first: u64,
    places: VecDeque<Place>,
    bytes: usize,
}

struct Place {
    namespace: Vec<u8>,
    after: Vec<u8>,
}

impl Places {
    const MOST: usize = 16 << 10;
    const MOST_BYTES: usize = 16 << 20;
}

impl Cursors {
    /// Numbers start anywhere, so that a cursor of another process is not mistaken for one of these.
    pub fn new() -> crate::Result<Cursors> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|e| Error::new(ErrorKind::Io, format!("draw the first cursor: read random bytes: {e}")))?;
        let first = (u64::from_le_bytes(random) >> 16) + 1;
        Ok(Cursors { places: Mutex::new(Places { first, ..Places::default() }) })
    }

    fn keep(&self, namespace: &[u8], after: &[u8]) -> u64 {
        let mut places = self.places.lock();
        places.bytes += namespace.len() + after.len();
        places.places.push_back(Place { namespace: namespace.to_vec(), after: after.to_vec() });
        while places.places.len() > 1 && (places.places.len() > Places::MOST || places.bytes > Places::MOST_BYTES) {
            let gone = places.places.pop_front().map_or(0, |place| place.namespace.len() + place.after.len());
            places.bytes -= gone;
            places.first += 1;
        }
        places.first + places.places.len() as u64 - 1
    }

    fn find(&self, cursor: u64, namespace: &[u8]) -> Option<Vec<u8>> {
        let places = self.places.lock();
        let index = usize::try_from(cursor.checked_sub(places.first)?).ok()?;
        places.places.get(index).filter(|place| place.namespace == namespace).map(|place| place.after.clone())
    }
}

struct Walk<'a> {
    pattern: Option<&'a [u8]>,
    count: u64,
    kind: Option<&'a [u8]>,
}

pub fn scan(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let number = std::str::from_utf8(&args[1]).ok().and_then(|text| text.parse::<u64>().ok());
    let number = number.ok_or_else(|| error("invalid cursor"))?;
    let walk = scan_options(&args[2..])?;
    let namespace = context.namespace;
    let after = match number {
        0 => None,
        _ => match context.cursors.find(number, namespace.name()) {
            Some(after) => Some(after),
            None => return Err(error("invalid cursor: it is unknown or was forgotten; begin again with 0")),
        },
    };
    let prefix = walk.pattern.map_or(&[][..], literal_prefix);
    let mut items = namespace.items_after(prefix, after.as_deref())?;
    let mut found = Vec::new();
    let (mut seen, mut bytes) = (0u64, 0);
    let mut last = Vec::new();
    while let Some(item) = items.next_item()? {
        if seen % LOOK_AROUND == 0 {
            context.check_going_on()?;
        }
        if walk.pattern.is_none_or(|pattern| matches(pattern, item.key))
            && walk.kind.is_none_or(|kind| is(kind, item.kind.name()))
        {
            found.push(bulk(item.key));
            bytes += item.key.len();
        }
        seen += 1;
        if seen == walk.count || bytes > MOST_BYTES {
            last = item.key.to_vec();
            break;
        }
    }
    let more = (seen == walk.count || bytes > MOST_BYTES) && items.next_item()?.is_some();
    let cursor = if more { context.cursors.keep(namespace.name(), &last) } else { 0 };
    Ok(Reply::Array(vec![bulk(cursor.to_string()), Reply::Array(found)]))
}

fn scan_options(options: &[Vec<u8>]) -> Result<Walk<'_>, Refusal> {
    let mut walk = Walk { pattern: None, count: 10, kind: None };
    for option in options.chunks(2) {
        match option {
            [name, pattern] if is(name, "match") => walk.pattern = Some(pattern),
            [name, kind] if is(name, "type") => walk.kind = Some(kind),
            [name, count] if is(name, "count") => {
                walk.count =
                    u64::try_from(parse_integer(count)?).ok().filter(|&n| n > 0).ok_or_else(Refusal::syntax)?;
            }
            _ => return Err(Refusal::syntax()),
        }
    }
    Ok(walk)
}

pub fn keys(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let pattern = &args[1];
    let mut items = context.namespace.items_after(literal_prefix(pattern), None)?;
    let mut found = Vec::new();
    let (mut seen, mut bytes) = (0u64, 0);
    while let Some(item) = items.next_item()? {
        if seen % LOOK_AROUND == 0 {
            context.check_going_on()?;
        }
        seen += 1;
        if matches(pattern, item.key) {
            // What a key costs here beside its bytes.
            bytes += item.key.len() + size_of::<Reply>();
            if bytes > MOST_BYTES {
                return Err(error(format_args!("more than {MOST_BYTES} bytes of keys fit; use SCAN")));
            }
            found.push(item.key.to_vec());
        }
    }
    Ok(bulks(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cursor finds its place in its own namespace only, and the oldest are forgotten.
    #[test]
    fn cursors_are_bounded() {
        let cursors = Cursors::new().unwrap();
        let first = cursors.keep(b"a", b"key");
        assert_eq!(cursors.find(first, b"a").as_deref(), Some(&b"key"[..]));
        assert_eq!(cursors.find(first, b"b"), None);
        assert_eq!(cursors.find(first + 1, b"a"), None);
        assert_eq!(cursors.find(0, b"a"), None);
        for n in 0..Places::MOST {
            let cursor = cursors.keep(b"a", n.to_string().as_bytes());
            assert_eq!(cursors.find(cursor, b"a").unwrap(), n.to_string().as_bytes());
        }
        assert_eq!(cursors.find(first, b"a"), None);
        let long = vec![b'x'; Places::MOST_BYTES];
        let cursor = cursors.keep(b"a", &long);
        assert_eq!(cursors.find(cursor, b"a"), Some(long));
        assert_eq!(cursors.places.lock().places.len(), 1);
    }
}
