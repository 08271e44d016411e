//! What can be wrong with an interface definition.

use std::path::PathBuf;

/// A fault in a definition, or in finding one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A line that is not a field, a constant or a comment.
    #[error("{interface}, line {line}: {problem}")]
    Syntax {
        /// The interface, `pkg/msg/Type`.
        interface: String,
        /// One-based line of the file.
        line: usize,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// A field refers to a type that no loaded package defines.
    #[error("{interface}: field `{field}` has the type `{missing}`, which no loaded package defines; add its definition")]
    UnknownType {
        /// The interface that has the field.
        interface: String,
        /// The field.
        field: String,
        /// The type that is missing.
        missing: String,
    },
    /// A type contains itself, which has no wire form.
    #[error("{interface} contains itself through `{through}`")]
    Recursive {
        /// The type.
        interface: String,
        /// The field type that closes the circle.
        through: String,
    },
    /// The interface was asked for and is not loaded.
    #[error("no interface `{0}` is loaded")]
    NotLoaded(String),
    /// A file or folder could not be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
