//! A build without the feature `tls`: `cargo test --release --no-default-features --features cli --test without_tls`.
#![cfg(not(feature = "tls"))]

mod support;

use pumice::{ErrorKind, FollowOptions, ServeOptions, TlsClient, TlsServer};
use support::{assert_error, open, open_replica};

const WORDS: &[&str] = &["TLS", "feature `tls`"];

/// Who asks for TLS is told that this build has none, and nothing speaks in the clear instead.
#[test]
fn tls_is_unsupported() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = (open(dir.path().join("p")), open_replica(dir.path().join("r")));
    let tls = TlsServer { certificate: "node.pem".into(), key: "node.key".into(), ..Default::default() };
    let served = primary.serve("127.0.0.1:0", &ServeOptions { tls: Some(tls), ..Default::default() });
    assert_error(served, ErrorKind::Unsupported, WORDS);
    let tls = TlsClient { ca: "ca.pem".into(), ..Default::default() };
    let followed = replica.follow("127.0.0.1", 1, &FollowOptions { tls: Some(tls), ..Default::default() });
    assert_error(followed, ErrorKind::Unsupported, WORDS);
    assert!(replica.link().unwrap().is_none());
    assert!(primary.serve("127.0.0.1:0", &ServeOptions::default()).is_ok());
}

/// The program says so too.
#[test]
#[cfg(feature = "cli")]
fn the_program_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["serve", "data", "--listen", "127.0.0.1:0", "--tls-cert", "node.pem", "--tls-key", "node.key"][..],
        &["follow", "copy", "127.0.0.1:1", "--tls-ca", "ca.pem"],
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pumice"));
        let output = command.current_dir(dir.path()).args(arguments).output().unwrap();
        let said = support::said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(WORDS.iter().all(|word| said.contains(word)), "{said}");
    }
}
