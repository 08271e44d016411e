//! Why the store did not do what was asked.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::schema::SCHEMA_VERSION;

/// Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Not a URL of a store.
    #[error("`{0}` is no gallery: write sqlite:PATH")]
    Url(String),
    /// Later.
    #[error("a gallery on PostgreSQL is not supported yet: write sqlite:PATH")]
    Postgres,
    /// Reading from a store that nobody made.
    #[error("there is no gallery at {}: enrol a product first (`intact gallery enrol`)", .0.display())]
    Missing(PathBuf),
    /// The folder of the file cannot be made.
    #[error("cannot make the gallery's folder {}: {source}", path.display())]
    Folder {
        /// Folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// Another program's database.
    #[error("{} is a database, but not of a gallery; give another file", .0.display())]
    Foreign(PathBuf),
    /// Written by a later version.
    #[error("the gallery {} has schema {found}, newer than {SCHEMA_VERSION} which this version knows: update intact", path.display())]
    Newer {
        /// File.
        path: PathBuf,
        /// Its schema.
        found: i64,
    },
    /// Cut off or overwritten.
    #[error("the gallery {} is damaged or cut off ({detail}): restore a copy, or import an export", path.display())]
    Damaged {
        /// File.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// No write permission.
    #[error("the gallery {} cannot be written: it is read-only; nothing was changed", .0.display())]
    ReadOnly(PathBuf),
    /// No space.
    #[error("the disk of the gallery {} is full; nothing was changed", .0.display())]
    Full(PathBuf),
    /// Another writer holds the file.
    #[error("another process is writing to the gallery {}; nothing was changed, try again", .0.display())]
    Busy(PathBuf),
    /// Anything else that SQLite refuses.
    #[error("the gallery {} failed: {source}", path.display())]
    Sqlite {
        /// File.
        path: PathBuf,
        /// Cause.
        source: rusqlite::Error,
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
    /// Sorts what SQLite says of the file at `path`.
    pub(crate) fn of(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged { path, detail: source.to_string() },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly(path),
            Some(ErrorCode::DiskFull) => Self::Full(path),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(path),
            _ => Self::Sqlite { path, source },
        }
    }
}
