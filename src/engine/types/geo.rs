//! Places, in a sorted set whose scores are geohashes. Kvrocks: types/redis_geo.cc.

use super::reading::{Budget, Reading};
use super::sorted_set::{self, Add, Added, Part, ScoreBound, Span};
use super::writing::Writing;
use crate::engine::error::Result;
use crate::engine::format::geohash::{GeoShape, Place};

/// A place that a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct GeoHit {
    /// Its name.
    pub member: Vec<u8>,
    /// Its score as a member of the sorted set: a geohash of 52 bits.
    pub score: f64,
    /// Where it is.
    pub place: Place,
    /// How far from the middle of the search.
    pub distance_m: f64,
}

/// Adds places that are valid.
pub fn add(writing: &mut Writing<'_>, key: &[u8], places: &[(Place, &[u8])], how: Add) -> Result<Added> {
    let members: Vec<(f64, &[u8])> = places.iter().map(|(place, member)| (place.encode() as f64, *member)).collect();
    sorted_set::add(writing, key, &members, how)
}

/// Where members are, as exactly as it was kept; `None` for those that are not there or are no places.
pub fn places(reading: &Reading<'_>, key: &[u8], members: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Place>>> {
    let scores = sorted_set::scores(reading, key, members)?;
    Ok(scores.into_iter().map(|score| score.and_then(Place::of_score)).collect())
}

/// The members in an area, in no certain order; with `any` no more than so many, whichever.
pub fn search(
    reading: &Reading<'_>,
    key: &[u8],
    middle: Place,
    shape: GeoShape,
    any: Option<usize>,
) -> Result<Vec<GeoHit>> {
    let mut budget = Budget::default();
    let mut out = Vec::new();
    for (from, to) in shape.scores(middle) {
        let bound = |score: u64, exclusive| ScoreBound { score: score as f64, exclusive };
        let span = Span::Score(bound(from, false), bound(to, true));
        let Some(mut found) = sorted_set::range(reading, key, &span, Part::ALL)? else { break };
        while any.is_none_or(|any| out.len() < any) {
            let Some((member, score)) = found.next()? else { break };
            let Some(place) = Place::of_score(score) else { continue };
            if let Some(distance_m) = shape.distance_m(middle, place) {
                budget.take(member.len() + size_of::<GeoHit>())?;
                out.push(GeoHit { member: member.to_vec(), score, place, distance_m });
            }
        }
    }
    Ok(out)
}

/// The members in an area, the nearest first, `count` at most.
pub fn nearest(reading: &Reading<'_>, key: &[u8], middle: Place, shape: GeoShape, count: usize) -> Result<Vec<GeoHit>> {
    let mut hits = search(reading, key, middle, shape, None)?;
    hits.sort_by(|a, b| a.distance_m.total_cmp(&b.distance_m));
    hits.truncate(count);
    Ok(hits)
}
