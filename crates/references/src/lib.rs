//! The gallery's store: products, their references, and everything that ever happened to them.
//!
//! ```text
//! enrol, import ─▶ Store (one SQLite file) ─▶ Store::enrolled ─▶ matching::Gallery
//!                    │
//!                    └─ history: append-only; a state can be rolled back, nothing is ever deleted
//! ```
//!
//! A store is chosen by URL: `sqlite:PATH`. Each change is one transaction that is on the disk when the call returns
//! (write-ahead log, `synchronous = FULL`), so that a process killed at any moment leaves all of it or nothing of it.

mod error;
mod layout;
mod learned;
mod record;
mod schema;
mod store;
mod url;

pub use error::StoreError;
pub use layout::{Layout, Source, find};
pub use record::{Act, DesignChange, Event, NewReference, Origin, ProductSummary, Proposal, ReferenceRecord, State};
pub use store::Store;
pub use url::GalleryUrl;
