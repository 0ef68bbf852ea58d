//! Commands on places.

use std::cmp::Ordering;

use super::{Answer, Context, Refusal, bulk, error, float, integer, is, parse_float, parse_integer};
use crate::engine::format::double::format_double;
use crate::engine::format::geohash::{GeoShape, Place};
use crate::engine::format::resp::Reply;
use crate::engine::types::geo::{self, GeoHit};
use crate::engine::types::reading::Reading;
use crate::engine::types::sorted_set::{self, Add};

/// The metres of a unit.
fn parse_unit(bytes: &[u8]) -> Result<f64, Refusal> {
    let units = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let unit = units.into_iter().find(|(name, _)| is(bytes, name));
    unit.map(|(_, metres)| metres).ok_or_else(|| error("unsupported unit provided. please use M, KM, FT, MI"))
}

fn parse_place(longitude: &[u8], latitude: &[u8]) -> Result<Place, Refusal> {
    let place = Place { longitude: parse_float(longitude)?, latitude: parse_float(latitude)? };
    if place.is_valid() {
        return Ok(place);
    }
    Err(error(format_args!("invalid longitude,latitude pair {:.6},{:.6}", place.longitude, place.latitude)))
}

fn parse_size(bytes: &[u8], what: &str) -> Result<f64, Refusal> {
    let size = parse_float(bytes)?;
    if size >= 0.0 { Ok(size) } else { Err(error(format_args!("{what} cannot be negative"))) }
}

pub fn geoadd(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let mut how = Add::default();
    let mut changed = false;
    let mut rest = &args[2..];
    while let Some((option, after)) = rest.split_first() {
        match option {
            _ if is(option, "nx") => how.absent = true,
            _ if is(option, "xx") => how.present = true,
            _ if is(option, "ch") => changed = true,
            _ => break,
        }
        rest = after;
    }
    if rest.is_empty() || !rest.len().is_multiple_of(3) {
        return Err(Refusal::arity());
    }
    if how.absent && how.present {
        return Err(error("XX and NX options at the same time are not compatible"));
    }
    let places: Result<Vec<(Place, &[u8])>, Refusal> =
        rest.chunks_exact(3).map(|part| Ok((parse_place(&part[0], &part[1])?, part[2].as_slice()))).collect();
    let places = places?;
    let added = context.write(|writing| Ok(geo::add(writing, &args[1], &places, how)?))?;
    Ok(integer(if changed { added.added + added.updated } else { added.added }))
}

pub fn geodist(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let unit = match args.get(4..).unwrap_or_default() {
        [] => 1.0,
        [unit] => parse_unit(unit)?,
        _ => return Err(Refusal::syntax()),
    };
    let places = context.view(|reading| Ok(geo::places(reading, &args[1], &args[2..4])?))?;
    Ok(match places[..] {
        [Some(from), Some(to)] => bulk(format_double(from.distance_m(to) / unit)),
        _ => Reply::Nil,
    })
}

pub fn geohash(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let places = context.view(|reading| Ok(geo::places(reading, &args[1], &args[2..])?))?;
    Ok(Reply::Array(places.into_iter().map(|place| place.map_or(Reply::Nil, |place| bulk(place.geohash()))).collect()))
}

fn coordinates(place: Place) -> Reply {
    Reply::Array(vec![float(place.longitude), float(place.latitude)])
}

pub fn geopos(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let places = context.view(|reading| Ok(geo::places(reading, &args[1], &args[2..])?))?;
    Ok(Reply::Array(places.into_iter().map(|place| place.map_or(Reply::Nil, coordinates)).collect()))
}

/// From where a search goes out.
enum Origin {
    Place(Place),
    Member(Vec<u8>),
}

/// A search as the commands ask for it.
#[derive(Default)]
struct Search {
    origin: Option<Origin>,
    shape: Option<GeoShape>,
    unit_m: f64,
    order: Option<Ordering>,
    count: Option<usize>,
    any: bool,
    with_place: bool,
    with_distance: bool,
    with_score: bool,
    store: Option<Vec<u8>>,
    store_distance: bool,
}

