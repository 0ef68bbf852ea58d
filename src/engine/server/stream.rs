//! Sockets of both kinds: TCP, and Unix sockets in the file system.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::engine::clock;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::replication::tls::Tls;
use crate::engine::storage::fork::OwnFile;

/// Where a listener listens. Its display form is what [`crate::Engine::serve`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The IP address, or the path of the Unix socket.
    pub fn host(&self) -> String {
        match self {
            Address::Tcp(address) => address.ip().to_string(),
            Address::Unix(path) => path.display().to_string(),
        }
    }

    /// The port; 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        match self {
            Address::Tcp(address) => address.port(),
            Address::Unix(_) => 0,
        }
    }
}

impl Address {
    /// Whether a connection to a host and port would end here, as far as the addresses tell; `None` when the host has
    /// none.
    pub(crate) fn is_reached_by(&self, host: &str, port: u16) -> Option<bool> {
        let mut found = (host, port).to_socket_addrs().ok()?.peekable();
        found.peek()?;
        let Address::Tcp(own) = self else { return Some(false) };
        // What can be bound is an address of this machine.
        let is_local = |ip: IpAddr| UdpSocket::bind((ip, 0)).is_ok();
        let here = |ip: IpAddr| ip == own.ip() || (own.ip().is_unspecified() && is_local(ip));
        Some(port == own.port() && found.any(|address| here(address.ip())))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that accepts. A forked child loses its copy at once, or it would keep the address when this process is gone.
pub struct Acceptor {
    socket: OwnFile,
    /// Device and inode of the file of a Unix socket.
    inode: Option<(u64, u64)>,
}

impl Acceptor {
    /// Listens on `host:port` or `unix:/path`.
    pub fn bind(address: &str) -> Result<(Acceptor, Address)> {
        let failed = |e: io::Error| match e.kind() {
            io::ErrorKind::AddrInUse => {
                Error::new(ErrorKind::Busy, format!("serve on {address}: somebody else listens there"))
            }
            io::ErrorKind::InvalidInput => Error::new(
                ErrorKind::InvalidArgument,
                format!("serve on {address}: expected host:port, [IPv6 address]:port or unix:/path"),
            ),
            _ => Error::io(format!("serve on {address}"), e),
        };
        let (socket, inode, address) = match address.strip_prefix("unix:") {
            Some(path) => {
                let path = std::path::absolute(path).map_err(failed)?;
                free(&path, address)?;
                let (socket, inode) = bind_unix(&path).map_err(failed)?;
                (socket, Some(inode), Address::Unix(path))
            }
            None => {
                let listener = TcpListener::bind(address).map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                (OwnedFd::from(listener), None, Address::Tcp(address))
            }
        };
        Ok((Acceptor { socket: OwnFile::new(File::from(socket)), inode }, address))
    }

    /// The next connection. Blocks until there is one or until it is closed.
    pub fn accept(&self) -> io::Result<Stream> {
        let accepted = rustix::net::accept_with(&*self.socket, SocketFlags::CLOEXEC)?;
        if self.inode.is_some() {
            return Ok(Stream { socket: Socket::Unix(UnixStream::from(accepted)), tls: None });
        }
        let stream = TcpStream::from(accepted);
        let peer = stream.peer_addr()?;
        // Both only make it better.
        let _ = stream.set_nodelay(true);
        let _ = rustix::net::sockopt::set_socket_keepalive(&stream, true);
        Ok(Stream { socket: Socket::Tcp(stream, peer), tls: None })
    }

    /// Wakes who accepts, for good, and removes the file of a Unix socket if it is still this one's.
    pub fn close(&self, address: &Address) {
        if let Address::Unix(path) = address
            && fs::symlink_metadata(path).is_ok_and(|found| Some((found.dev(), found.ino())) == self.inode)
        {
            let _ = fs::remove_file(path);
        }
        let _ = rustix::net::shutdown(&*self.socket, rustix::net::Shutdown::Both);
    }
}

/// Removes a socket on which nobody listens.
fn free(path: &Path, address: &str) -> Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("serve on {address}: a file that is no socket is there; name another path"),
        ));
    }
    match UnixStream::connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|e| Error::io(format!("remove the old socket {}", path.display()), e))
        }
        _ => Err(Error::new(ErrorKind::Busy, format!("serve on {address}: somebody else listens there"))),
    }
}

/// Only the owner may connect: the mode is set before anybody can.
fn bind_unix(path: &Path) -> io::Result<(OwnedFd, (u64, u64))> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, 128)?;
    let file = fs::symlink_metadata(path)?;
    Ok((socket, (file.dev(), file.ino())))
}

/// A connection. Reads and writes through a shared reference, so that another thread can shut it down.
pub struct Stream {
    socket: Socket,
    tls: Option<Box<Tls>>,
}

enum Socket {
    /// With the address of the other end.
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Socket {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Socket::Tcp(stream, _) => stream.shutdown(how),
            Socket::Unix(stream) => stream.shutdown(how),
        }
    }
}

impl Stream {
    /// The same over TLS, where there is some.
    pub fn over(self, tls: Option<Tls>) -> Stream {
        Stream { tls: tls.map(Box::new), ..self }
    }

