//! The table of this bench, and the same figures for the file.

use serde_json::json;

use crate::common::report::Figures;

/// What a median must be.
#[derive(Clone, Copy)]
pub enum Target {
    None,
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Default)]
pub struct Report {
    pub rows: Vec<Vec<String>>,
    pub raw: Vec<serde_json::Value>,
}

impl Report {
    /// A figure that nothing stands beside.
    pub fn alone(&mut self, what: &str, ours: &Figures, digits: usize, judged: &Figures, target: Target) {
        self.row([what.to_owned(), ours.spread(digits), String::new(), String::new(), String::new()], judged, target);
        self.raw.push(json!({ "what": what, "pumice": ours.json() }));
    }

    /// Figures taken in turns with those of another, and their ratio round by round.
    #[allow(clippy::too_many_arguments, reason = "one for each column")]
    pub fn beside(
        &mut self,
        what: &str,
        ours: &Figures,
        digits: usize,
        theirs: &Figures,
        other: &str,
        ratio: &Figures,
        target: Target,
    ) {
        let (here, there) = (ours.spread(digits), theirs.spread(digits));
        self.row([what.to_owned(), here, there, other.to_owned(), ratio.spread(2)], ratio, target);
        self.raw.push(json!({
            "what": what, "pumice": ours.json(), "beside": other, "other": theirs.json(), "ratio": ratio.json(),
        }));
    }

    fn row(&mut self, cells: [String; 5], judged: &Figures, target: Target) {
        if self.rows.is_empty() {
            self.rows.push(["", "Pumice", "beside it", "", "ratio", "target", ""].map(str::to_owned).to_vec());
        }
        let (text, met) = match target {
            Target::None => (String::new(), None),
            Target::AtMost(most) => (format!("<= {most}"), Some(judged.median() <= most)),
            Target::AtLeast(least) => (format!(">= {least}"), Some(judged.median() >= least)),
        };
        let verdict = met.map_or("", |met| if met { "met" } else { "missed" });
        self.rows.push(cells.into_iter().chain([text, verdict.to_owned()]).collect());
    }
}
