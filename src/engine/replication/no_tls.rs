//! What stands for TLS in a build without it: nothing ever begins it.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::state::TlsClient;
use crate::engine::options::TlsServer;

pub enum Tls {}

impl Tls {
    pub fn client(_: &TlsClient, _: &str) -> Result<Tls> {
        Err(absent())
    }

    pub fn handshake<S: Read + Write>(
        &self,
        _: S,
        _: Instant,
        _: impl Fn(Duration) -> io::Result<()>,
    ) -> io::Result<()> {
        match *self {}
    }

    pub fn read(&self, _: impl Read, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub fn write(&self, _: impl Write, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub fn finish(&self, _: impl Write) -> io::Result<()> {
        match *self {}
    }
}

pub enum Acceptor {}

impl Acceptor {
    pub fn new(_: &TlsServer) -> Result<Acceptor> {
        Err(absent())
    }

    pub fn begin(&self) -> Result<Tls> {
        match *self {}
    }
}

fn absent() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "TLS: this build of Pumice has none; build it with the feature `tls`, which is a default one (cargo build --features tls)",
    )
}
