//! TLS over a socket that two threads share: one reads, another writes.
//!
//! Nobody waits for the socket while holding the state of the connection, so that a peer who reads nothing does not stop
//! what it says from being read, nor the other way round. After the handshake only writers write: what TLS itself has to
//! say in answer to what was read goes out with the next write.

use std::io::{self, ErrorKind as IoKind, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use crate::engine::clock;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::state::TlsClient;
use crate::engine::options::TlsServer;

/// What is read from the socket at a time.
const READ_BYTES: usize = 32 << 10;
/// What is encrypted at a time; rustls holds no more.
const WRITE_BYTES: usize = 64 << 10;

/// One side of a TLS connection.
pub struct Tls {
    state: Mutex<rustls::Connection>,
    incoming: Mutex<Incoming>,
    outgoing: Mutex<Outgoing>,
}

/// Records as they came, of which the first are taken.
#[derive(Default)]
struct Incoming {
    bytes: Vec<u8>,
    taken: usize,
    length: usize,
}

/// Records to send, in the order in which they were encrypted.
#[derive(Default)]
struct Outgoing {
    records: Vec<u8>,
    /// A write failed, perhaps inside a record: nothing can follow it.
    broken: bool,
}

impl Tls {
    fn new(connection: rustls::Connection) -> Tls {
        Tls { state: Mutex::new(connection), incoming: Mutex::default(), outgoing: Mutex::default() }
    }

    /// The side that connects. Reads the files of `options`, so that renewed certificates are taken with the next
    /// connection.
    pub fn client(options: &TlsClient, host: &str) -> Result<Tls> {
        let name = options.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            wrong(format!("server name: got {name:?}, expected the host name or address that its certificate names"))
        })?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_root_certificates(roots(&options.ca)?);
        let mut config = match (&options.certificate, &options.key) {
            (Some(certificate), Some(key)) => {
                let identity = config.with_client_auth_cert(certificates(certificate)?, private_key(key)?);
                identity.map_err(|e| mismatch(certificate, key, e))?
            }
            (None, None) => config.with_no_client_auth(),
            _ => return Err(wrong("certificate and key: got one of them, expected both or neither")),
        };
        // Links live long; remembered sessions would save nothing.
        config.resumption = Resumption::disabled();
        let connection = ClientConnection::new(Arc::new(config), name).map_err(refused)?;
        Ok(Tls::new(connection.into()))
    }

    /// Agrees with the other side, before anything else is done. `set_read_timeout` sets that of the socket.
    pub fn handshake<S: Read + Write>(
        &self,
        socket: S,
        deadline: Instant,
        set_read_timeout: impl Fn(Duration) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut socket = Timed { socket, deadline, set_read_timeout };
        while state.is_handshaking() || state.wants_write() {
            state.complete_io(&mut socket).map_err(|e| match e.get_ref().and_then(|e| e.downcast_ref()) {
                Some(rustls::Error::InvalidMessage(why)) => {
                    io::Error::new(IoKind::InvalidData, format!("the other side does not speak TLS: {why:?}"))
                }
                _ => e,
            })?;
        }
        Ok(())
    }

    /// Some bytes of the other side; none once it has said that it ends. UnexpectedEof when it ends without a word.
    pub fn read(&self, mut socket: impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = self.incoming.lock();
        loop {
            if let Some(read) = self.decrypt(&mut incoming, buffer)? {
                return Ok(read);
            }
            incoming.bytes.resize(READ_BYTES, 0);
            let read = socket.read(&mut incoming.bytes)?;
            (incoming.taken, incoming.length) = (0, read);
            if read == 0 {
                self.state.lock().read_tls(&mut io::empty())?;
            }
        }
    }

    /// What the records that came hold; `None` when more must come.
    fn decrypt(&self, incoming: &mut Incoming, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut state = self.state.lock();
        loop {
            match state.reader().read(buffer) {
                Err(e) if e.kind() == IoKind::WouldBlock => {}
                Err(e) if e.kind() == IoKind::UnexpectedEof => {
                    return Err(io::Error::new(IoKind::UnexpectedEof, "it ended without the close_notify of TLS"));
                }
                done => return done.map(Some),
            }
            let mut records = &incoming.bytes[incoming.taken..incoming.length];
            if records.is_empty() {
                return Ok(None);
            }
            // None are taken behind a close_notify.
            match state.read_tls(&mut records)? {
                0 => incoming.taken = incoming.length,
                taken => incoming.taken += taken,
            }
            state.process_new_packets().map_err(|e| io::Error::new(IoKind::InvalidData, e))?;
        }
    }

    /// Sends some of the bytes, and says how many.
    pub fn write(&self, socket: impl Write, bytes: &[u8]) -> io::Result<usize> {
        self.send(socket, |state| state.writer().write(&bytes[..bytes.len().min(WRITE_BYTES)]))
    }

    /// Tells the other side that nothing more will come.
    pub fn finish(&self, socket: impl Write) -> io::Result<()> {
        self.send(socket, |state| {
            state.send_close_notify();
            Ok(())
        })
    }

    fn send<T>(
        &self,
        mut socket: impl Write,
        encrypt: impl FnOnce(&mut rustls::Connection) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut outgoing = self.outgoing.lock();
        if outgoing.broken {
            return Err(IoKind::BrokenPipe.into());
        }
        outgoing.broken = true;
        let done = {
            let mut state = self.state.lock();
            let done = encrypt(&mut state)?;
            while state.wants_write() {
                state.write_tls(&mut outgoing.records)?;
            }
            done
        };
        socket.write_all(&outgoing.records)?;
        outgoing.records.clear();
        outgoing.broken = false;
        Ok(done)
    }
}

