//! Floor 7: the program `pumice`. It translates arguments into calls and results into text, and decides nothing.

mod apply;
mod arguments;
mod checkpoint;
mod convert;
mod follow;
mod inspect;
mod progress;
mod release;
mod report;
mod serve;
mod signals;
mod status;
mod table;
mod tls;

use std::ffi::OsString;
use std::io::{self, Write};

use serde_json::json;

use arguments::{Asked, Command};
use report::Report;
use signals::Signals;

use crate::Error;

/// Runs the program with these arguments, its own name not among them, and gives its exit status: 0; 1 for an error, or
/// findings; 2 for arguments that make no sense; 128 and its number for a signal that ended it. It writes to standard
/// output and standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let call = match arguments::parse(arguments) {
        Ok(Asked::Text(text)) => return print(&text, 0),
        Ok(Asked::Run(call)) => call,
        Err(message) => {
            complain(&message);
            return 2;
        }
    };
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("signals: {error}"));
            return 1;
        }
    };
    let done = match &call.command {
        Command::Inspect(inspect) => inspect::run(inspect),
        Command::Checkpoint { directory, target } => checkpoint::run(directory, target, &signals),
        Command::Apply { directory, checkpoint, verify } => apply::run(directory, checkpoint, *verify, &signals),
        Command::Release { directory } => release::run(directory),
        Command::Convert { source, target, options } => convert::run(source, target, options, &signals),
        Command::Serve(serve) => serve::run(serve, call.json, &signals),
        Command::Follow(follow) => follow::run(follow, &signals),
    };
    match done {
        Ok(Report { text, json, status }) => {
            let text = if call.json && !json.is_null() { format!("{json:#}\n") } else { text };
            print(&text, status)
        }
        Err(failure) => {
            let (kind, message) = match &failure {
                Failure::Engine(error) => (Some(error.kind().name()), error.message()),
                Failure::Other(message) => (None, message.as_str()),
            };
            complain(message);
            let status = signals.caught().map_or(1, |signal| 128 + signal);
            if call.json {
                let json = json!({ "error": { "kind": kind, "message": message } });
                print(&format!("{json:#}\n"), status);
            }
            status
        }
    }
}

/// Why a command did not do its work.
enum Failure {
    Engine(Error),
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Engine(error)
    }
}

/// Says on standard error, in one line, what went wrong.
fn complain(message: &str) {
    // There is nowhere left to tell when it cannot be written.
    let _ = writeln!(io::stderr(), "pumice: {message}");
}

/// Writes the result, and gives the exit status. Who closed the pipe has read enough.
fn print(text: &str, status: i32) -> i32 {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("standard output: {error}"));
            1
        }
        _ => status,
    }
}
