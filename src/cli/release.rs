//! `pumice release`.

use std::path::Path;

use serde_json::json;

use super::Failure;
use super::report::Report;

pub fn run(directory: &Path) -> Result<Report, Failure> {
    crate::release(directory)?;
    let text = format!("{} is a plain Kvrocks directory now\n", directory.display());
    Ok(Report::good(text, json!({ "path": directory.to_string_lossy(), "released": true })))
}
