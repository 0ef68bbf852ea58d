//! Sorted sets as mutable mappings from members to scores.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat};

use super::arguments::{self, Bytes};
use super::elements::{ElementIterator, Walk};
use super::leases::Shared;
use super::namespace::{Fallback, missing, pop_first};
use crate::{Add, Part, ScoreBound, Span};

/// The sorted set of one key, as a mutable mapping from members, which are bytes, to scores: in the order of the scores.
///
/// It need not be there: a sorted set without members is none. Each call is one write or one look. A key of another type
/// raises WrongTypeError.
#[pyclass(frozen, mapping, module = "pumice")]
pub struct SortedSet {
    shared: Arc<Shared>,
    live: crate::SortedSet,
}

impl SortedSet {
    pub fn new(shared: &Arc<Shared>, live: crate::SortedSet) -> SortedSet {
        SortedSet { shared: Arc::clone(shared), live }
    }

    fn walk(
        &self,
        py: Python<'_>,
        span: &Span,
        reverse: bool,
        with: fn(crate::Scores) -> Walk,
    ) -> PyResult<ElementIterator> {
        let scores = py.detach(|| self.live.range(span, Part { reverse, ..Part::ALL }))?;
        Ok(ElementIterator::new(&self.shared, with(scores)))
    }
}

const ALL: Span = Span::Rank(0, -1);

/// A member with its score.
type Pair<'py> = (Bound<'py, PyBytes>, f64);

fn pairs<'py>(py: Python<'py>, members: Vec<(Vec<u8>, f64)>) -> Vec<Pair<'py>> {
    members.into_iter().map(|(member, score)| (PyBytes::new(py, &member), score)).collect()
}

fn span(min: Option<f64>, max: Option<f64>, exclusive: bool) -> PyResult<Span> {
    let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
    if min.is_nan() || max.is_nan() {
        return Err(PyValueError::new_err("score: got NaN, expected a number"));
    }
    Ok(Span::Score(ScoreBound { score: min, exclusive: false }, ScoreBound { score: max, exclusive }))
}

#[pymethods]
impl SortedSet {
    fn __getitem__(&self, member: &Bound<'_, PyAny>) -> PyResult<f64> {
        let bytes = Bytes::extract(member.as_borrowed())?;
        self.live.score(&bytes)?.ok_or_else(|| missing(member))
    }

    fn __setitem__(&self, py: Python<'_>, member: Bytes<'_>, score: f64) -> PyResult<()> {
        py.detach(|| self.live.add(&[(score, &*member)]))?;
        Ok(())
    }

    fn __delitem__(&self, py: Python<'_>, member: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = Bytes::extract(member.as_borrowed())?;
        match py.detach(|| self.live.remove(&[&*bytes]))? {
            0 => Err(missing(member)),
            _ => Ok(()),
        }
    }

