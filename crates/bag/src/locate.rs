//! Which files make up a bag, and how they are packed.

use std::path::{Path, PathBuf};

use crate::BagError;
use crate::metadata::{METADATA_FILE, Metadata};

/// Files of the bag at `path`, its metadata, and what is wrong so far.
pub(crate) type Located = (Option<Metadata>, Vec<PathBuf>, Vec<(PathBuf, String)>);

pub(crate) fn locate(path: &Path) -> Result<Located, BagError> {
    if !path.is_dir() {
        std::fs::metadata(path).map_err(BagError::io(path))?;
        return Ok((None, vec![path.to_path_buf()], Vec::new()));
    }
    let mut problems = Vec::new();
    let metadata = match Metadata::read(path) {
        Ok(metadata) => metadata,
        Err(BagError::Incomplete { path, what }) => {
            problems.push((path, what));
            None
        }
        Err(e) => return Err(e),
    };
    let listed = metadata.iter().flat_map(|m| &m.relative_file_paths);
    // Version 3 and older wrote paths that contain the folder; no version means a file elsewhere.
    let listed: Vec<PathBuf> = listed.filter_map(|p| Path::new(p).file_name()).map(|name| path.join(name)).collect();
    let (mut files, missing): (Vec<_>, Vec<_>) = listed.into_iter().partition(|p| p.is_file());
    problems.extend(missing.into_iter().map(|p| (p, format!("is named in {METADATA_FILE} but missing; the other files were read"))));
    if files.is_empty() {
        files = storage_files(path)?;
    }
    Ok((metadata, files, problems))
}

fn storage_files(dir: &Path) -> Result<Vec<PathBuf>, BagError> {
    let is_storage = |p: &PathBuf| {
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let name = name.strip_suffix(".zstd").unwrap_or(&name);
        name.ends_with(".mcap") || name.ends_with(".db3")
    };
    let entries = std::fs::read_dir(dir).map_err(BagError::io(dir))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).filter(is_storage).collect();
    files.sort();
    Ok(files)
}

/// The file itself, or its decompressed copy when its name ends in `.zstd`.
pub(crate) fn unpack(file: &Path, dir: &mut Option<tempfile::TempDir>) -> Result<PathBuf, BagError> {
    if file.extension().is_none_or(|e| e != "zstd") {
        return Ok(file.to_path_buf());
    }
    let dir = match dir {
        Some(dir) => dir,
        None => dir.insert(tempfile::TempDir::new().map_err(BagError::io(file))?),
    };
    let name = file.file_stem().unwrap_or(file.as_os_str());
    let copy = dir.path().join(name);
    let mut from = std::fs::File::open(file).map_err(BagError::io(file))?;
    let mut to = std::fs::File::create(&copy).map_err(|e| BagError::write(&copy, &e))?;
    match zstd::stream::copy_decode(&mut from, &mut to) {
        Ok(()) => Ok(copy),
        // What came out of a stream that was cut off is a file that was cut off: the readers know what to do.
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(copy),
        Err(e) if e.kind() == std::io::ErrorKind::StorageFull => Err(BagError::DiskFull { path: copy }),
        Err(e) => Err(BagError::not_a_bag(file, format!("zstd cannot decompress it ({e})"))),
    }
}

/// Whether each message is compressed by itself.
pub(crate) fn is_message_compressed(path: &Path, metadata: &Metadata) -> Result<bool, BagError> {
    let is_message = metadata.compression_mode.eq_ignore_ascii_case("message");
    if is_message && metadata.compression_format != "zstd" {
        let what = format!("messages are compressed by `{}`; only zstd is supported", metadata.compression_format);
        return Err(BagError::Unsupported { path: path.to_path_buf(), what });
    }
    Ok(is_message)
}
