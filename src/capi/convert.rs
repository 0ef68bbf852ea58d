//! A dataset in the other key layout.

use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;

use super::argument::{bytes, hand_out, named_path, place};
use super::bytes::{c_text, lend_text, pumice_bytes};
use super::error::{call, free, pumice_error, pumice_status};
use super::position::pumice_position;
use super::progress::{pumice_progress_callback, tell};
use super::setting::{self, set, try_set};
use crate::{ConvertOptions, Converted};

/// What to convert to.
pub struct pumice_convert_options(ConvertOptions);

/// Options that ask for the standalone layout with all keys in the default namespace, to be changed and freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_convert_options_new() -> Box<pumice_convert_options> {
    Box::new(pumice_convert_options(ConvertOptions::default()))
}

/// The key layout of the target: true for the cluster layout, with a slot in every key. Unset, false.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_convert_options_set_cluster(
    options: Option<&mut pumice_convert_options>,
    cluster: bool,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.cluster = cluster)
}

/// To the cluster layout, which has no namespaces, the one to take; to the standalone layout, the one to make and put all
/// keys into. Unset, the default one.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_convert_options_set_namespace(
    options: Option<&mut pumice_convert_options>,
    name: *const c_char,
    name_size: usize,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    try_set(options, error, |options| {
        // SAFETY: the name is readable for its size.
        options.0.namespace = Some(unsafe { bytes(name, name_size, "name") }?.to_vec());
        Ok(())
    })
}

/// How the target is compressed, a pumice_compression. Unset, not at all.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_convert_options_set_compression(
    options: Option<&mut pumice_convert_options>,
    compression: i32,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    try_set(options, error, |options| {
        options.0.compression = setting::compression(compression)?;
        Ok(())
    })
}

/// Bytes for caches and write buffers, for the source and for the target each. Unset, 128 MiB; at least 4 MiB.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_convert_options_set_memory_budget(
    options: Option<&mut pumice_convert_options>,
    bytes: usize,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.memory_budget = bytes)
}

/// Frees options of converting.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_convert_options_free(options: Option<Box<pumice_convert_options>>) {
    free(options);
}

/// A dataset that was converted.
pub struct pumice_converted {
    converted: Converted,
    path: CString,
    layout: CString,
    left_out: Vec<CString>,
}

impl From<Converted> for pumice_converted {
    fn from(converted: Converted) -> pumice_converted {
        pumice_converted {
            path: CString::new(converted.path.as_os_str().as_bytes()).unwrap_or_default(),
            layout: c_text(converted.layout),
            left_out: converted.left_out.iter().map(|sentence| c_text(sentence)).collect(),
            converted,
        }
    }
}

/// Makes a new data directory `target` with the dataset of the data directory `source` in the other key layout. Every
/// type is converted, those too that can only be seen here; keys keep their expiry. Scripts come along. Search indexes do
/// not, since a cluster has none, nor do the tokens of namespaces. `options`, `progress` and `converted` may be NULL.
///
/// The source is only read, and may be open read-only elsewhere meanwhile. The target appears whole or not at all; it is
/// a primary with a history of its own, and its log starts behind the conversion. Memory does not grow with the data.
///
/// PUMICE_NOT_FOUND for the source, or a namespace that it does not have; PUMICE_INVALID_ARGUMENT when it has that layout
/// already; PUMICE_ALREADY_EXISTS for the target; PUMICE_BUSY when somebody has the source open for writing, or `progress`
/// cancelled it, which leaves nothing; PUMICE_UNSUPPORTED when a source in the cluster layout has keys outside of the
/// default namespace; PUMICE_CORRUPTION naming a record that is not what it should be; PUMICE_IO.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_convert(
    source: *const c_char,
    target: *const c_char,
    options: Option<&pumice_convert_options>,
    progress: pumice_progress_callback,
    user_data: *mut c_void,
    converted: Option<&mut MaybeUninit<*mut pumice_converted>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = converted.map(|converted| place(Some(converted), "converted")).transpose()?;
        // SAFETY: both are NULL or C strings.
        let (source, target) = unsafe { (named_path(source, "source")?, named_path(target, "target")?) };
        let mut told = |now: &_| tell(progress, user_data, now);
        let made = match options {
            Some(options) => crate::convert(source, target, &options.0, &mut told)?,
            None => crate::convert(source, target, &ConvertOptions::default(), &mut told)?,
        };
        if let Some(place) = place {
            hand_out(place, pumice_converted::from(made));
        }
        Ok(())
    })
}

/// The data directory that holds it, without links in its path, lent until this is freed; NULL of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_converted_path(converted: Option<&pumice_converted>) -> *const c_char {
    lend_text(converted.map(|converted| &converted.path))
}

/// Its position, in a history of its own.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_converted_position(converted: Option<&pumice_converted>) -> pumice_position {
    converted.map_or(pumice_position::NOTHING, |converted| (&converted.converted.position).into())
}

/// Its key layout, `standalone` or `cluster`, lent until this is freed; NULL of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_converted_layout(converted: Option<&pumice_converted>) -> *const c_char {
    lend_text(converted.map(|converted| &converted.layout))
}

/// The namespace that its keys are in, lent until this is freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_converted_namespace(converted: Option<&pumice_converted>) -> pumice_bytes {
    pumice_bytes::lend_optional(converted.map(|converted| &converted.converted.namespace[..]))
}

/// How many keys it has, those that expired and were not compacted away included.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_converted_keys(converted: Option<&pumice_converted>) -> u64 {
    converted.map_or(0, |converted| converted.converted.keys)
}

/// How many records: keys with their fields, members and elements, and scripts.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_converted_records(converted: Option<&pumice_converted>) -> u64 {
    converted.map_or(0, |converted| converted.converted.records)
}

/// Bytes of those, before compression.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_converted_bytes(converted: Option<&pumice_converted>) -> u64 {
    converted.map_or(0, |converted| converted.converted.bytes)
}

/// How many things the source has and the target does not; 0 of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_converted_left_out_count(converted: Option<&pumice_converted>) -> usize {
    converted.map_or(0, |converted| converted.left_out.len())
}

/// One of those, a sentence, lent until this is freed; NULL when there is none at that index.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_converted_left_out_at(converted: Option<&pumice_converted>, index: usize) -> *const c_char {
    lend_text(converted.and_then(|converted| converted.left_out.get(index)))
}

/// Frees what is known of the converted dataset. Its directory stays.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_converted_free(converted: Option<Box<pumice_converted>>) {
    free(converted);
}
