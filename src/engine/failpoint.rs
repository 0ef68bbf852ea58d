//! Named steps at which a test kills the process or makes the step fail.
//!
//! Without the feature `failpoints` a step is nothing at all. With it, the environment variable
//! `FAILPOINTS` says what happens: `name=return(kill)` ends the process as `kill -9` would,
//! `name=return(full)` fails the step as a full disk would.

/// Passes a named step of something that touches the disk.
macro_rules! step {
    ($name:literal) => {
        fail::fail_point!($name, |action: Option<String>| Err($crate::engine::failpoint::failed($name, action)))
    };
}
pub(crate) use step;

use super::error::Error;

#[allow(dead_code, reason = "reached only with the feature failpoints")]
pub(crate) fn failed(name: &str, action: Option<String>) -> Error {
    if action.as_deref() == Some("kill") {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    Error::io(format!("step {name}"), rustix::io::Errno::NOSPC)
}

/// Reads `FAILPOINTS` once per process.
pub(crate) fn arm() {
    #[cfg(feature = "failpoints")]
    {
        static ARMED: std::sync::Once = std::sync::Once::new();
        ARMED.call_once(|| std::mem::forget(fail::FailScenario::setup()));
    }
}
