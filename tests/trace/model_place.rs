//! What commands on places do. Every place is the middle of a cell of a grid, which its score numbers.

use std::collections::BTreeMap;

use crate::model::{Answer, bulk, bulks, count, error, optional};
use crate::model_special::{items, of_key};
use crate::support::client::Reply;

const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// The largest longitude and latitude.
const MOST: Place = (180.0, 85.051_128_78);
/// How many cells there are from one edge of the grid to the other.
const CELLS: f64 = 67_108_864.0;

/// A longitude and a latitude.
type Place = (f64, f64);
/// How many cells are west of one, and south of it.
type Cell = (u64, u64);

/// All sorted sets of places. None is empty.
#[derive(Default)]
pub struct Places(BTreeMap<String, BTreeMap<String, Cell>>);

fn float(text: &str) -> f64 {
    text.parse().unwrap()
}

/// The cell of a place in a grid that reaches from the negative of `most` to it.
fn cell_of(place: Place, most: Place) -> Cell {
    let cell = |at: f64, most: f64| ((at + most) / (2.0 * most) * CELLS) as u64;
    (cell(place.0, most.0), cell(place.1, most.1))
}

fn middle(cell: Cell) -> Place {
    let at = |cell: u64, most: f64| (cell as f64 + 0.5) / CELLS * 2.0 * most - most;
    (at(cell.0, MOST.0), at(cell.1, MOST.1))
}

/// The bits of both numbers of a cell in turn.
fn score_of(cell: Cell) -> u64 {
    (0..26).map(|bit| (((cell.0 >> bit) & 1) << (2 * bit + 1)) | (((cell.1 >> bit) & 1) << (2 * bit))).sum()
}

/// The geohash that everybody knows, of a grid that reaches from pole to pole. The last of its letters says nothing.
fn geohash_of(place: Place) -> String {
    const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    let score = score_of(cell_of(place, (180.0, 90.0)));
    let letter = |number: u32| char::from(LETTERS[((score >> (52 - 5 * number)) & 31) as usize]);
    (1..=10).map(letter).chain(['0']).collect()
}

fn distance_m(from: Place, to: Place) -> f64 {
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin();
    let (east, north) = (half(from.0, to.0), half(from.1, to.1));
    let straight = north * north + from.1.to_radians().cos() * to.1.to_radians().cos() * east * east;
    2.0 * EARTH_RADIUS_M * straight.sqrt().asin()
}

/// Our number where it is near the right one, which is given otherwise.
fn near(right: f64, allowed: f64, our: Option<&Reply>) -> Reply {
    if let Some(Reply::Bulk(text)) = our
        && let Ok(text) = std::str::from_utf8(text)
        && let Ok(number) = text.parse::<f64>()
        && (number - right).abs() <= allowed
    {
        return bulk(text);
    }
    bulk(right.to_string())
}

impl Places {
    fn find(&self, key: &str, member: &str) -> Option<Place> {
        self.0.get(key)?.get(member).map(|cell| middle(*cell))
    }

