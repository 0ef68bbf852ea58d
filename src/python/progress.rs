//! What a progress callback is given.

use pyo3::prelude::*;

use super::replication::LinkStatus;

/// How far a long call is.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct Progress {
    /// What it is doing: "receive", "open", "publish", "checksum", "convert" or "count".
    stage: &'static str,
    /// Files done in this stage.
    files_done: u64,
    /// Files in all.
    files: u64,
    /// Bytes done in this stage.
    bytes_done: u64,
    /// Bytes in all; an estimate, never below what is done, where records are gone through.
    bytes: u64,
    /// From 0.0 to 1.0, by bytes.
    fraction: f64,
}

#[pymethods]
impl Progress {
    fn __repr__(&self) -> String {
        format!(
            "Progress(stage='{}', files_done={}, files={}, bytes_done={}, bytes={})",
            self.stage, self.files_done, self.files, self.bytes_done, self.bytes
        )
    }
}

/// What a long call tells.
pub enum Told {
    Progress(crate::Progress),
    Link(Box<crate::LinkStatus>),
}

impl From<&crate::Progress> for Told {
    fn from(progress: &crate::Progress) -> Told {
        Told::Progress(*progress)
    }
}

impl From<&crate::LinkStatus> for Told {
    fn from(link: &crate::LinkStatus) -> Told {
        Told::Link(Box::new(link.clone()))
    }
}

/// Calls a progress callback.
pub fn call(py: Python<'_>, callback: &Bound<'_, PyAny>, told: Told) -> PyResult<()> {
    match told {
        Told::Progress(progress) => {
            let told = Progress {
                stage: progress.stage.name(),
                files_done: progress.files_done,
                files: progress.files,
                bytes_done: progress.bytes_done,
                bytes: progress.bytes,
                fraction: progress.fraction(),
            };
            callback.call1((Bound::new(py, told)?,))
        }
        Told::Link(link) => callback.call1((LinkStatus::create(py, *link)?,)),
    }
    .map(drop)
}
