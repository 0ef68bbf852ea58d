//! Walks through the keys: SCAN and KEYS.

use super::pattern::{MAX_PATTERN, literal_prefix, matches_by_steps};
use super::{Answer, Context, Refusal, bulk, bulks, error, is, parse_integer};
use crate::engine::format::key::Layout;
use crate::engine::format::resp::Reply;
use crate::engine::types::items::Items;
use crate::engine::types::reading::{Reading, Subkeys};

/// The most bytes of keys in one reply, with what each takes besides its bytes.
const MOST_BYTES: usize = 256 << 20;

/// Counts the steps of a walk, and asks now and then whether it may go on.
struct Steps<'a, 'b> {
    context: &'a Context<'b>,
    taken: u32,
}

impl Steps<'_, '_> {
    /// After how many steps it asks.
    const LOOK_AROUND: u32 = 1 << 16;

    fn step(&mut self, steps: u32) -> Result<(), Refusal> {
        self.taken = self.taken.saturating_add(steps);
        if self.taken < Steps::LOOK_AROUND {
            return Ok(());
        }
        self.taken = 0;
        self.context.check_going_on()
    }

    fn fits(&mut self, pattern: &[u8], key: &[u8]) -> Result<bool, Refusal> {
        matches_by_steps(pattern, key, &mut |bytes| self.step(bytes as u32))
    }
}

/// Keys after `after`, among them all that fit the pattern, which is refused when it is too long.
fn items<'a>(reading: &Reading<'a>, pattern: &[u8], after: Option<&[u8]>) -> Result<Items<'a>, Refusal> {
    if pattern.len() > MAX_PATTERN {
        return Err(error(format_args!("pattern: got {} bytes, expected at most {MAX_PATTERN}", pattern.len())));
    }
    // In the order of slots all keys are looked at anyway: here, where that is counted and can be ended.
    let prefix = match reading.store.layout {
        Layout::Standalone => literal_prefix(pattern),
        Layout::Cluster => &[],
    };
    Ok(reading.items_after(prefix, after))
}

struct Walk<'a> {
    pattern: Option<&'a [u8]>,
    count: u64,
    kind: Option<&'a [u8]>,
}

pub fn scan(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let after = place(context, &args[1])?;
    let walk = scan_options(&args[2..])?;
    context.read(|reading| page(context, &walk, items(reading, walk.pattern.unwrap_or_default(), after.as_deref())?))
}

fn page(context: &Context<'_>, walk: &Walk<'_>, mut items: Items<'_>) -> Answer {
    let mut steps = Steps { context, taken: 0 };
    let mut found = Vec::new();
    let (mut seen, mut bytes) = (0u64, 0);
    let mut last = Vec::new();
    while let Some(item) = items.next_item()? {
        steps.step(1)?;
        let fits = walk.pattern.map_or(Ok(true), |pattern| steps.fits(pattern, item.key))?;
        if fits && walk.kind.is_none_or(|kind| is(kind, item.kind.name())) {
            found.push(bulk(item.key));
            bytes += item.key.len() + size_of::<Reply>();
        }
        seen += 1;
        if seen == walk.count || bytes > MOST_BYTES {
            last = item.key.to_vec();
            break;
        }
    }
    let more = (seen == walk.count || bytes > MOST_BYTES) && items.next_item()?.is_some();
    let cursor = if more { context.namespace.instance().cursors.keep(context.namespace.name(), &last) } else { 0 };
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

/// HSCAN, SSCAN and ZSCAN: `open` begins a walk at an element, `show` says what is shown beside each.
pub fn elements(
    context: &Context<'_>,
    args: &[Vec<u8>],
    open: impl for<'r> FnOnce(&Reading<'r>, &[u8]) -> crate::Result<Option<Subkeys<'r>>>,
    show: impl Fn(&[u8]) -> crate::Result<Option<Vec<u8>>>,
) -> Answer {
    let after = place(context, &args[2])?;
    let walk = scan_options(&args[3..])?;
    if walk.kind.is_some() {
        return Err(Refusal::syntax());
    }
    let pattern = walk.pattern.unwrap_or_default();
    if pattern.len() > MAX_PATTERN {
        return Err(error(format_args!("pattern: got {} bytes, expected at most {MAX_PATTERN}", pattern.len())));
    }
    let from = after.map_or_else(Vec::new, |after| [&after[..], &[0]].concat());
    context.read(|reading| {
        let mut found = Vec::new();
        let mut steps = Steps { context, taken: 0 };
        let (mut seen, mut bytes) = (0u64, 0);
        let mut last = Vec::new();
        let mut more = false;
        if let Some(mut elements) = open(reading, &from)? {
            while let Some((element, value)) = elements.next()? {
                if seen == walk.count || bytes > MOST_BYTES {
                    more = true;
                    break;
                }
                seen += 1;
                last.clear();
                last.extend_from_slice(element);
                if walk.pattern.is_none() || steps.fits(pattern, element)? {
                    bytes += element.len() + value.len() + size_of::<Reply>();
                    found.push(bulk(element));
                    found.extend(show(value)?.map(bulk));
                }
            }
        }
        let cursor = if more { context.namespace.instance().cursors.keep(context.namespace.name(), &last) } else { 0 };
        Ok(Reply::Array(vec![bulk(cursor.to_string()), Reply::Array(found)]))
    })
}

/// Where a walk goes on behind a cursor; `None` at its beginning.
fn place(context: &Context<'_>, cursor: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let number = std::str::from_utf8(cursor).ok().and_then(|text| text.parse::<u64>().ok());
    match number.ok_or_else(|| error("invalid cursor"))? {
        0 => Ok(None),
        number => match context.namespace.instance().cursors.find(number, context.namespace.name()) {
            Some(after) => Ok(Some(after)),
            None => Err(error("invalid cursor: it is unknown or was forgotten; begin again with 0")),
        },
    }
}

pub fn keys(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let pattern = &args[1];
    context.read(|reading| all(context, pattern, items(reading, pattern, None)?))
}

fn all(context: &Context<'_>, pattern: &[u8], mut items: Items<'_>) -> Answer {
    let mut steps = Steps { context, taken: 0 };
    let mut found = Vec::new();
    let mut bytes = 0;
    while let Some(item) = items.next_item()? {
        steps.step(1)?;
        if steps.fits(pattern, item.key)? {
            bytes += item.key.len() + size_of::<Reply>();
            if bytes > MOST_BYTES {
                return Err(error(format_args!("more than {MOST_BYTES} bytes of keys fit; use SCAN")));
            }
            found.push(item.key.to_vec());
        }
    }
    Ok(bulks(found))
}