/// The side that accepts.
pub struct Acceptor {
    config: Arc<ServerConfig>,
}

impl Acceptor {
    pub fn new(options: &TlsServer) -> Result<Acceptor> {
        let config =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(refused)?;
        let config = match &options.client_ca {
            Some(ca) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca)?.into(), provider()).build();
                config.with_client_cert_verifier(verifier.map_err(|e| wrong(format!("{}: {e}", ca.display())))?)
            }
            None => config.with_no_client_auth(),
        };
        let chain = certificates(&options.certificate)?;
        let mut config = config
            .with_single_cert(chain, private_key(&options.key)?)
            .map_err(|e| mismatch(&options.certificate, &options.key, e))?;
        // No sessions are remembered: nothing is kept for those who are gone.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Acceptor { config: Arc::new(config) })
    }

    /// The state of a connection that was accepted.
    pub fn begin(&self) -> Result<Tls> {
        Ok(Tls::new(ServerConnection::new(Arc::clone(&self.config)).map_err(refused)?.into()))
    }
}

/// A socket that is read until a moment.
struct Timed<S, F> {
    socket: S,
    deadline: Instant,
    set_read_timeout: F,
}

impl<S: Read, F: Fn(Duration) -> io::Result<()>> Read for Timed<S, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let late = || io::Error::new(IoKind::TimedOut, "the other side takes too long to agree on TLS");
        let left = self.deadline.saturating_duration_since(clock::instant());
        if left.is_zero() {
            return Err(late());
        }
        (self.set_read_timeout)(left)?;
        self.socket.read(buffer).map_err(|e| match e.kind() {
            IoKind::WouldBlock | IoKind::TimedOut => late(),
            _ => e,
        })
    }
}

impl<S: Write, F> Write for Timed<S, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// Named, not the process' default, which belongs to the program around the engine.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    check_given("certificates", path)?;
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let found = found.map_err(|e| unreadable("certificates", path, e))?;
    if found.is_empty() {
        return Err(wrong(format!("{}: got no certificate, expected at least one in PEM", path.display())));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    check_given("key", path)?;
    PrivateKeyDer::from_pem_file(path).map_err(|e| unreadable("the key", path, e))
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
    }
    Ok(roots)
}

fn check_given(what: &str, path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() {
        return Err(wrong(format!("{what}: got no path, expected that of a file in PEM")));
    }
    Ok(())
}

fn unreadable(what: &str, path: &Path, error: pem::Error) -> Error {
    match error {
        pem::Error::Io(e) => Error::io(format!("TLS: read {what} in {}", path.display()), e),
        e => wrong(format!("read {what} in {}: {e}", path.display())),
    }
}

fn mismatch(certificate: &Path, key: &Path, error: rustls::Error) -> Error {
    wrong(format!("certificate {} with key {}: {error}", certificate.display(), key.display()))
}

fn refused(error: rustls::Error) -> Error {
    wrong(error.to_string())
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("TLS: {what}"))
}
