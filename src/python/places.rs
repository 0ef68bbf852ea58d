//! Places, by the names of members.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::arguments::{self, Bytes};
use crate::{GeoHit, GeoShape, Place};

/// Places on the earth, in the sorted set of one key: members, each with a longitude and a latitude in degrees.
///
/// It need not be there. Each call is one write or one look. Distances are metres. A place that is not on the map raises
/// InvalidArgumentError, a key of another type WrongTypeError.
#[pyclass(frozen, module = "pumice")]
pub struct Geo {
    pub live: crate::Geo,
}

/// The middle of a search: a member, or a place.
enum Middle<'py> {
    Member(Bytes<'py>),
    Place(Place),
}

impl<'py> FromPyObject<'py, '_> for Middle<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'py, '_, PyAny>) -> PyResult<Middle<'py>> {
        if object.is_instance_of::<PyTuple>() {
            let (longitude, latitude) = object.extract()?;
            return Ok(Middle::Place(Place { longitude, latitude }));
        }
        Bytes::extract(object).map(Middle::Member)
    }
}

/// A member, its distance from the middle in metres, and its longitude and latitude.
type Hit<'py> = (Bound<'py, PyBytes>, f64, (f64, f64));

impl Geo {
    fn search<'py>(
        &self,
        py: Python<'py>,
        middle: &Middle<'_>,
        shape: GeoShape,
        count: Option<usize>,
    ) -> PyResult<Vec<Hit<'py>>> {
        let count = count.unwrap_or(usize::MAX);
        let found = py.detach(|| match middle {
            Middle::Member(member) => self.live.search_around(member, shape, count),
            Middle::Place(place) => self.live.search(*place, shape, count),
        })?;
        let one =
            |hit: GeoHit| (PyBytes::new(py, &hit.member), hit.distance_m, (hit.place.longitude, hit.place.latitude));
        Ok(found.into_iter().map(one).collect())
    }
}

#[pymethods]
impl Geo {
    /// Adds a member, or moves it. Whether it is new.
    fn add(&self, py: Python<'_>, member: Bytes<'_>, longitude: f64, latitude: f64) -> PyResult<bool> {
        Ok(py.detach(|| self.live.add(&[(Place { longitude, latitude }, &*member)]))? > 0)
    }

    /// Adds members in one write, from a mapping or from pairs of a member and its longitude and latitude. How many are new.
    fn set_many(&self, py: Python<'_>, places: &Bound<'_, PyAny>) -> PyResult<u64> {
        let mut given = Vec::new();
        for pair in arguments::pairs(places).try_iter()? {
            let (member, (longitude, latitude)) = pair?.extract::<(Bound<'_, PyAny>, (f64, f64))>()?;
            given.push((Place { longitude, latitude }, Bytes::extract(member.as_borrowed())?.to_vec()));
        }
        if given.is_empty() {
            return Ok(0);
        }
        Ok(py.detach(|| self.live.add(&given))?)
    }

    /// Removes members. How many were there.
    fn remove(&self, py: Python<'_>, members: &Bound<'_, PyAny>) -> PyResult<u64> {
        let members = arguments::keys(members)?;
        let members: Vec<Bytes<'_>> = members.iter_borrowed().map(Bytes::extract).collect::<PyResult<_>>()?;
        Ok(py.detach(|| self.live.remove(&members))?)
    }

    /// The longitude and latitude of a member, as exactly as they are kept, None when it is not there.
    fn position(&self, py: Python<'_>, member: Bytes<'_>) -> PyResult<Option<(f64, f64)>> {
        let found = py.detach(|| self.live.position(&*member))?;
        Ok(found.map(|place| (place.longitude, place.latitude)))
    }

    /// How many metres two members are from each other, None when one of them is not there.
    fn distance(&self, py: Python<'_>, member: Bytes<'_>, other: Bytes<'_>) -> PyResult<Option<f64>> {
        Ok(py.detach(|| self.live.distance_m(&*member, &*other))?)
    }

    /// The members in a circle around `middle`, the nearest first, `count` at most: each with its distance and place. The
    /// middle is a member, else NotFoundError is raised, or a tuple of longitude and latitude.
    #[pyo3(signature = (middle, radius, *, count=None))]
    fn within_radius<'py>(
        &self,
        py: Python<'py>,
        middle: Middle<'_>,
        radius: f64,
        count: Option<usize>,
    ) -> PyResult<Vec<Hit<'py>>> {
        self.search(py, &middle, GeoShape::Circle { radius_m: radius }, count)
    }

    /// The members in a rectangle around `middle`, as `within_radius` gives them.
    #[pyo3(signature = (middle, width, height, *, count=None))]
    fn within_box<'py>(
        &self,
        py: Python<'py>,
        middle: Middle<'_>,
        width: f64,
        height: f64,
        count: Option<usize>,
    ) -> PyResult<Vec<Hit<'py>>> {
        self.search(py, &middle, GeoShape::Box { width_m: width, height_m: height }, count)
    }

    fn __contains__(&self, member: Bytes<'_>) -> PyResult<bool> {
        Ok(self.live.position(&*member)?.is_some())
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.live.len()?)?)
    }

    /// Removes all members.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }
}
