//! What goes on, for people: a line that is written anew on a terminal, a line for each change elsewhere.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::progress::line;
use super::table::{count, size};
use crate::{FeedStatus, LinkState, LinkStatus, SyncStatus};

/// How often to look.
pub const TICK: Duration = Duration::from_millis(200);

pub struct StatusLine {
    bar: Option<ProgressBar>,
    said: String,
}

impl StatusLine {
    /// A line about data that is at `sequence` now.
    pub fn new(sequence: u64) -> StatusLine {
        let bar = io::stderr().is_terminal().then(|| {
            let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // A rate that cannot be written is not worth an error.
                let _ = write!(out, "{:.0}", state.per_sec());
            };
            let style = ProgressStyle::with_template("{spinner} {msg}, {rate} records a second")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            ProgressBar::new_spinner().with_style(style.with_key("rate", rate)).with_position(sequence)
        });
        StatusLine { bar, said: String::new() }
    }

    /// Shows a line. `change` is the part of it that is worth a line of its own where lines cannot be replaced.
    pub fn show(&mut self, text: &str, change: &str, sequence: u64) {
        let changed = self.said != change;
        match &self.bar {
            Some(bar) => {
                bar.set_message(text.to_owned());
                bar.set_position(sequence);
                if changed {
                    // What came in one piece is no rate.
                    bar.reset_eta();
                }
                bar.tick();
            }
            None if changed => line(text),
            None => {}
        }
        if changed {
            change.clone_into(&mut self.said);
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How the link goes, and what of that is worth a line of its own.
pub fn link(link: &LinkStatus) -> (String, String) {
    let who = link.peer.map_or("", |peer| peer.name());
    let place = format!("{}:{}", link.host, link.port);
    let mut text = match (link.state, &link.sync) {
        (LinkState::Streaming, _) => {
            let sequences = link.lag_sequences.map_or(String::new(), |lag| format!(", {} behind", count(lag)));
            let seconds = link.lag.map_or(String::new(), |lag| format!(" ({:.1} s)", lag.as_secs_f64()));
            format!("streaming from {who} {place}{sequences}{seconds}")
        }
        (LinkState::Syncing, Some(sync)) => format!("syncing from {who} {place}: {}", syncing(sync)),
        (state, _) => format!("{} {place}", state.name()),
    };
    let mut change = format!("{} {place}", link.state.name());
    if let Some(sync) = link.sync.filter(|_| link.state == LinkState::Syncing) {
        let tenths = (sync.bytes_done * 10).checked_div(sync.bytes).unwrap_or(0);
        change.push_str(&format!(" {tenths}"));
    }
    if link.state != LinkState::Streaming
        && let Some(error) = &link.last_error
    {
        text.push_str(&format!(": {error}"));
        change.push_str(error);
    }
    if let Some(warning) = &link.warning {
        text.push_str(&format!("; {warning}"));
        change.push_str(warning);
    }
    (text, change)
}

fn syncing(sync: &SyncStatus) -> String {
    let mut text = format!("{} of {} files, ", count(sync.files_done), count(sync.files));
    text.push_str(&format!("{} of {}", size(sync.bytes_done), size(sync.bytes)));
    if sync.bytes_reused > 0 {
        text.push_str(&format!(" ({} of it was here)", size(sync.bytes_reused)));
    }
    if sync.bytes_per_second > 0 {
        text.push_str(&format!(", {}/s", size(sync.bytes_per_second)));
    }
    if let Some(left) = sync.remaining {
        text.push_str(&format!(", {} s left", left.as_secs()));
    }
    text
}

/// Who follows, and what of that is worth a line of its own.
pub fn feeds(feeds: &[FeedStatus]) -> (String, String) {
    let (mut text, mut change) = (String::new(), String::new());
    for feed in feeds {
        let who = format!("; {} {}:{}", feed.peer.name(), feed.host, feed.port);
        text.push_str(&format!("{who} {} behind", count(feed.lag_sequences)));
        change.push_str(&who);
    }
    (text, change)
}
