//! Labelled pictures on disk, one layout like the other.
//!
//! [`read`] lists the [`Sample`]s of a data set: Kaputt's tables, those that `intact booth generate` writes (Kaputt's
//! with depth and masks), or the folders of MVTec AD. Nothing but tables and names is read; who measures loads pictures
//! one by one. [`TableWriter`] writes such tables.

mod error;
mod kaputt;
mod mvtec;
mod sample;
mod table;

pub use error::DatasetError;
pub use kaputt::kaputt_references;
pub use sample::{DamageSize, Depth, Format, Reference, Sample, Shared, SharedCamera, Split, read};
pub use table::{Column, Table, TableWriter};

/// The file beside the booth's tables that says what all of its captures share.
pub const SHARED_FILE: &str = "booth.json";
