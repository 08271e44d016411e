//! What several tests need.
#![allow(clippy::unwrap_used)]

use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};

/// Loads the ONNX Runtime that the tests' peers bring. False, said loudly, where they are not installed.
pub fn has_onnxruntime(test: &str) -> bool {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/lib");
    let Some(library) = find(&peers, "libonnxruntime.so") else {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: no libonnxruntime under .venv; `tools/setup.sh peers` installs it");
        return false;
    };
    inspection::load_onnxruntime(&library).unwrap();
    true
}

/// The first file below `folder` whose name begins so.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(folder).ok()?.flatten().collect();
    let own = entries.iter().find(|e| e.file_name().to_string_lossy().starts_with(name)).map(std::fs::DirEntry::path);
    own.or_else(|| entries.iter().filter(|e| e.path().is_dir() && !e.path().is_symlink()).find_map(|e| find(&e.path(), name)))
}
