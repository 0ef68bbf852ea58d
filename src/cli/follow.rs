//! `pumice follow`.

use std::path::Path;

use serde_json::{Value, json};

use super::Failure;
use super::arguments::Follow;
use super::progress::Display;
use super::report::{Report, password, position_json, position_text};
use super::signals::Signals;
use super::status::{self, StatusLine, TICK};
use super::table::Table;
use crate::{Engine, ErrorKind, FollowOptions, LinkState, LinkStatus, Options, Role};

pub fn run(call: &Follow, signals: &Signals) -> Result<Report, Failure> {
    let options = FollowOptions {
        password: password(call.password_file.as_deref()).map_err(Failure::Other)?,
        announce_port: call.announce_port,
        tls: call.tls.clone(),
    };
    let display = Display::begin("open");
    let engine = open(&call.directory, call.give_up)?;
    drop(display);
    signals.make();
    engine.follow(&call.host, call.port, &options)?;
    let mut line = StatusLine::new(engine.position()?.sequence);
    let (link, here) = loop {
        let Some(link) = engine.link()? else {
            return Err(Failure::Other(format!("{} follows nobody any more", engine.path().display())));
        };
        let sequence = engine.position()?.sequence;
        let (text, change) = status::link(&link);
        line.show(&format!("{text}, at {sequence}"), &change, sequence);
        // A log that begins at nothing streams long before the data is here.
        let here = link.state == LinkState::Streaming && (link.lag.is_some() || link.full_syncs > 0);
        if (call.once && here) || signals.wait(TICK) {
            break (link, here);
        }
    };
    drop(line);
    let (position, path) = (engine.position()?, engine.path().to_owned());
    engine.close()?;
    let mut table = Table::new(&[]);
    table.row(["directory", &path.display().to_string()]);
    table.row(["link", &status::link(&link).0]);
    table.row(["position", &position_text(&position)]);
    let json = json!({
        "path": path.to_string_lossy(),
        "position": position_json(&position),
        "link": link_json(&link),
    });
    // Asked to wait for the data, it did not get, it has not done its work.
    let status = match signals.caught() {
        Some(signal) if call.once && !here => 128 + signal,
        _ => 0,
    };
    Ok(Report { text: table.to_string(), json, status })
}

/// Opens what is or may become a replica. A folder of a Kvrocks becomes one without a write of its own, so that it can go
/// on from where it stands.
fn open(directory: &Path, give_up: bool) -> Result<Engine, Failure> {
    let options = Options { role: Some(Role::Replica), ..Default::default() };
    match Engine::open(directory, &options) {
        Err(error) if error.kind() == ErrorKind::InvalidArgument => {}
        opened => return Ok(opened?),
    }
    let looked = Engine::open(directory, &Options { create: false, read_only: true, ..Default::default() })?;
    let role = looked.role()?;
    looked.close()?;
    if role == Role::Primary && !give_up {
        return Err(Failure::Other(format!(
            "{}: it is a primary, expected a replica; follow into another directory, or say --give-up to give up what it \
             has and the other does not",
            directory.display()
        )));
    }
    Ok(Engine::open(directory, &Options::default())?)
}

fn link_json(link: &LinkStatus) -> Value {
    json!({
        "host": link.host,
        "port": link.port,
        "state": link.state.name(),
        "since_ms": link.since_ms,
        "peer": link.peer.map(|peer| peer.name()),
        "lag_sequences": link.lag_sequences,
        "lag_seconds": link.lag.map(|lag| lag.as_secs_f64()),
        "full_syncs": link.full_syncs,
        "last_error": link.last_error,
        "warning": link.warning,
    })
}
