//! How far a long call is, for people: a bar on a terminal, plain lines elsewhere, on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::table::size;
use crate::{Progress, Stage};

pub struct Display {
    bar: Option<ProgressBar>,
    stage: Option<Stage>,
    tenths: u64,
}

impl Display {
    /// Begins with a step that does not say how far it is.
    pub fn begin(what: &str) -> Display {
        let bar = io::stderr().is_terminal().then(|| ProgressBar::new(0));
        let display = Display { bar, stage: None, tenths: 0 };
        display.step(what);
        display
    }

    /// Tells of another step that does not say how far it is.
    pub fn step(&self, what: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_style(style("{spinner} {msg}"));
                bar.set_message(what.to_owned());
                bar.enable_steady_tick(Duration::from_millis(100));
            }
            None => line(what),
        }
    }

    pub fn tell(&mut self, progress: &Progress) {
        let Progress { stage, files_done, files, bytes_done, bytes } = *progress;
        let counted = if files > 0 { format!("{files_done} of {files} files, ") } else { String::new() };
        let name = stage.name();
        if self.stage != Some(stage) {
            (self.stage, self.tenths) = (Some(stage), 0);
            if bytes == 0 {
                return self.step(name);
            }
            match &self.bar {
                Some(bar) => {
                    bar.disable_steady_tick();
                    bar.reset();
                    bar.set_style(style(
                        "{msg} [{bar:30}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
                    ));
                }
                None => line(&format!("{name}: {counted}{}", size(bytes))),
            }
        }
        if bytes == 0 {
            return;
        }
        match &self.bar {
            Some(bar) => {
                bar.set_length(bytes);
                bar.set_position(bytes_done);
                bar.set_message(format!("{name} {}", counted.trim_end_matches(", ")).trim_end().to_owned());
            }
            None => {
                let tenths = u64::try_from(u128::from(bytes_done) * 10 / u128::from(bytes)).unwrap_or(10);
                if tenths > self.tenths {
                    self.tenths = tenths;
                    line(&format!("{name}: {counted}{} of {}, {}%", size(bytes_done), size(bytes), tenths * 10));
                }
            }
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

pub fn line(text: &str) {
    // Progress that nobody can read is no reason to stop.
    let _ = writeln!(io::stderr(), "pumice: {text}");
}
