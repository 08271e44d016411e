//! What is learned from items that pass by: proposals, the items that agree with them, and new designs.

use std::collections::BTreeMap;

use matching::FeatureOptions;

use crate::enrol::insert;
use crate::record::{Act, DesignChange, NewReference, Origin, Proposal, ReferenceRecord, State};
use crate::store::{change, references};
use crate::tables::Statements;
use crate::{Store, StoreError};

impl Store {
    /// Learned references in `state`, of a product or of all, each with the items that agree with it.
    ///
    /// # Errors
    /// When the gallery cannot be read.
    pub fn proposals(&self, product: Option<&str>, state: State) -> Result<Vec<Proposal>, StoreError> {
        self.in_state(product, state, true)
    }

    /// All that waits in quarantine: what was learned, and what a person enrolled there.
    ///
    /// # Errors
    /// When the gallery cannot be read.
    pub fn waiting(&self, product: Option<&str>) -> Result<Vec<Proposal>, StoreError> {
        self.in_state(product, State::Quarantined, false)
    }

    fn in_state(&self, product: Option<&str>, state: State, only_learned: bool) -> Result<Vec<Proposal>, StoreError> {
        let schema = self.tables.schema();
        // A gallery of version 1 has learned nothing.
        if only_learned && schema < 2 {
            return Ok(Vec::new());
        }
        let origin = if only_learned { "origin = 'learned' AND" } else { "" };
        let query = format!(
            "SELECT DISTINCT product FROM pictures
             WHERE {origin} state = ?2 AND (CAST(?1 AS TEXT) IS NULL OR product = ?1) ORDER BY product"
        );
        self.read(|statements| {
            let mut proposals = Vec::new();
            let products = statements.all(&query, &[product.into(), state.as_str().into()], |row| row.text(0))?;
            for product in products {
                let all = references(statements, schema, &product)?;
                for reference in all.into_iter().filter(|r| r.state == state && (!only_learned || r.origin == Origin::Learned)) {
                    let agreeing = if schema < 2 { Vec::new() } else { agreeing(statements, &product, &reference.name)? };
                    let reason = last_word(statements, &product, &reference.name)?;
                    proposals.push(Proposal { reference, agreeing, reason });
                }
            }
            Ok(proposals)
        })
    }

    /// Notes that `item` agrees with a proposal; once an item, however often it is said.
    ///
    /// # Errors
    /// When the gallery cannot be written.
    pub fn agree(&mut self, product: &str, reference: &str, item: &str, at_ns: i64) -> Result<(), StoreError> {
        let insert = "INSERT INTO sightings (product, reference, item, at_ns) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        self.write(|statements| statements.execute(insert, &[product.into(), reference.into(), item.into(), at_ns.into()]).map(drop))
    }

    /// Gives those of the named references that are in state `from` the state `to`, with a reason; their names come back. The others
    /// stay as they are: somebody else, a person or a cell, has settled them meanwhile.
    ///
    /// # Errors
    /// When one of them is not in the gallery, or the gallery cannot be written.
    pub fn settle(&mut self, product: &str, names: &[String], from: State, to: State, act: Act) -> Result<Vec<String>, StoreError> {
        let schema = self.tables.schema();
        self.write(|statements| {
            let known = references(statements, schema, product)?;
            if let Some(missing) = names.iter().find(|name| !known.iter().any(|r| r.name == **name)) {
                return Err(StoreError::Unknown(format!("{product}/{missing}")));
            }
            let meant = known.into_iter().filter(|r| r.state == from && names.contains(&r.name));
            let wanted: BTreeMap<String, State> = meant.map(|r| (r.name, to)).collect();
            change(statements, product, &wanted, &act)
        })
    }

    /// Gives all learned or enrolled references of one design that are in state `from` the state `to`.
    ///
    /// # Errors
    /// When the product is unknown, or the gallery cannot be written.
    pub fn settle_design(&mut self, product: &str, version: u32, from: State, to: State, act: Act) -> Result<Vec<String>, StoreError> {
        let schema = self.tables.schema();
        self.write(|statements| change_design(statements, schema, (product, version), (from, to), &act))
    }

