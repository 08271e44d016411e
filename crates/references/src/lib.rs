//! The gallery's store: products, their references, and everything that ever happened to them.
//!
//! ```text
//! enrol, import ─▶ Store (the rules) ─▶ Store::enrolled ─▶ matching::Gallery
//!                    │
//!                    ├─ history: append-only; a state can be rolled back, nothing is ever deleted
//!                    └─ tables: one SQLite file, or a PostgreSQL server with a local copy in a SQLite file
//! ```
//!
//! A store is chosen by URL: `sqlite:PATH` or `postgres://…`. Each change is one transaction that is on the disk when the call
//! returns, so that a process killed at any moment leaves all of it or nothing of it.

mod check;
mod codec;
mod enrol;
mod error;
pub mod folder;
mod layout;
mod learned;
mod manifest;
mod postgres;
mod reach;
mod record;
mod schema;
mod sqlite;
mod store;
mod tables;
mod url;

pub use error::StoreError;
pub use layout::{Layout, Source, find, top_of};
pub use reach::Connection;
pub use record::{Act, DesignChange, Event, NewReference, Origin, ProductSummary, Proposal, ReferenceRecord, State};
pub use store::Store;
pub use url::GalleryUrl;
