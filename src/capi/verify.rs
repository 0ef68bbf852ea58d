//! What is not as it must be.

use std::mem::MaybeUninit;

use super::argument::{given, hand_out, invalid, place};
use super::bytes::pumice_bytes;
use super::constants;
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use crate::Finding;

/// What a verification found.
pub struct pumice_findings(Vec<Finding>);

/// Something that is not as it must be, in UTF-8.
#[repr(C)]
pub struct pumice_finding {
    /// What was looked at.
    pub what: pumice_bytes,
    /// What was found, and what was expected.
    pub detail: pumice_bytes,
}

/// Compares what must be equal: registry and stored key, link and open folder, history and log; and, as deep as `depth`
/// says (a pumice_depth), checksums and every record. An empty list when all is well. Writers wait for the first part, a
/// few milliseconds.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_verify(
    engine: Option<&pumice_engine>,
    depth: i32,
    findings: Option<&mut MaybeUninit<*mut pumice_findings>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(findings, "findings")?;
        let depth =
            constants::depth(depth).ok_or_else(|| invalid(format!("depth: got {depth}, expected a pumice_depth")))?;
        hand_out(place, pumice_findings(given(engine, "engine")?.engine.verify(depth)?));
        Ok(())
    })
}

/// How many findings there are; 0 of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_findings_count(findings: Option<&pumice_findings>) -> usize {
    findings.map_or(0, |findings| findings.0.len())
}

/// A finding, its bytes lent until the list is freed; without `data` when there is none at that index.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_findings_at(findings: Option<&pumice_findings>, index: usize) -> pumice_finding {
    let finding = findings.and_then(|findings| findings.0.get(index));
    pumice_finding {
        what: pumice_bytes::lend_optional(finding.map(|finding| finding.what.as_bytes())),
        detail: pumice_bytes::lend_optional(finding.map(|finding| finding.detail.as_bytes())),
    }
}

/// Frees findings.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_findings_free(findings: Option<Box<pumice_findings>>) {
    free(findings);
}