    fn __contains__(&self, member: Bytes<'_>) -> PyResult<bool> {
        Ok(self.live.score(&member)?.is_some())
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.live.len()?)?)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<ElementIterator> {
        self.walk(py, &ALL, false, Walk::Scored)
    }

    fn __reversed__(&self, py: Python<'_>) -> PyResult<ElementIterator> {
        self.walk(py, &ALL, true, Walk::Scored)
    }

    /// The score of a member, or `default` when it is not there.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: Bytes<'_>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.live.score(&key)?.map(|score| PyFloat::new(py, score).into_any()).or(default))
    }

    /// Takes a member away and gives its score, or `default` when it is not there, or else raises KeyError.
    #[pyo3(signature = (key, default=Fallback::Raise), text_signature = "($self, key, default=...)")]
    fn pop<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Fallback<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = Bytes::extract(key.as_borrowed())?;
        match (py.detach(|| self.live.take_member(&bytes))?, default) {
            (Some(score), _) => Ok(PyFloat::new(py, score).into_any()),
            (None, Fallback::Given(default)) => Ok(default),
            (None, Fallback::Raise) => Err(missing(key)),
        }
    }

    /// Takes the member with the lowest score away and gives it with its score; KeyError where there is none.
    fn popitem<'py>(slf: Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        pop_first(slf.as_any())
    }

    /// The score of a member, which is stored as `default` when it is not there, with nothing in between.
    fn setdefault(&self, py: Python<'_>, key: Bytes<'_>, default: f64) -> PyResult<f64> {
        loop {
            if let Some(score) = self.live.score(&key)? {
                return Ok(score);
            }
            let absent = Add { absent: true, ..Add::default() };
            if py.detach(|| self.live.add_with(&[(default, &*key)], absent))?.added > 0 {
                return Ok(default);
            }
            // Another thread stored one in between.
        }
    }

    /// Sets the scores of many members in one write, from a mapping or from pairs. How many are new.
    fn set_many(&self, py: Python<'_>, scores: &Bound<'_, PyAny>) -> PyResult<u64> {
        let mut members = Vec::new();
        for pair in arguments::pairs(scores).try_iter()? {
            let (member, score) = pair?.extract::<(Bound<'_, PyAny>, f64)>()?;
            members.push((score, Bytes::extract(member.as_borrowed())?.to_vec()));
        }
        if members.is_empty() {
            return Ok(0);
        }
        Ok(py.detach(|| self.live.add(&members))?)
    }

    /// Adds to the score of a member, which is 0 where it is not there. Gives what it is then.
    #[pyo3(signature = (member, by=1.0))]
    fn increment(&self, py: Python<'_>, member: Bytes<'_>, by: f64) -> PyResult<f64> {
        Ok(py.detach(|| self.live.increment(&member, by))?)
    }

    /// How many members come before one, or with `reverse` after it; None when it is not there. In a long
    /// sorted set only the first question goes through them.
    #[pyo3(signature = (member, *, reverse=false))]
    fn rank(&self, py: Python<'_>, member: Bytes<'_>, reverse: bool) -> PyResult<Option<u64>> {
        Ok(py.detach(|| if reverse { self.live.rank_from_last(&member) } else { self.live.rank(&member) })?)
    }

    /// Pairs of member and score from one place to another, which is among them, at one moment. Places count in the order
    /// that is asked for, from the other end with negative numbers.
    #[pyo3(signature = (first=0, last=-1, *, reverse=false), text_signature = "($self, first=0, last=-1, *, reverse=False)")]
    fn by_rank(&self, py: Python<'_>, first: i64, last: i64, reverse: bool) -> PyResult<ElementIterator> {
        self.walk(py, &Span::Rank(first, last), reverse, Walk::ScoredWithScores)
    }

    /// Pairs of member and score with scores from `min` to `max`, that one among them unless `exclusive`, at one moment.
    #[pyo3(signature = (min=None, max=None, *, exclusive=false, reverse=false))]
    fn by_score(
        &self,
        py: Python<'_>,
        min: Option<f64>,
        max: Option<f64>,
        exclusive: bool,
        reverse: bool,
    ) -> PyResult<ElementIterator> {
        self.walk(py, &span(min, max, exclusive)?, reverse, Walk::ScoredWithScores)
    }

    /// How many members have scores from `min` to `max`, that one among them unless `exclusive`. Goes through them.
    #[pyo3(signature = (min=None, max=None, *, exclusive=false))]
    fn count(&self, py: Python<'_>, min: Option<f64>, max: Option<f64>, exclusive: bool) -> PyResult<u64> {
        let span = span(min, max, exclusive)?;
        Ok(py.detach(|| self.live.count(&span))?)
    }

    /// Takes the members with the lowest scores away, `count` at most, and gives them with their scores.
    #[pyo3(signature = (count=1))]
    fn pop_lowest<'py>(&self, py: Python<'py>, count: u64) -> PyResult<Vec<Pair<'py>>> {
        Ok(pairs(py, py.detach(|| self.live.pop(false, count))?))
    }

    /// Takes the members with the highest scores away, `count` at most, and gives them with their scores.
    #[pyo3(signature = (count=1))]
    fn pop_highest<'py>(&self, py: Python<'py>, count: u64) -> PyResult<Vec<Pair<'py>>> {
        Ok(pairs(py, py.detach(|| self.live.pop(true, count))?))
    }

    /// Removes all members.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }

    fn __repr__(&self) -> String {
        format!("<pumice.SortedSet {}>", self.live.shown())
    }
}
