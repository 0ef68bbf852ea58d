//! Places as users hold them.

use super::super::error::{Error, ErrorKind, Result, shown};
use super::super::format::geohash::{GeoShape, MAX_LATITUDE, MAX_LONGITUDE, Place};
use super::super::format::metadata::Kind;
use super::super::types::geo::{self, GeoHit};
use super::super::types::sorted_set::{self, Add};
use super::Key;

/// Places on the earth, each by the name of a member. A handle of a key, which need not be there; WrongType when it is of
/// another type. On disk it is a sorted set, whose scores are geohashes of 52 bits: places are kept to within a metre, and
/// [`Namespace::sorted_set`](crate::Namespace::sorted_set) of the same key has the same members.
///
/// Each call is one write, which survives a killed process when it returns, or one look at one moment. Distances are metres,
/// on a sphere, as Redis counts them.
///
/// ```
/// use pumice::{Engine, GeoShape, Options, Place};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let cities = engine.default_namespace().geo("cities");
/// let palermo = Place { longitude: 13.361389, latitude: 38.115556 };
/// let catania = Place { longitude: 15.087269, latitude: 37.502669 };
/// assert_eq!(cities.add(&[(palermo, "Palermo"), (catania, "Catania")])?, 2);
/// assert_eq!(cities.distance_m("Palermo", "Catania")?.unwrap().round(), 166274.0);
///
/// let hits = cities.search_around("Catania", GeoShape::Circle { radius_m: 200_000.0 }, 10)?;
/// assert_eq!(hits[0].member, b"Catania");
/// assert_eq!(hits[1].member, b"Palermo");
/// let rome = Place { longitude: 12.5, latitude: 41.9 };
/// assert!(cities.search(rome, GeoShape::Box { width_m: 1000.0, height_m: 1000.0 }, 10)?.is_empty());
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Geo {
    pub(super) key: Key,
}

fn check_place(place: Place) -> Result<()> {
    if place.is_valid() {
        return Ok(());
    }
    let Place { longitude, latitude } = place;
    let message = format!(
        "place: got longitude {longitude}, latitude {latitude}, expected at most {MAX_LONGITUDE} and {MAX_LATITUDE} degrees \
         from 0"
    );
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

fn check_shape(shape: GeoShape) -> Result<()> {
    let sizes = match shape {
        GeoShape::Circle { radius_m } => [radius_m, radius_m],
        GeoShape::Box { width_m, height_m } => [width_m, height_m],
    };
    match sizes.into_iter().find(|size| size.is_nan() || *size < 0.0) {
        None => Ok(()),
        Some(size) => {
            let message = format!("area: got {size} metres, expected 0 or more");
            Err(Error::new(ErrorKind::InvalidArgument, message))
        }
    }
}

impl Geo {
    /// Adds members at their places, and moves those that are there. How many are new. InvalidArgument for a place beyond the
    /// poles of the map: a latitude of more than 85.05112878 degrees, a longitude of more than 180.
    pub fn add(&self, places: &[(Place, impl AsRef<[u8]>)]) -> Result<u64> {
        places.iter().try_for_each(|(place, _)| check_place(*place))?;
        let places: Vec<(Place, &[u8])> = places.iter().map(|(place, member)| (*place, member.as_ref())).collect();
        self.key.write(|writing, key| Ok(geo::add(writing, key, &places, Add::default())?.added))
    }

    /// Removes members. How many were there.
    pub fn remove(&self, members: &[impl AsRef<[u8]>]) -> Result<u64> {
        self.key.write(|writing, key| sorted_set::remove(writing, key, members))
    }

    /// Where a member is, as exactly as it is kept.
    pub fn position(&self, member: impl AsRef<[u8]>) -> Result<Option<Place>> {
        self.key.view(|reading, key| Ok(geo::places(reading, key, &[member])?.pop().flatten()))
    }

    /// How far two members are from each other; `None` when one of them is not there.
    pub fn distance_m(&self, member: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> Result<Option<f64>> {
        let members = [member.as_ref(), other.as_ref()];
        let places = self.key.view(|reading, key| geo::places(reading, key, &members))?;
        Ok(match places[..] {
            [Some(from), Some(to)] => Some(from.distance_m(to)),
            _ => None,
        })
    }

    /// The members in an area around a place, the nearest first, `count` at most. All that are in the area are in memory
    /// meanwhile; InvalidArgument when that is more than 512 MiB.
    pub fn search(&self, middle: Place, shape: GeoShape, count: usize) -> Result<Vec<GeoHit>> {
        check_place(middle)?;
        check_shape(shape)?;
        self.key.view(|reading, key| geo::nearest(reading, key, middle, shape, count))
    }

    /// [`Geo::search`] around a member, which is found too. NotFound when it is not there.
    pub fn search_around(&self, member: impl AsRef<[u8]>, shape: GeoShape, count: usize) -> Result<Vec<GeoHit>> {
        check_shape(shape)?;
        let member = member.as_ref();
        self.key.view(|reading, key| match geo::places(reading, key, &[member])?.pop().flatten() {
            Some(middle) => geo::nearest(reading, key, middle, shape, count),
            None => {
                let message = format!("place of {} in {}: there is none", shown(member), self.key.shown());
                Err(Error::new(ErrorKind::NotFound, message))
            }
        })
    }

    /// How many members there are. One read.
    pub fn len(&self) -> Result<u64> {
        self.key.read(|reading, key| reading.size(key, Kind::ZSET))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Removes all members: one record, whatever their number.
    pub fn clear(&self) -> Result<()> {
        self.key.clear(Kind::ZSET)
    }
}
