//! What is learned from items that pass by: proposals, the items that agree with them, and new designs.

use std::collections::BTreeMap;

use rusqlite::params;

use crate::record::{Act, DesignChange, Origin, Proposal, State};
use crate::store::At as _;
use crate::{Store, StoreError};

impl Store {
    /// Learned references in `state`, of a product or of all, each with the items that agree with it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn proposals(&self, product: Option<&str>, state: State) -> Result<Vec<Proposal>, StoreError> {
        let mut proposals = Vec::new();
        for summary in self.products()?.into_iter().filter(|s| product.is_none_or(|p| p == s.product)) {
            let learned = self.references(&summary.product)?;
            for reference in learned.into_iter().filter(|r| r.origin == Origin::Learned && r.state == state) {
                let agreeing = self.agreeing(&reference.product, &reference.name)?;
                let reason = self.last_word(&reference.product, &reference.name)?;
                proposals.push(Proposal { reference, agreeing, reason });
            }
        }
        Ok(proposals)
    }

    fn agreeing(&self, product: &str, reference: &str) -> Result<Vec<String>, StoreError> {
        if self.schema < 2 {
            return Ok(Vec::new());
        }
        let query = "SELECT item FROM sightings WHERE product = ?1 AND reference = ?2 ORDER BY at_ns, item";
        let mut statement = self.connection.prepare(query).at(&self.path)?;
        let rows = statement.query_map([product, reference], |row| row.get(0));
        rows.and_then(Iterator::collect).at(&self.path)
    }

    fn last_word(&self, product: &str, reference: &str) -> Result<String, StoreError> {
        let query = "SELECT detail FROM history WHERE product = ?1 AND reference = ?2 ORDER BY sequence DESC LIMIT 1";
        self.connection.query_row(query, [product, reference], |row| row.get(0)).at(&self.path)
    }

    /// Notes that `item` agrees with a proposal; once an item, however often it is said.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn agree(&mut self, product: &str, reference: &str, item: &str, at_ns: i64) -> Result<(), StoreError> {
        let insert = "INSERT OR IGNORE INTO sightings (product, reference, item, at_ns) VALUES (?1, ?2, ?3, ?4)";
        self.connection.execute(insert, params![product, reference, item, at_ns]).at(&self.path).map(drop)
    }

    /// Gives the named references another state, with a reason; the names that had another one come back.
    ///
    /// # Errors
    /// When one of them is not in the gallery, or the file cannot be written.
    pub fn settle(&mut self, product: &str, names: &[String], state: State, act: Act) -> Result<Vec<String>, StoreError> {
        let known = self.references(product)?;
        if let Some(missing) = names.iter().find(|name| !known.iter().any(|r| r.name == **name)) {
            return Err(StoreError::Unknown(format!("{product}/{missing}")));
        }
        let wanted: BTreeMap<String, State> = names.iter().map(|name| (name.clone(), state)).collect();
        self.change(product, &wanted, act)
    }

    /// Gives all learned or enrolled references of one design that are in state `from` the state `to`.
    ///
    /// # Errors
    /// When the product is unknown, or the file cannot be written.
    pub fn settle_design(&mut self, product: &str, version: u32, from: State, to: State, act: Act) -> Result<Vec<String>, StoreError> {
        let all = self.references(product)?;
        let names: Vec<String> = all.into_iter().filter(|r| r.version == version && r.state == from).map(|r| r.name).collect();
        self.settle(product, &names, to, act)
    }

    /// Notes that a new design of a product is suspected, or settled.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_design(&mut self, product: &str, version: u32, open: bool, act: Act) -> Result<(), StoreError> {
        let insert = "INSERT INTO design_changes (at_ns, actor, product, version, what, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let what = if open { "opened" } else { "closed" };
        self.connection.execute(insert, params![act.at_ns, act.actor, product, version, what, act.detail]).at(&self.path).map(drop)
    }

    /// Every design change, of a product or of all; oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn design_changes(&self, product: Option<&str>) -> Result<Vec<DesignChange>, StoreError> {
        if self.schema < 2 {
            return Ok(Vec::new());
        }
        let query = "SELECT at_ns, actor, product, version, what, detail FROM design_changes
             WHERE ?1 IS NULL OR product = ?1 ORDER BY sequence";
        let mut statement = self.connection.prepare(query).at(&self.path)?;
        let rows = statement.query_map([product], |row| {
            Ok(DesignChange {
                at_ns: row.get(0)?,
                actor: row.get(1)?,
                product: row.get(2)?,
                version: row.get(3)?,
                open: row.get::<_, String>(4)? == "opened",
                detail: row.get(5)?,
            })
        });
        rows.and_then(Iterator::collect).at(&self.path)
    }

    /// Design changes that wait for a person or for more items, by product.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open_designs(&self) -> Result<BTreeMap<String, u32>, StoreError> {
        let mut open = BTreeMap::new();
        for change in self.design_changes(None)? {
            if change.open {
                open.insert(change.product, change.version);
            } else {
                open.remove(&change.product);
            }
        }
        Ok(open)
    }

    /// Another number whenever another process, or another connection, has changed the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn foreign_changes(&self) -> Result<i64, StoreError> {
        self.connection.query_row("PRAGMA data_version", [], |row| row.get(0)).at(&self.path)
    }

    /// Sightings of references that are not there.
    pub(crate) fn orphans(&self) -> Result<Vec<String>, StoreError> {
        if self.schema < 2 {
            return Ok(Vec::new());
        }
        let query = "SELECT DISTINCT s.product, s.reference FROM sightings s
             LEFT JOIN pictures p ON p.product = s.product AND p.name = s.reference WHERE p.id IS NULL";
        let mut statement = self.connection.prepare(query).at(&self.path)?;
        let rows = statement.query_map([], |row| {
            Ok(format!("{}/{}: items agree with it, but it is gone", row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        rows.and_then(Iterator::collect).at(&self.path)
    }
}
