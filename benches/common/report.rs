//! Figures as people read them, and as files keep them.

use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Medians and extremes of several rounds.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => sorted[length / 2],
            length => (sorted[length / 2 - 1] + sorted[length / 2]) / 2.0,
        }
    }

    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The ratio of each round to the same round of another, which shared its noise.
    pub fn over(&self, other: &Figures) -> Figures {
        self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect()
    }

    /// The median with the extremes.
    pub fn spread(&self, digits: usize) -> String {
        format!("{:.digits$} ({:.digits$} to {:.digits$})", self.median(), self.min(), self.max())
    }

    pub fn json(&self) -> serde_json::Value {
        let round = |figure: f64| (figure * 1000.0).round() / 1000.0;
        serde_json::json!({
            "median": round(self.median()), "min": round(self.min()), "max": round(self.max()),
            "rounds": self.0.iter().map(|&figure| round(figure)).collect::<Vec<_>>(),
        })
    }
}

impl FromIterator<f64> for Figures {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Figures {
        Figures(figures.into_iter().collect())
    }
}

/// Milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A time with a unit that suits it.
pub fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} us", s * 1e6),
    }
}

/// A number with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Rows of cells, the first column to the left and the others to the right.
pub fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            line += &if column == 0 { format!("  {cell:<width$}") } else { format!("   {cell:>width$}") };
        }
        println!("{}", line.trim_end());
    }
}

/// Keeps raw figures under `benches/results/<name>.json`.
pub fn keep(name: &str, figures: &serde_json::Value) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
    let path = folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(figures).expect("figures are plain");
    match std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, text + "\n")) {
        Ok(()) => println!("\n  raw figures: benches/results/{name}.json"),
        Err(e) => println!("\n  raw figures could not be kept in {}: {e}", path.display()),
    }
}

/// A line that moves on a terminal, and a few plain lines elsewhere.
pub struct Line {
    what: String,
    total: u64,
    terminal: bool,
    told: u64,
}

impl Line {
    pub fn new(what: &str, total: u64) -> Line {
        Line { what: what.to_owned(), total, terminal: std::io::stdout().is_terminal(), told: 0 }
    }

    pub fn tell(&mut self, done: u64) {
        let steps = if self.terminal { 100 } else { 4 };
        let step = done * steps / self.total.max(1);
        if step == self.told {
            return;
        }
        self.told = step;
        let text = format!("  {} {} of {}", self.what, count(done), count(self.total));
        if self.terminal {
            print!("\r{text}{}", if done >= self.total { "\n" } else { "" });
        } else {
            println!("{text}");
        }
        let _ = std::io::stdout().flush();
    }
}
