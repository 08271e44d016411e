//! Why a bag cannot be read or written.

use std::path::{Path, PathBuf};

/// What can go wrong with a bag.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BagError {
    /// A file or folder that cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a bag at all.
    #[error("{} is not a bag: {reason}", path.display())]
    NotABag {
        /// What was opened.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The bag, or a part of it, ends early or is damaged; what could be read has been delivered.
    #[error("{}: {what}", path.display())]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// What is missing and what was done about it.
        what: String,
    },
    /// A form of bag that is not supported.
    #[error("{}: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Which form, and what to do.
        what: String,
    },
    /// A message that does not decode as its type.
    #[error("a message on {topic} does not decode as {type_name}: {reason}")]
    Decode {
        /// Topic.
        topic: String,
        /// Type that was asked for.
        type_name: String,
        /// What the decoder says.
        reason: String,
    },
    /// A message that does not encode.
    #[error("a message for {topic} cannot be encoded: {reason}")]
    Encode {
        /// Topic.
        topic: String,
        /// What the encoder says.
        reason: String,
    },
    /// A topic was written with two types.
    #[error("topic {topic} is recorded as {known}, a message of type {offered} cannot be added to it")]
    TypeChanged {
        /// Topic.
        topic: String,
        /// First type.
        known: String,
        /// The other one.
        offered: String,
    },
    /// The place of a new bag is taken.
    #[error("{} exists already; a bag is never overwritten: remove it or choose another name", path.display())]
    Exists {
        /// Where the bag should have gone.
        path: PathBuf,
    },
    /// No room left. What was flushed before can be read.
    #[error("no space left on the device that holds {}; the bag ends here and is readable up to its last full chunk", path.display())]
    DiskFull {
        /// The bag.
        path: PathBuf,
    },
    /// Writing failed for another reason.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The bag.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Captures that cannot be read.
    #[error(transparent)]
    Capture(#[from] captures::CaptureError),
    /// Captures that do not fit into one bag.
    #[error("{0}")]
    Import(String),
}

impl BagError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_path_buf(), source }
    }

    pub(crate) fn incomplete(path: &Path, what: impl Into<String>) -> Self {
        Self::Incomplete { path: path.to_path_buf(), what: what.into() }
    }

    pub(crate) fn not_a_bag(path: &Path, reason: impl Into<String>) -> Self {
        Self::NotABag { path: path.to_path_buf(), reason: reason.into() }
    }

    /// A failed write: a full disk is told apart, since it is the one that happens.
    pub(crate) fn write(path: &Path, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull { path: path.to_path_buf() },
            _ => Self::Write { path: path.to_path_buf(), reason: error.to_string() },
        }
    }

    pub(crate) fn mcap_write(path: &Path, error: &mcap::McapError) -> Self {
        match error {
            mcap::McapError::Io(e) => Self::write(path, e),
            other => Self::Write { path: path.to_path_buf(), reason: other.to_string() },
        }
    }
}
