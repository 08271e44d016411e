//! What the two file formats have in common: an index of parts, each with its span of time, and a way to load a part.

use std::path::Path;
use std::sync::Arc;

use crate::mcap_file::McapFile;
use crate::qos::QosProfile;
use crate::sqlite_file::SqliteFile;
use crate::{BagError, BagMessage};

/// No single chunk or message is larger; a larger claim in a file is refused before memory is taken.
pub(crate) const MAX_PART_BYTES: u64 = 1 << 30;

/// One topic of one file.
#[derive(Debug, Clone)]
pub(crate) struct FileTopic {
    pub name: Arc<str>,
    pub type_name: Arc<str>,
    pub messages: u64,
    pub offered_qos: Vec<QosProfile>,
    pub type_hash: String,
    /// `ros2msg` text, empty when the file holds none.
    pub definition: String,
}

/// A part of a file that is loaded at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// First log time in it, nanoseconds.
    pub start_ns: i64,
    /// Last log time in it.
    pub end_ns: i64,
    pub place: Place,
}

/// Where a part lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// An MCAP record (chunk or message outside of chunks): offset of its body, and length.
    Record { op: u8, offset: u64, length: u64 },
    /// A row of the table of messages.
    Row(i64),
}

impl Place {
    /// Grows in the order in which the file was written.
    pub(crate) fn position(self) -> u64 {
        match self {
            Self::Record { offset, .. } => offset,
            Self::Row(id) => id.cast_unsigned(),
        }
    }
}

/// One file of a bag, of either format.
#[derive(Debug)]
pub(crate) enum StorageFile {
    Mcap(McapFile),
    Sqlite(SqliteFile),
}

impl StorageFile {
    /// Opens by contents, not by name.
    pub(crate) fn open(path: &Path) -> Result<Self, BagError> {
        let mut magic = [0u8; 16];
        let mut file = std::fs::File::open(path).map_err(BagError::io(path))?;
        let n = std::io::Read::read(&mut file, &mut magic).map_err(BagError::io(path))?;
        if magic[..n].starts_with(mcap::MAGIC) {
            return McapFile::open(path).map(Self::Mcap);
        }
        if magic[..n].starts_with(b"SQLite format 3\0") {
            return SqliteFile::open(path).map(Self::Sqlite);
        }
        let why = if n == 0 { "the file is empty" } else { "it is neither MCAP nor SQLite (.db3)" };
        Err(BagError::not_a_bag(path, why))
    }

    pub(crate) fn topics(&self) -> &[FileTopic] {
        match self {
            Self::Mcap(f) => f.topics(),
            Self::Sqlite(f) => f.topics(),
        }
    }

    /// Damage found on opening: what is missing, in a sentence.
    pub(crate) fn damage(&self) -> Option<&str> {
        match self {
            Self::Mcap(f) => f.damage(),
            Self::Sqlite(f) => f.damage(),
        }
    }

    pub(crate) fn format(&self) -> &'static str {
        match self {
            Self::Mcap(_) => "mcap",
            Self::Sqlite(_) => "sqlite3",
        }
    }

    /// Every part, in no particular order.
    pub(crate) fn parts(&self) -> &[Part] {
        match self {
            Self::Mcap(f) => f.parts(),
            Self::Sqlite(f) => f.parts(),
        }
    }

    /// A handle of its own for reading, so that several readers do not disturb each other.
    pub(crate) fn reader(&self) -> Result<PartReader, BagError> {
        match self {
            Self::Mcap(f) => f.reader().map(PartReader::Mcap),
            Self::Sqlite(f) => f.reader().map(PartReader::Sqlite),
        }
    }
}

/// Loads parts of one file.
pub(crate) enum PartReader {
    Mcap(crate::mcap_file::McapReader),
    Sqlite(crate::sqlite_file::SqliteReader),
}

impl PartReader {
    /// Appends the part's messages to `out`, in the order of the file. On an error those before it have been appended.
    pub(crate) fn load(&mut self, place: Place, out: &mut Vec<BagMessage>) -> Result<(), BagError> {
        match (self, place) {
            (Self::Mcap(r), Place::Record { op, offset, length }) => r.load(op, offset, length, out),
            (Self::Sqlite(r), Place::Row(id)) => r.load(id, out),
            (Self::Mcap(_), Place::Row(_)) | (Self::Sqlite(_), Place::Record { .. }) => Ok(()),
        }
    }
}

/// Decompresses `bytes` into at most `limit` bytes.
pub(crate) fn decompress(format: &str, bytes: &[u8], expected: usize, limit: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    // The claimed size is only a hint: a false one must not take memory before there is data for it.
    let mut out = Vec::with_capacity(expected.min(64 << 20));
    let mut take = |reader: &mut dyn Read| reader.take(limit + 1).read_to_end(&mut out).map_err(|e| e.to_string());
    match format {
        "zstd" => take(&mut zstd::stream::Decoder::new(bytes).map_err(|e| e.to_string())?)?,
        "lz4" => take(&mut lz4_flex::frame::FrameDecoder::new(bytes))?,
        other => return Err(format!("compression `{other}` is not supported (zstd, lz4 and none are)")),
    };
    if out.len() as u64 > limit {
        return Err(format!("it holds more than {limit} bytes"));
    }
    Ok(out)
}