    /// A new design is suspected: keeps its pictures and says so, both or neither. A picture that is enrolled already is passed over.
    ///
    /// # Errors
    /// When a picture cannot be used, or the gallery cannot be written.
    pub fn open_design(
        &mut self,
        (product, version): (&str, u32),
        pictures: &[NewReference],
        options: &FeatureOptions,
        act: Act,
    ) -> Result<Vec<ReferenceRecord>, StoreError> {
        let derived: Vec<_> = pictures.iter().map(|new| self.derive(new, options)).collect::<Result<_, _>>()?;
        self.write(|statements| {
            let mut kept = Vec::new();
            for (new, derived) in pictures.iter().zip(derived) {
                match insert(statements, new, derived) {
                    Ok(record) => kept.push(record),
                    Err(StoreError::Duplicate { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            note(statements, product, version, true, &act)?;
            Ok(kept)
        })
    }

    /// A suspected design is settled: what waits of it gets the state `to`, and the change is open no longer, both or neither. The
    /// names changed come back.
    ///
    /// # Errors
    /// When the product is unknown, nothing of that design waits or is open, or the gallery cannot be written.
    pub fn close_design(&mut self, product: &str, version: u32, to: State, act: Act) -> Result<Vec<String>, StoreError> {
        let schema = self.tables.schema();
        self.write(|statements| {
            let changed = change_design(statements, schema, (product, version), (State::Quarantined, to), &act)?;
            let is_open = open_in(&changes(statements, schema, Some(product))?).get(product) == Some(&version);
            if !is_open && changed.is_empty() {
                return Err(StoreError::NothingWaits { product: product.to_owned(), version });
            }
            if is_open {
                note(statements, product, version, false, &act)?;
            }
            Ok(changed)
        })
    }

    /// Every design change, of a product or of all; oldest first.
    ///
    /// # Errors
    /// When the gallery cannot be read.
    pub fn design_changes(&self, product: Option<&str>) -> Result<Vec<DesignChange>, StoreError> {
        let schema = self.tables.schema();
        self.read(|statements| changes(statements, schema, product))
    }

    /// Design changes that wait for a person or for more items, by product.
    ///
    /// # Errors
    /// When the gallery cannot be read.
    pub fn open_designs(&self) -> Result<BTreeMap<String, u32>, StoreError> {
        Ok(open_in(&self.design_changes(None)?))
    }
}

fn changes(statements: &mut dyn Statements, schema: i64, product: Option<&str>) -> Result<Vec<DesignChange>, StoreError> {
    if schema < 2 {
        return Ok(Vec::new());
    }
    let query = "SELECT at_ns, actor, product, version, what, detail FROM design_changes
         WHERE CAST(?1 AS TEXT) IS NULL OR product = ?1 ORDER BY sequence";
    statements.all(query, &[product.into()], |row| {
        Ok(DesignChange {
            at_ns: row.int(0)?,
            actor: row.text(1)?,
            product: row.text(2)?,
            version: row.number(3)?,
            open: row.text(4)? == "opened",
            detail: row.text(5)?,
        })
    })
}

/// The changes that were not closed, by product.
fn open_in(changes: &[DesignChange]) -> BTreeMap<String, u32> {
    let mut open = BTreeMap::new();
    for change in changes {
        if change.open {
            open.insert(change.product.clone(), change.version);
        } else {
            open.remove(&change.product);
        }
    }
    open
}

fn change_design(
    statements: &mut dyn Statements,
    schema: i64,
    (product, version): (&str, u32),
    (from, to): (State, State),
    act: &Act,
) -> Result<Vec<String>, StoreError> {
    let of_design = references(statements, schema, product)?.into_iter().filter(|r| r.version == version && r.state == from);
    let wanted: BTreeMap<String, State> = of_design.map(|r| (r.name, to)).collect();
    change(statements, product, &wanted, act)
}

/// Notes that a new design of a product is suspected, or settled.
fn note(statements: &mut dyn Statements, product: &str, version: u32, open: bool, act: &Act) -> Result<(), StoreError> {
    let insert = "INSERT INTO design_changes (sequence, at_ns, actor, product, version, what, detail)
         VALUES ((SELECT coalesce(max(sequence), 0) + 1 FROM design_changes), ?1, ?2, ?3, ?4, ?5, ?6)";
    let what = if open { "opened" } else { "closed" };
    let params = [act.at_ns.into(), act.actor.into(), product.into(), version.into(), what.into(), act.detail.into()];
    statements.execute(insert, &params).map(drop)
}

fn agreeing(statements: &mut dyn Statements, product: &str, reference: &str) -> Result<Vec<String>, StoreError> {
    let query = "SELECT item FROM sightings WHERE product = ?1 AND reference = ?2 ORDER BY at_ns, item";
    statements.all(query, &[product.into(), reference.into()], |row| row.text(0))
}

fn last_word(statements: &mut dyn Statements, product: &str, reference: &str) -> Result<String, StoreError> {
    let query = "SELECT detail FROM history WHERE product = ?1 AND reference = ?2 ORDER BY sequence DESC LIMIT 1";
    Ok(statements.first(query, &[product.into(), reference.into()], |row| row.text(0))?.unwrap_or_default())
}
