//! Everything that can be wrong with a gallery, looked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{digest, whole};
use crate::store::{history, state_of};
use crate::tables::Statements;
use crate::{State, Store, StoreError};

impl Store {
    /// Looks for everything that can be wrong with the gallery; one sentence a finding, none when all is well.
    ///
    /// # Errors
    /// When the gallery cannot be read at all.
    pub fn check(&self) -> Result<Vec<String>, StoreError> {
        self.check_telling(&mut || {})
    }

    /// [`check`](Self::check) that calls `looked` after each picture.
    ///
    /// # Errors
    /// When the gallery cannot be read at all.
    pub fn check_telling(&self, looked: &mut dyn FnMut()) -> Result<Vec<String>, StoreError> {
        let (mut found, schema, held) = (self.tables.integrity()?, self.tables.schema(), self.tables.held()?);
        found.extend(self.read(|statements| {
            let (mut found, said) = told(statements)?;
            let seen = pictures(statements, &said, &mut found, looked)?;
            // A copy of some products has the whole history.
            let is_here = |key: &&Key| held.as_ref().is_none_or(|held| held.contains(&key.0));
            let gone = said.keys().filter(|key| !seen.contains(*key)).filter(is_here);
            found.extend(gone.map(|(p, n)| format!("{p}/{n}: in the history, but gone")));
            if schema >= 2 {
                let orphans = orphans(statements)?.into_iter().filter(|key| is_here(&key));
                found.extend(orphans.map(|(p, n)| format!("{p}/{n}: items agree with it, but it is gone")));
            }
            Ok(found)
        })?);
        Ok(found)
    }
}

/// Product and name.
type Key = (String, String);

/// What is wrong with the history itself, and the states that follow from it.
fn told(statements: &mut dyn Statements) -> Result<(Vec<String>, BTreeMap<Key, State>), StoreError> {
    let (mut found, mut said) = (Vec::new(), BTreeMap::new());
    for (event, expected) in history(statements, None)?.into_iter().zip(1..) {
        if event.sequence != expected {
            found.push(format!("history: event {expected} is missing"));
            break;
        }
        said.insert((event.product, event.reference), event.state);
    }
    Ok((found, said))
}

/// Looks at every picture; which there are.
fn pictures(
    statements: &mut dyn Statements,
    said: &BTreeMap<Key, State>,
    found: &mut Vec<String>,
    looked: &mut dyn FnMut(),
) -> Result<BTreeSet<Key>, StoreError> {
    let mut seen = BTreeSet::new();
    let query = "SELECT product, name, picture, mask, sha256, state, depth FROM pictures ORDER BY id";
    statements.each(query, &[], &mut |row| {
        let key = (row.text(0)?, row.text(1)?);
        let (picture, mask) = (row.blob(2)?, row.blob(3)?);
        let full_name = format!("{}/{}", key.0, key.1);
        if digest(picture, mask) != row.text(4)? {
            found.push(format!("{full_name}: the picture is not the one that was enrolled"));
        } else if let Err(reason) = whole(picture, mask, row.blob(6).ok()) {
            found.push(format!("{full_name}: {reason}"));
        }
        if said.get(&key) != Some(&state_of(&row, 5)?) {
            found.push(format!("{full_name}: its state does not follow from the history"));
        }
        seen.insert(key);
        looked();
        Ok(())
    })?;
    Ok(seen)
}

/// References that are not there although somebody has seen them.
fn orphans(statements: &mut dyn Statements) -> Result<Vec<Key>, StoreError> {
    let query = "SELECT DISTINCT s.product, s.reference FROM sightings s
         LEFT JOIN pictures p ON p.product = s.product AND p.name = s.reference WHERE p.id IS NULL";
    statements.all(query, &[], |row| Ok((row.text(0)?, row.text(1)?)))
}
