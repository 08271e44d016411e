//! The ledger as the node uses it: it may fail, and the line goes on to a person.

use std::path::PathBuf;

use disposition::{Ledger, LedgerEntry, LedgerError, LedgerOutcome};
use node_kit::Diagnostics;

use crate::time::unix_ns;

/// Whether a decision stands in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Yes,
    /// The id has a disposition in this run.
    Duplicate,
    Failed,
}

/// A ledger that is opened anew after a failure.
pub(crate) struct Books {
    path: PathBuf,
    run_id: String,
    ledger: Option<Ledger>,
    diagnostics: Diagnostics,
    failing: bool,
}

impl Books {
    /// Opens the ledger; a failure is reported, and every decision tries again.
    ///
    /// # Errors
    /// When the file is another program's: no later try would help.
    pub fn open(path: PathBuf, run_id: String, diagnostics: Diagnostics) -> Result<Self, LedgerError> {
        let mut books = Self { path, run_id, ledger: None, diagnostics, failing: false };
        books.diagnostics.set("ledger", books.path.display());
        books.diagnostics.set("run_id", &books.run_id);
        match books.ledger().map(|_| ()) {
            Err(error @ LedgerError::Foreign { .. }) => return Err(error),
            opened => books.report(opened),
        };
        Ok(books)
    }

    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Writes a decision; when this says `Yes` it is on the disk.
    pub fn decision(&mut self, entry: &LedgerEntry) -> Written {
        match self.ledger().and_then(|ledger| ledger.append(entry)) {
            Err(LedgerError::Duplicate { item_id, run_id }) => {
                let noted = self.ledger().and_then(|ledger| ledger.append_duplicate(&run_id, &item_id, unix_ns()));
                self.report(noted);
                Written::Duplicate
            }
            written => {
                if self.report(written) {
                    Written::Yes
                } else {
                    Written::Failed
                }
            }
        }
    }

    /// Writes what became of an item.
    pub fn outcome(&mut self, outcome: &LedgerOutcome) {
        let written = self.ledger().and_then(|ledger| ledger.append_outcome(outcome));
        self.report(written);
    }

    fn ledger(&mut self) -> Result<&mut Ledger, LedgerError> {
        let ledger = match self.ledger.take() {
            Some(ledger) => ledger,
            None => Ledger::open(&self.path)?,
        };
        Ok(self.ledger.insert(ledger))
    }

    /// Whether it went well; a failure is told once, until it goes well again.
    fn report(&mut self, result: Result<(), LedgerError>) -> bool {
        match result {
            Ok(()) if self.failing => {
                self.failing = false;
                self.diagnostics.lift("ledger");
                self.diagnostics.ok("the ledger works again");
            }
            Ok(()) => {}
            Err(error) => {
                self.diagnostics.count("ledger_failures", 1);
                if !self.failing {
                    let path = self.path.display();
                    self.diagnostics.standing_error("ledger", format!("{path}: {error} Nothing is sorted until it can be written."));
                }
                self.failing = true;
                self.ledger = None; // the next row opens it anew
                return false;
            }
        }
        true
    }
}
