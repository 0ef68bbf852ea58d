//! Who follows whom: what is wished, and what runs.

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::replication::{LinkStatus, time};
use crate::Topology;

/// One node of a topology. `primary` is the id of the node that it follows, None for a primary; `slots` are those of a primary,
/// pairs of first and last.
#[pyclass(frozen, eq, hash, module = "pumice")]
#[derive(PartialEq, Eq, Hash)]
pub struct Node {
    /// Its id: 40 characters.
    #[pyo3(get)]
    id: String,
    /// The host name or address under which it listens.
    #[pyo3(get)]
    host: String,
    /// The port on which it listens.
    #[pyo3(get)]
    port: u16,
    /// The id of the primary that it follows; None for a primary.
    #[pyo3(get)]
    primary: Option<String>,
    slots: Vec<(u16, u16)>,
}

impl Node {
    fn to_engine(&self) -> crate::Node {
        crate::Node {
            id: self.id.clone(),
            host: self.host.clone(),
            port: self.port,
            primary: self.primary.clone(),
            slots: self.slots.clone(),
        }
    }
}

impl From<crate::Node> for Node {
    fn from(node: crate::Node) -> Node {
        Node { id: node.id, host: node.host, port: node.port, primary: node.primary, slots: node.slots }
    }
}

#[pymethods]
impl Node {
    #[new]
    #[pyo3(signature = (id, host, port, primary=None, slots=Vec::new()), text_signature = "(id, host, port, primary=None, slots=())")]
    fn new(id: String, host: String, port: u16, primary: Option<String>, slots: Vec<(u16, u16)>) -> Node {
        Node { id, host, port, primary, slots }
    }

    /// The slots of a primary: pairs of first and last.
    #[getter]
    fn slots<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.slots)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let (py, node) = (slf.py(), slf.get());
        let arguments = (&node.id, &node.host, node.port, &node.primary, node.slots(py)?);
        (slf.get_type(), arguments).into_pyobject(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let mut text = format!("Node({:?}, {:?}, {}", self.id, self.host, self.port);
        if let Some(primary) = &self.primary {
            text.push_str(&format!(", primary={primary:?}"));
        }
        if !self.slots.is_empty() {
            text.push_str(&format!(", slots={}", self.slots(py)?.repr()?));
        }
        Ok(text + ")")
    }
}

/// A topology from its text, or from nodes.
pub fn topology(version: u64, nodes: &Bound<'_, PyAny>) -> PyResult<Topology> {
    if let Ok(text) = nodes.cast::<PyString>() {
        return Ok(Topology::parse(version, text.extract()?)?);
    }
    let mut list = Vec::new();
    for node in nodes.try_iter()? {
        list.push(node?.cast::<Node>()?.get().to_engine());
    }
    Ok(Topology::new(version, list)?)
}

/// What a node is meant to be and what it is: one moment of both.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct TopologyStatus {
    /// The version of the topology; None where none was set.
    version: Option<u64>,
    /// Its nodes.
    nodes: Vec<Py<Node>>,
    /// Who this node is in it; None where that was not said.
    node_id: Option<String>,
    /// The role of this node: "primary", "replica" or "detached".
    role: &'static str,
    /// The number of the epoch under which this primary writes, or that this replica has seen.
    epoch: u64,
    /// Host and port of the primary that it is meant to follow, or None.
    desired: Option<(String, u16)>,
    /// The link that runs, or None.
    actual: Option<Py<LinkStatus>>,
    /// Whether what runs is what was wished.
    converged: bool,
    /// Since when it has been so, or has not, as `time.time()` counts.
    since: f64,
    /// Why it has not.
    reason: Option<String>,
}

impl TopologyStatus {
    pub fn new(py: Python<'_>, status: crate::TopologyStatus) -> PyResult<TopologyStatus> {
        let actual = status.actual.map(|link| LinkStatus::create(py, link)).transpose()?;
        Ok(TopologyStatus {
            version: status.version,
            nodes: status.nodes.into_iter().map(|node| Py::new(py, Node::from(node))).collect::<PyResult<_>>()?,
            node_id: status.node_id,
            role: status.role.name(),
            epoch: status.epoch,
            desired: status.desired,
            actual: actual.map(Bound::unbind),
            converged: status.converged,
            since: time(status.since_ms),
            reason: status.reason,
        })
    }
}

#[pymethods]
impl TopologyStatus {
    fn __repr__(&self) -> String {
        let version = self.version.map_or("none".to_owned(), |version| format!("version {version}"));
        let state = match &self.reason {
            None => "converged".to_owned(),
            Some(reason) => format!("not converged: {reason}"),
        };
        format!("<pumice.TopologyStatus {version}, {}, epoch {}, {state}>", self.role, self.epoch)
    }
}
