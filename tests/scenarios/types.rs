//! The lines of the scenarios about places, Bloom filters and sorted ints.

use pumice::{BloomShape, Error, GeoHit, GeoShape, Namespace, Place};

use super::{decode, encode, list};

fn booleans(found: Vec<bool>) -> String {
    list(found.into_iter().map(|found| found.to_string()))
}

fn place(longitude: &str, latitude: &str) -> Place {
    Place { longitude: longitude.parse().unwrap(), latitude: latitude.parse().unwrap() }
}

fn shape(word: &str) -> GeoShape {
    let mut parts = word.split(':');
    let kind = parts.next().unwrap();
    let sizes: Vec<f64> = parts.map(|size| size.parse().unwrap()).collect();
    match (kind, &sizes[..]) {
        ("circle", &[radius_m]) => GeoShape::Circle { radius_m },
        ("box", &[width_m, height_m]) => GeoShape::Box { width_m, height_m },
        _ => panic!("unknown shape {word}"),
    }
}

fn integers(words: &[&str]) -> Vec<u64> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

/// How many at most: all without a number.
fn most(word: &str) -> u64 {
    word.parse().unwrap_or(u64::MAX)
}

/// `None` for an operation of another kind.
pub fn tell(namespace: &Namespace, operation: &str, words: &[&str]) -> Option<Result<String, Error>> {
    let (kind, operation) = operation.split_once('_')?;
    let (key, rest) = words.split_first()?;
    match kind {
        "geo" => Some(geo(namespace, &decode(key), operation, rest)),
        "bloom" => Some(bloom(namespace, &decode(key), operation, rest)),
        "ints" => Some(ints(namespace, &decode(key), operation, rest)),
        _ => None,
    }
}

fn geo(namespace: &Namespace, key: &[u8], operation: &str, words: &[&str]) -> Result<String, Error> {
    let geo = namespace.geo(key);
    Ok(match (operation, words) {
        ("add", places) => {
            let places = places.chunks(3).map(|part| (place(part[1], part[2]), decode(part[0])));
            geo.add(&places.collect::<Vec<_>>())?.to_string()
        }
        ("remove", members) => {
            geo.remove(&members.iter().map(|member| decode(member)).collect::<Vec<_>>())?.to_string()
        }
        ("len", []) => geo.len()?.to_string(),
        ("position", [member]) => {
            let shown = |place: Place| format!("{:.4}:{:.4}", place.longitude, place.latitude);
            geo.position(decode(member))?.map_or("none".to_owned(), shown)
        }
        ("distance", [one, other]) => {
            let found = geo.distance_m(decode(one), decode(other))?;
            found.map_or("none".to_owned(), |distance| format!("{distance:.0}"))
        }
        ("search", [middle, area, count]) => {
            let count = usize::try_from(most(count)).unwrap();
            let found = match middle.split_once(',') {
                Some((longitude, latitude)) => geo.search(place(longitude, latitude), shape(area), count)?,
                None => geo.search_around(decode(middle), shape(area), count)?,
            };
            list(found.iter().map(|GeoHit { member, distance_m, .. }| format!("{}:{distance_m:.0}", encode(member))))
        }
        _ => panic!("unknown operation"),
    })
}

fn bloom(namespace: &Namespace, key: &[u8], operation: &str, words: &[&str]) -> Result<String, Error> {
    let bloom = namespace.bloom_filter(key);
    let items = || words.iter().map(|item| decode(item)).collect::<Vec<_>>();
    Ok(match (operation, words) {
        ("reserve", [capacity, error_rate, expansion]) => {
            let (capacity, error_rate) = (capacity.parse().unwrap(), error_rate.parse().unwrap());
            let shape = BloomShape { capacity, error_rate, expansion: expansion.parse().unwrap() };
            bloom.reserve(shape)?.to_string()
        }
        ("add", [item]) => bloom.add(decode(item))?.to_string(),
        ("add", _) => booleans(bloom.add_many(&items())?),
        ("contains", [item]) => bloom.contains(decode(item))?.to_string(),
        ("contains", _) => booleans(bloom.contains_many(&items())?),
        ("info", []) => bloom.info()?.map_or("none".to_owned(), |info| {
            format!("{}:{}:{}:{}:{}", info.capacity, info.items, info.filters, info.bytes, info.expansion)
        }),
        _ => panic!("unknown operation"),
    })
}

fn ints(namespace: &Namespace, key: &[u8], operation: &str, words: &[&str]) -> Result<String, Error> {
    let ints = namespace.sorted_int(key);
    Ok(match (operation, words) {
        ("add", given) => ints.add(&integers(given))?.to_string(),
        ("remove", given) => ints.remove(&integers(given))?.to_string(),
        ("len", []) => ints.len()?.to_string(),
        ("contains", given) => {
            let found = integers(given).into_iter().map(|integer| ints.contains(integer));
            booleans(found.collect::<Result<_, _>>()?)
        }
        ("range", [from, to, way, count]) => {
            let (from, to, count) = (from.parse().unwrap(), to.parse().unwrap(), most(count));
            let found =
                if *way == "reverse" { ints.range_reversed(from, to, count) } else { ints.range(from, to, count) };
            list(found?.into_iter().map(|integer| integer.to_string()))
        }
        _ => panic!("unknown operation"),
    })
}
