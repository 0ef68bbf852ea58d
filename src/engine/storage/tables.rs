//! The table files of an opened database.

use std::path::Path;
use std::sync::Arc;

use super::db::{Db, storage_error};
use super::iterator::Cursor;
use super::options::FAMILY_NAMES;
use super::pace;
use crate::engine::error::Result;

/// Whether a folder has more table files than can be opened in one go without a reader noticing.
pub fn are_many(folder: &Path) -> bool {
    const FEW: usize = 16;
    let is_table = |name: &Path| name.extension().is_some_and(|extension| extension == "sst");
    let files = folder.read_dir().into_iter().flatten().flatten();
    files.filter(|file| is_table(file.file_name().as_ref())).nth(FEW).is_some()
}

/// Opens every table file that is not open yet and reads its first block, so that a file that cannot be read is found
/// here and no reader pays for the opening. One after the other and with rests, beside the readers of another
/// database. `opened` is told after each, and may end it with an error.
pub fn open(db: &Arc<Db>, mut opened: impl FnMut() -> Result<()>) -> Result<()> {
    let files = db.rocks().live_files().map_err(|e| storage_error("list table files", e.into_string()))?;
    for file in files {
        let family = FAMILY_NAMES.iter().position(|name| *name == file.column_family_name);
        if let (Some(family), Some(first)) = (family, file.start_key) {
            // Nothing lies between a key and itself with a zero behind it: of each level the cursor opens the file
            // that may have this key, and looks no further.
            let behind = [&first[..], &[0]].concat();
            let mut cursor = Cursor::open(db, family as u32, first, Some(behind), None, false);
            cursor.seek_to_first();
            cursor.record().map_err(|e| e.context(format!("table file {}", file.name)))?;
        }
        pace::rest();
        opened()?;
    }
    Ok(())
}