    pub fn answer(&mut self, words: &[&str], our: &Reply) -> Answer {
        if let Some(reply) = of_key(&mut self.0, words, "zset") {
            return Ok(reply);
        }
        Ok(match *words {
            ["GEOADD", key, ref rest @ ..] => self.add(key, rest)?,
            ["ZCARD", key] => count(self.0.get(key).map_or(0, |held| held.len())),
            ["ZSCORE", key, member] => {
                let cell = self.0.get(key).and_then(|held| held.get(member));
                optional(cell.map(|cell| score_of(*cell).to_string()))
            }
            ["ZREM", key, member] => {
                let had = self.0.get_mut(key).is_some_and(|held| held.remove(member).is_some());
                self.0.retain(|_, held| !held.is_empty());
                count(had.into())
            }
            ["GEOHASH", key, ref members @ ..] => {
                let shown = |member: &&str| optional(self.find(key, member).map(geohash_of));
                Reply::Array(members.iter().map(shown).collect())
            }
            ["GEOPOS", key, ref members @ ..] => {
                let shown = |(number, member): (usize, &&str)| {
                    let our = items(items(Some(our)).get(number));
                    let Some(place) = self.find(key, member) else { return Reply::Nil };
                    Reply::Array(vec![near(place.0, 1e-4, our.first()), near(place.1, 1e-4, our.get(1))])
                };
                Reply::Array(members.iter().enumerate().map(shown).collect())
            }
            ["GEODIST", key, one, other] => match (self.find(key, one), self.find(key, other)) {
                (Some(one), Some(other)) => {
                    let right = distance_m(one, other);
                    near(right, right / 100.0, Some(our))
                }
                _ => Reply::Nil,
            },
            ["GEOSEARCHSTORE", to, from, _, x, y, ref how @ ..]
            | ["GEORADIUS", from, x, y, ref how @ .., "STORE", to] => {
                let found = self.search(from, (float(x), float(y)), how);
                let mut kept = self.0.get(from).cloned().unwrap_or_default();
                kept.retain(|member, _| found.contains(member));
                self.0.insert(to.to_owned(), kept);
                self.0.retain(|_, held| !held.is_empty());
                count(found.len())
            }
            ["GEOSEARCH", key, _, x, y, ref how @ ..] | ["GEORADIUS" | "GEORADIUS_RO", key, x, y, ref how @ ..] => {
                bulks(self.search(key, (float(x), float(y)), how))
            }
            _ => return Err(None),
        })
    }

    fn add(&mut self, key: &str, words: &[&str]) -> Answer {
        let options = words.iter().take_while(|word| ["NX", "XX", "CH"].contains(*word)).count();
        let (options, places) = words.split_at(options);
        let (is_new, is_there) = (options.contains(&"NX"), options.contains(&"XX"));
        let mut held = self.0.get(key).cloned().unwrap_or_default();
        let (mut added, mut moved) = (0, 0);
        for place in places.chunks(3) {
            let (x, y, member) = (float(place[0]), float(place[1]), place[2]);
            if x.abs() > MOST.0 || y.abs() > MOST.1 {
                return error(&format!("invalid longitude,latitude pair {x:.6},{y:.6}"));
            }
            let cell = cell_of((x, y), MOST);
            let had = held.get(member).copied();
            if (is_new && had.is_some()) || (is_there && had.is_none()) {
                continue;
            }
            held.insert(member.to_owned(), cell);
            added += usize::from(had.is_none());
            moved += usize::from(had.is_some_and(|had| had != cell));
        }
        if !held.is_empty() {
            self.0.insert(key.to_owned(), held);
        }
        Ok(count(if options.contains(&"CH") { added + moved } else { added }))
    }

    /// Who is in an area around a place, in the order of how far they are.
    fn search(&self, key: &str, from: Place, how: &[&str]) -> Vec<String> {
        let metres = |size: &str, unit: &str| {
            let metre = match unit {
                "m" => 1.0,
                "km" => 1000.0,
                "ft" => 0.3048,
                _ => 1609.34,
            };
            float(size) * metre
        };
        let is_inside = |to: Place| match how {
            ["BYBOX", width, height, unit, ..] => {
                let north = EARTH_RADIUS_M * (to.1 - from.1).to_radians().abs();
                let east = distance_m(to, (from.0, to.1));
                north <= metres(height, unit) / 2.0 && east <= metres(width, unit) / 2.0
            }
            ["BYRADIUS", radius, unit, ..] | [radius, unit, ..] => distance_m(from, to) <= metres(radius, unit),
            _ => false,
        };
        let mut found = Vec::new();
        for (member, cell) in self.0.get(key).into_iter().flatten() {
            let place = middle(*cell);
            if is_inside(place) {
                found.push((distance_m(from, place), member.clone()));
            }
        }
        found.sort_by(|one, other| one.0.total_cmp(&other.0));
        if how.contains(&"DESC") {
            found.reverse();
        }
        if let [.., "COUNT", most] = how {
            found.truncate(most.parse().unwrap());
        }
        found.into_iter().map(|(_, member)| member).collect()
    }
}
