use std::path::PathBuf;

/// Why a data set cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file or folder cannot be opened.
    #[error("{path}: {reason}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The folder does not have the layout that was named.
    #[error("{path} is no data set in the layout `{format}`: {reason}")]
    Layout {
        /// The folder.
        path: PathBuf,
        /// The layout that was named.
        format: &'static str,
        /// What is missing.
        reason: String,
    },
    /// A table cannot be read or written.
    #[error("table {path}: {reason}")]
    Table {
        /// The table.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
