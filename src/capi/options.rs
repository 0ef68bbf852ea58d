//! How an engine is opened, how one write is done, how a primary is followed, how an engine is served.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::time::Duration;

use super::argument::{invalid, named_path};
use super::constants;
use super::error::{free, pumice_error, pumice_status};
use super::setting::{self, set, set_ca, set_certificate, set_password, set_server_name, try_set};
use crate::{FollowOptions, Options, ServeOptions, WriteOptions};

/// How to open a directory.
pub struct pumice_options(pub Options);

/// How one write is done.
pub struct pumice_write_options(pub WriteOptions);

impl pumice_write_options {
    /// NULL is as the engine was opened.
    #[inline]
    pub fn or_default(options: Option<&pumice_write_options>) -> WriteOptions {
        options.map_or_else(WriteOptions::default, |options| options.0)
    }
}

/// Options that suit most programs, to be changed and freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_options_new() -> Box<pumice_options> {
    Box::new(pumice_options(Options::default()))
}

/// The pumice_role to insist on. Unset, what the directory records; a new or foreign one becomes a primary.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_options_set_role(
    options: Option<&mut pumice_options>,
    role: i32,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    try_set(options, error, |options| {
        let role = constants::role(role).ok_or_else(|| invalid(format!("role: got {role}, expected a pumice_role")))?;
        options.0.role = Some(role);
        Ok(())
    })
}

/// The key layout to insist on: true for the cluster layout, with a slot in every key. Unset, what the directory
/// records or its keys show; a new one gets the standalone layout.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_options_set_cluster(
    options: Option<&mut pumice_options>,
    cluster: bool,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.cluster = Some(cluster))
}

/// Whether to create the database where there is none. Unset, true.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_options_set_create(
    options: Option<&mut pumice_options>,
    create: bool,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.create = create)
}

/// Opens without changing a byte; writes answer PUMICE_READ_ONLY. Unset, false.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_options_set_read_only(
    options: Option<&mut pumice_options>,
    read_only: bool,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.read_only = read_only)
}

/// Whether a write survives a power cut when it returns, unless the call says otherwise. Without it a write survives a
/// killed process. It costs one fsync, shared by concurrent writers. Unset, false.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_options_set_sync(
    options: Option<&mut pumice_options>,
    sync: bool,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.sync = sync)
}

/// Bytes for the block cache, with write buffers counted in it. Unset, 256 MiB; at least 4 MiB.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_options_set_memory_budget(
    options: Option<&mut pumice_options>,
    bytes: usize,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.memory_budget = bytes)
}

/// How new data is compressed, a pumice_compression. Unset, not at all.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_options_set_compression(
    options: Option<&mut pumice_options>,
    compression: i32,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    try_set(options, error, |options| {
        options.0.compression = setting::compression(compression)?;
        Ok(())
    })
}

/// Bytes of replication log to keep for followers. Unset, 1 GiB.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_options_set_wal_keep_bytes(
    options: Option<&mut pumice_options>,
    bytes: u64,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.wal_keep_bytes = bytes)
}

/// How long to keep the replication log for followers. Unset, three hours.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_options_set_wal_keep_ms(
    options: Option<&mut pumice_options>,
    keep_ms: u64,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.wal_keep = Duration::from_millis(keep_ms))
}

/// Frees options. Engines opened with them are not touched.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_options_free(options: Option<Box<pumice_options>>) {
    free(options);
}

/// Options of a write, to be changed and freed. As they come: for ever, and durable as the engine was opened.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_write_options_new() -> Box<pumice_write_options> {
    Box::new(pumice_write_options(WriteOptions::default()))
}

/// How long the key lives. A write with 0 ms is refused with PUMICE_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_write_options_set_ttl_ms(
    options: Option<&mut pumice_write_options>,
    ttl_ms: u64,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.ttl = Some(Duration::from_millis(ttl_ms)))
}

/// Whether the write survives a power cut when the call returns, however the engine was opened.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_write_options_set_sync(
    options: Option<&mut pumice_write_options>,
    sync: bool,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.sync = Some(sync))
}

/// Frees options of a write.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_write_options_free(options: Option<Box<pumice_write_options>>) {
    free(options);
}

/// How to follow a primary.
#[derive(Default)]
pub struct pumice_follow_options(pub FollowOptions);

/// How to serve an engine.
#[derive(Default)]
pub struct pumice_serve_options(pub ServeOptions);

/// Options of following, to be changed and freed. As they come: without a password.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_follow_options_new() -> Box<pumice_follow_options> {
    Box::default()
}

/// The primary's admin password, in UTF-8. It is kept in the file `state`, which only the owner can read.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_follow_options_set_password(
    options: Option<&mut pumice_follow_options>,
    password: *const c_char,
    password_size: usize,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    // SAFETY: the password is readable for its size.
    try_set(options, error, |options| unsafe { set_password(&mut options.0.password, password, password_size) })
}

/// The port under which others can reach this engine, announced to the primary. Unset, that of its listener.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_follow_options_set_announce_port(
    options: Option<&mut pumice_follow_options>,
    port: u16,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.announce_port = port)
}

/// Follows over TLS: the primary's certificate must be signed by one of the CA certificates in the PEM file `ca`, and name
/// the host to which we connect. The path is kept, and the file read anew for each connection. Unset, in the clear.
///
/// What does not do is told by pumice_engine_follow: PUMICE_UNSUPPORTED in a build without TLS, PUMICE_IO for a file that
/// cannot be read, PUMICE_INVALID_ARGUMENT for what is in it.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_follow_options_set_tls(
    options: Option<&mut pumice_follow_options>,
    ca: *const c_char,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    // SAFETY: the path is NULL or a C string.
    try_set(options, error, |options| unsafe { set_ca(&mut options.0.tls, ca) })
}

