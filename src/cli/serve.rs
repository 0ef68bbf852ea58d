//! `pumice serve`.

use serde_json::json;

use super::arguments::Serve;
use super::progress::Display;
use super::report::{Report, password};
use super::signals::Signals;
use super::status::{self, StatusLine, TICK};
use super::{Failure, print};
use crate::{Engine, Options, ServeOptions};

pub fn run(call: &Serve, as_json: bool, signals: &Signals) -> Result<Report, Failure> {
    let options = ServeOptions {
        password: password(call.password_file.as_deref()).map_err(Failure::Other)?,
        tls: call.tls.clone(),
        ..Default::default()
    };
    let display = Display::begin("open");
    let engine = Engine::open(&call.directory, &Options::default())?;
    drop(display);
    signals.make();
    let listener = engine.serve(&call.listen, &options)?;
    let address = listener.address();
    let told = if as_json {
        let json = json!({
            "path": engine.path().to_string_lossy(),
            "address": address.to_string(),
            "host": address.host(),
            "port": address.port(),
        });
        format!("{json:#}\n")
    } else {
        format!("{} is served on {address}\n", engine.path().display())
    };
    print(&told, 0);

    let mut line = StatusLine::new(engine.position()?.sequence);
    loop {
        let role = engine.role()?.name();
        let sequence = engine.position()?.sequence;
        let (link, link_change) = engine.link()?.as_ref().map(status::link).unwrap_or_default();
        let (feeds, feeds_change) = status::feeds(&engine.feeds()?);
        let link = if link.is_empty() { link } else { format!(", {link}") };
        line.show(
            &format!("{role}{link}, at {sequence}{feeds}"),
            &format!("{role}{link_change}{feeds_change}"),
            sequence,
        );
        if signals.wait(TICK) {
            break;
        }
    }
    drop(line);
    listener.close();
    engine.close()?;
    Ok(Report { text: String::new(), json: serde_json::Value::Null, status: 0 })
}
