//! Why the store did not do what was asked.

use std::path::PathBuf;

use crate::schema::SCHEMA_VERSION;

/// Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Not a URL of a store.
    #[error("`{0}` is no gallery: write sqlite:PATH or postgres://USER@HOST/DATABASE")]
    Url(String),
    /// A URL of a server that cannot be understood.
    #[error("the gallery's address is wrong: {0}; write postgres://USER@HOST/DATABASE, and ?local=PATH for a local copy")]
    Address(String),
    /// Reading from a store that nobody made.
    #[error("there is no gallery at {0}: enrol a product first (`intact gallery enrol`)")]
    Missing(String),
    /// The folder of the file cannot be made.
    #[error("cannot make the gallery's folder {}: {source}", path.display())]
    Folder {
        /// Folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// Another program's database.
    #[error("{0} is a database, but not of a gallery; give another one")]
    Foreign(String),
    /// No suspected design, and nothing in quarantine, of this number.
    #[error("nothing of design {version} of {product} waits; see `intact gallery proposals list`")]
    NothingWaits {
        /// Product.
        product: String,
        /// Number of the design.
        version: u32,
    },
    /// The list of products that a cell can meet.
    #[error("the manifest {} cannot be used: {reason}", path.display())]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// One sentence.
        reason: String,
    },
    /// Written by a later version.
    #[error("the gallery {place} has schema {found}, newer than {SCHEMA_VERSION} which this version knows: update intact")]
    Newer {
        /// Which gallery.
        place: String,
        /// Its schema.
        found: i64,
    },
    /// Cut off or overwritten.
    #[error("the gallery {place} is damaged or cut off ({detail}): restore a copy, or import an export")]
    Damaged {
        /// Which gallery.
        place: String,
        /// What is wrong.
        detail: String,
    },
    /// No write permission.
    #[error("the gallery {0} cannot be written: it is read-only; nothing was changed")]
    ReadOnly(String),
    /// No space.
    #[error("the disk of the gallery {0} is full; nothing was changed")]
    Full(String),
    /// Another writer holds it.
    #[error("another process is writing to the gallery {0}; nothing was changed, try again")]
    Busy(String),
    /// Anything else that SQLite refuses.
    #[error("the gallery {place} failed: {source}")]
    Sqlite {
        /// Which gallery.
        place: String,
        /// Cause.
        source: rusqlite::Error,
    },
    /// The server is not there, or went away.
    #[error("the gallery {place} cannot be reached ({detail}); what was being written may be there or not, never half")]
    Unreachable {
        /// Which gallery.
        place: String,
        /// What happened.
        detail: String,
    },
    /// Writing while only the local copy is there.
    #[error("the gallery {place} cannot be reached ({detail}), and its local copy is only read; nothing was changed")]
    Away {
        /// Which gallery.
        place: String,
        /// What happened.
        detail: String,
    },
    /// Anything else that the server refuses.
    #[error("the gallery {place} failed: {detail}")]
    Server {
        /// Which gallery.
        place: String,
        /// What it says.
        detail: String,
    },
    /// Writing into a cell's local copy.
    #[error("{0} is a cell's local copy of a gallery on a server: write to the server, the copy follows")]
    IsCopy(String),
    /// A file for a local copy that holds a gallery of its own.
    #[error("{0} holds a gallery of its own, not a local copy: name another file with ?local=PATH")]
    NoCopy(String),
    /// The local copy belongs to another server, or to an earlier life of it.
    #[error("{place} copies another gallery than {of}, or one from before a backup was restored: remove it, or name another file")]
    OtherCopy {
        /// File of the copy.
        place: String,
        /// The server.
        of: String,
    },
    /// A name that is no product's.
    #[error("`{0}` is not a product name: use 1 to 120 letters, digits, spaces, `.`, `_` or `-`, not starting with a dot")]
    ProductName(String),
    /// Not enrolled.
    #[error("{0} is not in the gallery")]
    Unknown(String),
    /// The same picture twice.
    #[error("this picture of {product} is enrolled already, as {name}")]
    Duplicate {
        /// Product.
        product: String,
        /// The reference that shows it.
        name: String,
    },
    /// A picture that cannot be encoded or decoded.
    #[error("reference {name}: {reason}")]
    Picture {
        /// `<product>/<name>`.
        name: String,
        /// One sentence.
        reason: String,
    },
    /// A folder that is to be imported.
    #[error("{}: {reason}", path.display())]
    Import {
        /// Folder or file.
        path: PathBuf,
        /// One sentence.
        reason: String,
    },
}

impl StoreError {
    /// True when the server is not there: a cell goes on with its local copy.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Away { .. })
    }
}