/// Our own certificate, with those between it and its CA, and its key, for a primary that asks for one: PEM files, read as
/// the CA's. Only together with pumice_follow_options_set_tls.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_follow_options_set_tls_certificate(
    options: Option<&mut pumice_follow_options>,
    certificate: *const c_char,
    key: *const c_char,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    // SAFETY: both paths are NULL or C strings.
    try_set(options, error, |options| unsafe { set_certificate(&mut options.0.tls, certificate, key) })
}

/// The name that the primary's certificate must bear. Unset, the host to which we connect. Only together with
/// pumice_follow_options_set_tls.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_follow_options_set_tls_server_name(
    options: Option<&mut pumice_follow_options>,
    server_name: *const c_char,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    // SAFETY: the name is NULL or a C string.
    try_set(options, error, |options| unsafe { set_server_name(&mut options.0.tls, server_name) })
}

/// Frees options of following.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_follow_options_free(options: Option<Box<pumice_follow_options>>) {
    free(options);
}

/// Options of serving, to be changed and freed. As they come: without a password, so that whoever reaches the address
/// may do everything.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_serve_options_new() -> Box<pumice_serve_options> {
    Box::default()
}

/// What clients and replicas say to become admin, in UTF-8. With it, the token of a namespace opens that namespace.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_serve_options_set_password(
    options: Option<&mut pumice_serve_options>,
    password: *const c_char,
    password_size: usize,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    // SAFETY: the password is readable for its size.
    try_set(options, error, |options| unsafe { set_password(&mut options.0.password, password, password_size) })
}

/// How many connections there may be at a time. Unset, 1024.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_serve_options_set_max_connections(
    options: Option<&mut pumice_serve_options>,
    connections: usize,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.max_connections = connections)
}

/// How long a connection may take to authenticate. Unset, 10 seconds.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_serve_options_set_authenticate_timeout_ms(
    options: Option<&mut pumice_serve_options>,
    timeout_ms: u64,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.authenticate_timeout = Duration::from_millis(timeout_ms))
}

/// How long the other side may read nothing of what is sent to it. Unset, 30 seconds.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_serve_options_set_send_timeout_ms(
    options: Option<&mut pumice_serve_options>,
    timeout_ms: u64,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.send_timeout = Duration::from_millis(timeout_ms))
}

/// How fast the files of a full sync are sent, all replicas together. Unset, as fast as can be.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_serve_options_set_sync_bytes_per_second(
    options: Option<&mut pumice_serve_options>,
    bytes: u64,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.sync_bytes_per_second = Some(bytes))
}

/// How many bytes a checkpoint that replicas fetch may keep on the disk when the engine needs them no more. Unset, as many
/// as the database's folder has, and 1 GiB at least.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_serve_options_set_checkpoint_disk_limit(
    options: Option<&mut pumice_serve_options>,
    bytes: u64,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.checkpoint_disk_limit = Some(bytes))
}

/// Speaks TLS with every connection, with the certificate in the PEM file `certificate`, with those between it and its CA,
/// and the key in the PEM file `key`. The files are read when pumice_engine_serve begins to listen. Unset, all is in the
/// clear. TLS is for `host:port` only.
///
/// What does not do is told by pumice_engine_serve: PUMICE_UNSUPPORTED in a build without TLS, PUMICE_IO for a file that
/// cannot be read, PUMICE_INVALID_ARGUMENT for what is in it.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_serve_options_set_tls(
    options: Option<&mut pumice_serve_options>,
    certificate: *const c_char,
    key: *const c_char,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    try_set(options, error, |options| {
        // SAFETY: both paths are NULL or C strings.
        let (certificate, key) = unsafe { (named_path(certificate, "certificate")?, named_path(key, "key")?) };
        let tls = options.0.tls.get_or_insert_default();
        (tls.certificate, tls.key) = (certificate.to_owned(), key.to_owned());
        Ok(())
    })
}

/// Lets in only clients and replicas that show a certificate signed by one of the CA certificates in the PEM file `ca`.
/// Only together with pumice_serve_options_set_tls.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_serve_options_set_tls_client_ca(
    options: Option<&mut pumice_serve_options>,
    ca: *const c_char,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    try_set(options, error, |options| {
        // SAFETY: the path is NULL or a C string.
        let ca = unsafe { named_path(ca, "ca") }?;
        options.0.tls.get_or_insert_default().client_ca = Some(ca.to_owned());
        Ok(())
    })
}

/// Has `REPLICAOF` on this listener and pumice_engine_hand_over reach other nodes over TLS: their certificates must be
/// signed by one of the CA certificates in the PEM file `ca`, and the listener's own is shown to them. Unset, they are
/// reached in the clear. Only together with pumice_serve_options_set_tls.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_serve_options_set_tls_peer_ca(
    options: Option<&mut pumice_serve_options>,
    ca: *const c_char,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    try_set(options, error, |options| {
        // SAFETY: the path is NULL or a C string.
        let ca = unsafe { named_path(ca, "ca") }?;
        options.0.tls.get_or_insert_default().peer_ca = Some(ca.to_owned());
        Ok(())
    })
}

/// Frees options of serving. Listeners made with them are not touched.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_serve_options_free(options: Option<Box<pumice_serve_options>>) {
    free(options);
}
