//! Places as scores: 26 bits of latitude and longitude each, interleaved to 52 bits, in the ranges of Web Mercator.
//! Kvrocks: types/geohash.cc, redis_geo.cc; the distance is that of Redis, on a sphere.

/// The greatest latitude that a place can have.
pub const MAX_LATITUDE: f64 = 85.051_128_78;
/// The greatest longitude that a place can have.
pub const MAX_LONGITUDE: f64 = 180.0;

const BITS: u32 = 26;
const EARTH_RADIUS_M: f64 = 6_372_797.560_856;

/// A place on the earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// From -180 to 180.
    pub longitude: f64,
    /// From -85.05112878 to 85.05112878, the edges of Web Mercator.
    pub latitude: f64,
}

impl Place {
    /// Whether it can be stored.
    pub fn is_valid(self) -> bool {
        self.longitude.abs() <= MAX_LONGITUDE && self.latitude.abs() <= MAX_LATITUDE
    }

    /// The 52 bits of a valid place.
    pub fn encode(self) -> u64 {
        self.interleaved(MAX_LATITUDE, BITS)
    }

    /// The middle of the cell of 52 bits. Bits above them are ignored.
    pub fn decode(bits: u64) -> Place {
        let middle = |cell: u32, most: f64| {
            let size = 2.0 * most;
            let parts = f64::from(1 << BITS);
            let low = -most + f64::from(cell) / parts * size;
            let high = -most + f64::from(cell + 1) / parts * size;
            ((low + high) / 2.0).clamp(-most, most)
        };
        Place { longitude: middle(squeezed(bits >> 1), MAX_LONGITUDE), latitude: middle(squeezed(bits), MAX_LATITUDE) }
    }

    /// The place of a score; `None` for a score that no place has.
    pub fn of_score(score: f64) -> Option<Place> {
        (0.0..(1u64 << (2 * BITS)) as f64).contains(&score).then(|| Place::decode(score as u64))
    }

    /// The standard geohash, 11 characters, whose last is always 0.
    pub fn geohash(self) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = self.interleaved(90.0, BITS);
        let digits = (1..=10).map(|at| (bits >> (52 - at * 5) & 0x1F) as usize);
        digits.chain([0]).filter_map(|digit| ALPHABET.get(digit)).map(|&c| char::from(c)).collect()
    }

    /// The distance in metres.
    pub fn distance_m(self, other: Place) -> f64 {
        let (latitude, other_latitude) = (self.latitude.to_radians(), other.latitude.to_radians());
        let v = ((other.longitude.to_radians() - self.longitude.to_radians()) / 2.0).sin();
        if v == 0.0 {
            return EARTH_RADIUS_M * (other_latitude - latitude).abs();
        }
        let u = ((other_latitude - latitude) / 2.0).sin();
        let a = u * u + latitude.cos() * other_latitude.cos() * v * v;
        2.0 * EARTH_RADIUS_M * a.sqrt().asin()
    }

    fn cell(self, max_latitude: f64, bits: u32) -> (u32, u32) {
        let parts = f64::from(1u32 << bits);
        let part = |value: f64, most: f64| (((value + most) / (2.0 * most)) * parts).clamp(0.0, parts - 1.0) as u32;
        (part(self.longitude, MAX_LONGITUDE), part(self.latitude, max_latitude))
    }

    fn interleaved(self, max_latitude: f64, bits: u32) -> u64 {
        let (x, y) = self.cell(max_latitude, bits);
        spread(x) << 1 | spread(y)
    }
}

/// An area around a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GeoShape {
    /// All that is no farther.
    Circle {
        /// In metres.
        radius_m: f64,
    },
    /// A rectangle with the place in its middle.
    Box {
        /// From west to east, in metres.
        width_m: f64,
        /// From south to north, in metres.
        height_m: f64,
    },
}

impl GeoShape {
    /// The distance of a place from the middle, when it is inside.
    pub fn distance_m(self, middle: Place, place: Place) -> Option<f64> {
        match self {
            GeoShape::Circle { radius_m } => Some(middle.distance_m(place)).filter(|&distance| distance <= radius_m),
            GeoShape::Box { width_m, height_m } => {
                let north = EARTH_RADIUS_M * (place.latitude.to_radians() - middle.latitude.to_radians()).abs();
                if north > height_m / 2.0 {
                    return None;
                }
                let east = place.distance_m(Place { longitude: middle.longitude, latitude: place.latitude });
                (east <= width_m / 2.0).then(|| middle.distance_m(place))
            }
        }
    }