impl Search {
    /// Reads the options that all searches have; what is none of them goes to `other` with what follows it.
    fn parse<'a>(
        &mut self,
        mut args: &'a [Vec<u8>],
        mut other: impl FnMut(&mut Search, &[u8], &'a [Vec<u8>]) -> Result<Option<&'a [Vec<u8>]>, Refusal>,
    ) -> Result<(), Refusal> {
        while let Some((option, rest)) = args.split_first() {
            args = rest;
            match option {
                _ if is(option, "withcoord") => self.with_place = true,
                _ if is(option, "withdist") => self.with_distance = true,
                _ if is(option, "withhash") => self.with_score = true,
                _ if is(option, "asc") => self.order = Some(Ordering::Less),
                _ if is(option, "desc") => self.order = Some(Ordering::Greater),
                _ if is(option, "count") => {
                    let (count, after) = rest.split_first().ok_or_else(Refusal::syntax)?;
                    let count = parse_integer(count)?;
                    let count = usize::try_from(count).ok().filter(|&count| count > 0);
                    self.count = Some(count.ok_or_else(|| error("COUNT must be > 0"))?);
                    args = after;
                    if let Some((any, after)) = args.split_first()
                        && is(any, "any")
                    {
                        self.any = true;
                        args = after;
                    }
                }
                _ => args = other(self, option, rest)?.ok_or_else(Refusal::syntax)?,
            }
        }
        Ok(())
    }

    fn run(&self, reading: &Reading<'_>, key: &[u8]) -> Result<Vec<GeoHit>, Refusal> {
        let (Some(origin), Some(shape)) = (&self.origin, self.shape) else { return Err(Refusal::syntax()) };
        let middle = match origin {
            Origin::Place(place) => *place,
            Origin::Member(member) => {
                if reading.metadata(key)?.is_none() {
                    return Ok(Vec::new());
                }
                let place = geo::places(reading, key, &[member])?.pop().flatten();
                place.ok_or_else(|| error("could not decode requested zset member"))?
            }
        };
        let any = self.count.filter(|_| self.any);
        let mut hits = geo::search(reading, key, middle, shape, any)?;
        // The nearest are those that count, when they are not asked for in another order.
        let order = self.order.or((self.count.is_some() && !self.any).then_some(Ordering::Less));
        match order {
            Some(Ordering::Greater) => hits.sort_by(|a, b| b.distance_m.total_cmp(&a.distance_m)),
            Some(_) => hits.sort_by(|a, b| a.distance_m.total_cmp(&b.distance_m)),
            None => {}
        }
        hits.truncate(self.count.unwrap_or(usize::MAX));
        Ok(hits)
    }

    fn answer(&self, hits: Vec<GeoHit>) -> Reply {
        let one = |hit: GeoHit| {
            let mut parts = vec![bulk(hit.member)];
            if self.with_distance {
                parts.push(bulk(format_double(hit.distance_m / self.unit_m)));
            }
            if self.with_score {
                parts.push(Reply::Either(Box::new([bulk(format_double(hit.score)), integer(hit.score as u64)])));
            }
            if self.with_place {
                parts.push(coordinates(hit.place));
            }
            if parts.len() == 1 { parts.remove(0) } else { Reply::Array(parts) }
        };
        Reply::Array(hits.into_iter().map(one).collect())
    }

    fn execute(&self, context: &Context<'_>, key: &[u8]) -> Answer {
        let Some(store) = &self.store else {
            return context.view(|reading| Ok(self.answer(self.run(reading, key)?)));
        };
        context.write(|writing| {
            let hits = self.run(&writing.reading(), key)?;
            let score = |hit: &GeoHit| if self.store_distance { hit.distance_m / self.unit_m } else { hit.score };
            let members: Vec<(Vec<u8>, f64)> = hits.iter().map(|hit| (hit.member.clone(), score(hit))).collect();
            sorted_set::replace(writing, store, &members)?;
            Ok(integer(members.len() as u64))
        })
    }
}