    /// Agrees on TLS, where it is spoken, within that time. `false` when that fails.
    pub fn begin(&self, within: Duration) -> bool {
        let Some(tls) = &self.tls else { return true };
        let deadline = clock::after(within);
        let set_timeout = |timeout| self.set_read_timeout(Some(timeout));
        if tls.handshake(&self.socket, deadline, set_timeout).is_ok() {
            return self.set_read_timeout(None).is_ok();
        }
        // The other side was told why. It would not learn it if this closed with something of it unread.
        const MOST_READS: usize = 64;
        let _ = self.socket.shutdown(Shutdown::Write);
        let mut buffer = [0; 4096];
        for _ in 0..MOST_READS {
            let left = deadline.saturating_duration_since(clock::instant());
            if left.is_zero() || set_timeout(left).is_err() || !(&self.socket).read(&mut buffer).is_ok_and(|n| n > 0) {
                break;
            }
        }
        false
    }

    /// Tells the other side, where TLS is spoken, that nothing more will come.
    pub fn finish(&self) {
        if let Some(tls) = &self.tls {
            let _ = tls.finish(&self.socket);
        }
    }

    /// Sends a last word before anything was agreed on: over TLS there is none.
    pub fn refuse(&self, why: &[u8]) {
        if self.tls.is_none() {
            let _ = (&self.socket).write_all(why);
        }
    }

    /// The IP address of the other end; of this machine for a Unix socket.
    pub fn peer_ip(&self) -> String {
        match &self.socket {
            Socket::Tcp(_, peer) => peer.ip().to_canonical().to_string(),
            Socket::Unix(_) => "127.0.0.1".to_owned(),
        }
    }

    /// The address of the other end, as CLIENT LIST shows it.
    pub fn peer(&self, own: &Address) -> String {
        match &self.socket {
            Socket::Tcp(_, peer) => peer.to_string(),
            Socket::Unix(_) => format!("{}:0", own.host()),
        }
    }

    /// Its descriptor, to be waited on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(stream, _) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }

    /// The number of its descriptor.
    pub fn number(&self) -> i32 {
        match &self.socket {
            Socket::Tcp(stream, _) => stream.as_raw_fd(),
            Socket::Unix(stream) => stream.as_raw_fd(),
        }
    }

    /// Sends the next bytes of a file that nobody changes, without a copy of them here where no TLS wants one. UnexpectedEof when it has less.
    pub fn send_file(&self, file: &File, bytes: usize) -> io::Result<()> {
        let mut left = bytes;
        if self.tls.is_some() {
            let (mut file, mut stream) = (file, self);
            let mut buffer = vec![0; bytes.min(64 << 10)];
            while left > 0 {
                let piece = left.min(buffer.len());
                file.read_exact(&mut buffer[..piece])?;
                stream.write_all(&buffer[..piece])?;
                left -= piece;
            }
        }
        while left > 0 {
            let sent = match &self.socket {
                Socket::Tcp(stream, _) => rustix::fs::sendfile(stream, file, None, left),
                Socket::Unix(stream) => rustix::fs::sendfile(stream, file, None, left),
            };
            match sent {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(sent) => left -= sent,
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Whether what goes over it is what is written.
    pub fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Reads what has come, without waiting: 0 at the end, `None` where nothing has. Of a plain one.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::net::recv(self.descriptor(), buffer, RecvFlags::DONTWAIT) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            received => Ok(Some(received?.0)),
        }
    }

    /// Writes what the socket takes without waiting; nothing over TLS.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.tls.is_some() {
            return Ok(0);
        }
        match rustix::net::send(self.descriptor(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            sent => Ok(sent?),
        }
    }

    /// Ends it for both sides: who reads or writes it is woken.
    pub fn shutdown(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Sends no more, and waits for the other side to do likewise. `false` when it breaks off, or sends something, or is
    /// silent for as long as it may leave sent bytes unread.
    ///
    /// Over TLS it does not say close_notify: a Kvrocks would leave it unread, and its end would come as a break. Nor does
    /// a Kvrocks say it.
    pub fn ends_in_order(&self) -> bool {
        let sent = self.socket.shutdown(Shutdown::Write);
        let wait = match &self.socket {
            Socket::Tcp(stream, _) => stream.write_timeout(),
            Socket::Unix(stream) => stream.write_timeout(),
        };
        let waits = wait.and_then(|wait| self.set_read_timeout(wait));
        let mut stream = self;
        sent.is_ok()
            && waits.is_ok()
            && match stream.read(&mut [0]) {
                Ok(read) => read == 0,
                Err(e) => e.kind() == io::ErrorKind::UnexpectedEof,
            }
    }

    /// How long a read may wait; for ever without one.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(stream, _) => stream.set_read_timeout(timeout),
            Socket::Unix(stream) => stream.set_read_timeout(timeout),
        }
    }

    /// How long a write may wait for the other side to read anything.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(stream, _) => stream.set_write_timeout(timeout),
            Socket::Unix(stream) => stream.set_write_timeout(timeout),
        }
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            Some(tls) => tls.read(&self.socket, buffer),
            None => (&self.socket).read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            Some(tls) => tls.write(&self.socket, bytes),
            None => (&self.socket).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream, _) => (&mut &*stream).read(buffer),
            Socket::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream, _) => (&mut &*stream).write(bytes),
            Socket::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