    /// Ranges of scores, from the first to before the second, which together hold every place inside. They do not
    /// overlap, are in order, and are at most nine.
    pub fn scores(self, middle: Place) -> Vec<(u64, u64)> {
        let (east_m, north_m) = match self {
            GeoShape::Circle { radius_m } => (radius_m, radius_m),
            GeoShape::Box { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
        };
        let north = (north_m / EARTH_RADIUS_M).to_degrees();
        let widest = (middle.latitude.abs() + north).min(MAX_LATITUDE).to_radians().cos();
        // The bearing of the widest point is not due east: half a circle is as far as one can be.
        let east = ((east_m / EARTH_RADIUS_M / 2.0 / widest).min(1.0).asin() * 2.0).to_degrees() * 1.01;
        let whole = vec![(0, 1 << (2 * BITS))];
        if !east.is_finite() || !north.is_finite() || east >= 120.0 {
            return whole;
        }
        // The smallest cells of which three in a row reach from one edge to the other.
        let fits = |bits: &u32| {
            let parts = f64::from(1u32 << bits);
            2.0 * MAX_LONGITUDE / parts >= east && 2.0 * MAX_LATITUDE / parts >= north * 1.01
        };
        let Some(bits) = (2..=BITS).rev().find(fits) else { return whole };
        let (x, y) = middle.cell(MAX_LATITUDE, bits);
        let mask = (1u32 << bits) - 1;
        let mut cells = Vec::new();
        for dy in [-1i64, 0, 1] {
            let Ok(y) = u32::try_from(i64::from(y) + dy) else { continue };
            if y > mask {
                continue;
            }
            for dx in [mask, 0, 1] {
                let cell = spread(x.wrapping_add(dx) & mask) << 1 | spread(y);
                let shift = 2 * (BITS - bits);
                cells.push((cell << shift, (cell + 1) << shift));
            }
        }
        cells.sort_unstable();
        cells.dedup();
        cells
    }
}

/// Puts a zero above each bit.
fn spread(value: u32) -> u64 {
    (0..32).fold(0, |out, at| out | u64::from(value >> at & 1) << (2 * at))
}

/// Takes every second bit of the low 52.
fn squeezed(bits: u64) -> u32 {
    (0..BITS).fold(0, |out, at| out | ((bits >> (2 * at) & 1) as u32) << at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALERMO: Place = Place { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Place = Place { longitude: 15.087269, latitude: 37.502669 };

    /// Scores, places, geohashes and distances are those that a Kvrocks server gave.
    #[test]
    fn known_places() {
        assert_eq!(PALERMO.encode(), 3479099956230698);
        assert_eq!(CATANIA.encode(), 3479447370796909);
        let stored = Place::of_score(3479099956230698.0).unwrap();
        assert_eq!((stored.longitude, stored.latitude), (13.361389338970184, 38.115_556_395_496_3));
        assert_eq!(stored.geohash(), "sqc8b49rny0");
        let distance = stored.distance_m(Place::of_score(3479447370796909.0).unwrap());
        assert!((distance - 166274.15156960033).abs() < 1e-6, "{distance}");
        for bad in [f64::NAN, -1.0, 4503599627370496.0, f64::INFINITY] {
            assert_eq!(Place::of_score(bad), None);
        }
    }

    /// No place inside of an area is outside of its ranges: everywhere, and across the antimeridian.
    #[test]
    fn ranges_hold_all_inside() {
        let mut inside = 0;
        let step = |from: f64, by: f64, count: i32| (0..count).map(move |n| from + by * f64::from(n));
        for longitude in step(-180.0, 30.0, 13) {
            for latitude in step(-85.0, 17.0, 11) {
                let middle = Place { longitude, latitude };
                for size in [1.0, 1e3, 1e5, 1e6, 5e6, 1e7, 3e7] {
                    for shape in
                        [GeoShape::Circle { radius_m: size }, GeoShape::Box { width_m: size, height_m: size / 3.0 }]
                    {
                        let ranges = shape.scores(middle);
                        assert!(ranges.len() <= 9 && ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
                        for x in step(-180.0, 7.3, 49) {
                            for y in step(-85.0, 6.9, 24) {
                                let near = size / 2e5;
                                for place in [
                                    Place { longitude: x, latitude: y },
                                    Place {
                                        longitude: longitude + near * x / 180.0,
                                        latitude: latitude + near * y / 90.0,
                                    },
                                ] {
                                    if place.is_valid() && shape.distance_m(middle, place).is_some() {
                                        inside += 1;
                                        let score = place.encode();
                                        let held = ranges.iter().any(|&(from, to)| (from..to).contains(&score));
                                        assert!(held, "{middle:?} {shape:?} {place:?}");
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        assert!(inside > 100_000, "{inside}");
    }
}