/// GEORADIUS, GEORADIUSBYMEMBER, and both with _RO.
pub fn georadius(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let name = args[0].to_ascii_lowercase();
    let mut search = Search::default();
    let rest = if name.starts_with(b"georadiusbymember") {
        search.origin = Some(Origin::Member(args[2].clone()));
        &args[3..]
    } else {
        search.origin = Some(Origin::Place(parse_place(&args[2], &args[3])?));
        &args[4..]
    };
    let (size, options) = rest.split_at_checked(2).ok_or_else(Refusal::arity)?;
    search.unit_m = parse_unit(&size[1])?;
    search.shape = Some(GeoShape::Circle { radius_m: parse_size(&size[0], "radius")? * search.unit_m });
    let stores = !name.ends_with(b"_ro");
    search.parse(options, |search, option, rest| {
        let distance = is(option, "storedist");
        if !stores || !(distance || is(option, "store")) {
            return Ok(None);
        }
        let Some((target, after)) = rest.split_first() else { return Ok(None) };
        search.store = Some(target.clone());
        search.store_distance = distance;
        Ok(Some(after))
    })?;
    if search.store.is_some() && (search.with_distance || search.with_place || search.with_score) {
        return Err(error(
            "STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORDS options",
        ));
    }
    search.execute(context, &args[1])
}

/// GEOSEARCH and GEOSEARCHSTORE.
pub fn geosearch(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let stores = is(&args[0], "geosearchstore");
    let mut search = Search { unit_m: 1.0, ..Search::default() };
    let (key, options) = if stores {
        search.store = Some(args[1].clone());
        (&args[2], &args[3..])
    } else {
        (&args[1], &args[2..])
    };
    search.parse(options, |search, option, rest| {
        let taken = |count: usize| rest.split_at_checked(count).ok_or_else(Refusal::syntax);
        if is(option, "frommember") || is(option, "fromlonlat") {
            if search.origin.is_some() {
                return Err(error("please use only one of FROMMEMBER or FROMLONLAT"));
            }
            let (parts, after) = taken(if is(option, "frommember") { 1 } else { 2 })?;
            search.origin = Some(match parts {
                [longitude, latitude] => Origin::Place(parse_place(longitude, latitude)?),
                parts => Origin::Member(parts.concat()),
            });
            return Ok(Some(after));
        }
        if is(option, "byradius") || is(option, "bybox") {
            if search.shape.is_some() {
                return Err(error("please use only one of BYBOX or BYRADIUS"));
            }
            let (parts, after) = taken(if is(option, "byradius") { 2 } else { 3 })?;
            search.unit_m = parse_unit(parts.last().map(Vec::as_slice).unwrap_or_default())?;
            let unit = search.unit_m;
            search.shape = Some(match parts {
                [width, height, _] => GeoShape::Box {
                    width_m: parse_size(width, "height or width")? * unit,
                    height_m: parse_size(height, "height or width")? * unit,
                },
                parts => GeoShape::Circle { radius_m: parse_size(&parts[0], "radius")? * unit },
            });
            return Ok(Some(after));
        }
        if stores && is(option, "storedist") {
            search.store_distance = true;
            return Ok(Some(rest));
        }
        Err(error("Invalid argument given"))
    })?;
    if search.origin.is_none() {
        let name = if stores { "GEOSEARCHSTORE" } else { "GEOSEARCH" };
        return Err(error(format_args!("exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}")));
    }
    if search.shape.is_none() {
        return Err(error("please use BYBOX or BYRADIUS"));
    }
    if stores && (search.with_distance || search.with_place || search.with_score) {
        return Err(error("Invalid argument given"));
    }
    search.execute(context, key)
}
