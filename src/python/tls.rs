//! How a listener and a link speak TLS.

use std::path::PathBuf;

use pyo3::prelude::*;

fn optional(path: Option<&PathBuf>) -> String {
    path.map_or("None".to_owned(), |path| format!("'{}'", path.display()))
}

/// How a listener speaks TLS, for `serve`. The files are in PEM and read when it begins to listen: its certificate, with
/// those between it and its CA, and the key of that. With `client_ca`, clients and replicas must show a certificate that is
/// signed by it. With `peer_ca`, REPLICAOF on the listener and `hand_over` reach other nodes over TLS: their certificates
/// must be signed by it, and the listener's own is shown to them; without it they are reached in the clear.
#[pyclass(frozen, module = "pumice")]
pub struct TlsServer(pub crate::TlsServer);

#[pymethods]
impl TlsServer {
    #[new]
    #[pyo3(signature = (certificate, key, *, client_ca=None, peer_ca=None))]
    fn new(certificate: PathBuf, key: PathBuf, client_ca: Option<PathBuf>, peer_ca: Option<PathBuf>) -> TlsServer {
        TlsServer(crate::TlsServer { certificate, key, client_ca, peer_ca })
    }

    /// The file of its certificate.
    #[getter]
    fn certificate(&self) -> PathBuf {
        self.0.certificate.clone()
    }

    /// The file of its key.
    #[getter]
    fn key(&self) -> PathBuf {
        self.0.key.clone()
    }

    /// The file of the CA that clients' certificates must be signed by, or None.
    #[getter]
    fn client_ca(&self) -> Option<PathBuf> {
        self.0.client_ca.clone()
    }

    /// The file of the CA that other nodes' certificates must be signed by, or None.
    #[getter]
    fn peer_ca(&self) -> Option<PathBuf> {
        self.0.peer_ca.clone()
    }

    fn __repr__(&self) -> String {
        let tls = &self.0;
        format!(
            "TlsServer('{}', '{}', client_ca={}, peer_ca={})",
            tls.certificate.display(),
            tls.key.display(),
            optional(tls.client_ca.as_ref()),
            optional(tls.peer_ca.as_ref())
        )
    }
}

/// How a primary is reached over TLS, for `follow`. The files are in PEM and read anew for each connection; the paths are
/// kept, so that it goes on over TLS after a restart. The primary's certificate must be signed by `ca` and name the host to
/// which we connect, or `server_name`. `certificate` and `key` are our own, for a primary that asks for one.
#[pyclass(frozen, module = "pumice")]
pub struct TlsClient(pub crate::TlsClient);

#[pymethods]
impl TlsClient {
    #[new]
    #[pyo3(signature = (ca, *, certificate=None, key=None, server_name=None))]
    fn new(ca: PathBuf, certificate: Option<PathBuf>, key: Option<PathBuf>, server_name: Option<String>) -> TlsClient {
        TlsClient(crate::TlsClient { ca, certificate, key, server_name })
    }

    /// The file of the CA that the primary's certificate must be signed by.
    #[getter]
    fn ca(&self) -> PathBuf {
        self.0.ca.clone()
    }

    /// The file of our own certificate, or None.
    #[getter]
    fn certificate(&self) -> Option<PathBuf> {
        self.0.certificate.clone()
    }

    /// The file of its key, or None.
    #[getter]
    fn key(&self) -> Option<PathBuf> {
        self.0.key.clone()
    }

    /// The name that the primary's certificate must bear; None is the host to which we connect.
    #[getter]
    fn server_name(&self) -> Option<String> {
        self.0.server_name.clone()
    }

    fn __repr__(&self) -> String {
        let tls = &self.0;
        format!(
            "TlsClient('{}', certificate={}, key={}, server_name={})",
            tls.ca.display(),
            optional(tls.certificate.as_ref()),
            optional(tls.key.as_ref()),
            tls.server_name.as_ref().map_or("None".to_owned(), |name| format!("'{name}'"))
        )
    }
}
