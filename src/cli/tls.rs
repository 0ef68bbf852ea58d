//! The files behind the options of TLS.

use std::path::PathBuf;

use crate::{TlsClient, TlsServer};

/// What was given of them.
#[derive(Default)]
pub struct TlsFiles {
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    pub client_ca: Option<PathBuf>,
    pub peer_ca: Option<PathBuf>,
    pub server_name: Option<String>,
}

impl TlsFiles {
    /// How a listener speaks TLS; `None` when it does not.
    pub fn server(self) -> Result<Option<TlsServer>, String> {
        self.check_pair()?;
        let (Some(certificate), Some(key)) = (self.certificate, self.key) else {
            return match (self.client_ca, self.peer_ca) {
                (None, None) => Ok(None),
                _ => Err("--tls-client-ca and --tls-peer-ca: expected --tls-cert and --tls-key with them".to_owned()),
            };
        };
        Ok(Some(TlsServer { certificate, key, client_ca: self.client_ca, peer_ca: self.peer_ca }))
    }

    /// How a primary is reached over TLS; `None` in the clear.
    pub fn client(self) -> Result<Option<TlsClient>, String> {
        self.check_pair()?;
        let Some(ca) = self.ca else {
            return match (self.certificate, self.server_name) {
                (None, None) => Ok(None),
                _ => Err("--tls-cert and --tls-server-name: expected --tls-ca with them".to_owned()),
            };
        };
        Ok(Some(TlsClient { ca, certificate: self.certificate, key: self.key, server_name: self.server_name }))
    }

    fn check_pair(&self) -> Result<(), String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err("--tls-cert and --tls-key: got one of them, expected both or neither".to_owned());
        }
        Ok(())
    }
}
