//! From evidence to exactly one disposition per item, and the ledger that remembers it.
//!
//! - [`decide`]: the policy, a pure function. Doubt is never [`Disposition::Sort`].
//! - [`Desk`]: assembles the evidence of each item from messages that come in any order, late, twice or never,
//!   and yields every item exactly once.
//! - [`Ledger`]: append-only SQLite, written before anything is commanded.
//!
//! No ROS and no clock in here: times are nanoseconds that the caller passes in, on whatever clock it uses.

mod book;
mod case;
mod decide;
mod evidence;
mod ledger;
mod policy;
mod verdict;

pub use book::{Counters, Desk, DeskConfig, Refusal, Step};
pub use case::{CaseSummary, Had};
pub use decide::decide;
pub use evidence::{Arrival, Evidence, Gallery, GalleryInput, Inspection, Instance, Pick, Quality};
pub use ledger::{Ledger, LedgerEntry, LedgerError, LedgerOutcome};
pub use policy::{Policy, PolicyError, QualityPolicy};
pub use verdict::{Disposition, Reason, Verdict};
