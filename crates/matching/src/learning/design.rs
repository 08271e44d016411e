//! The same change on many items of a product, with no sign of damage: a new design of the packaging.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::picture::{Sample, Seen};
use super::{Rules, Shelf, Step};
use crate::{Item, MatchError};

/// Changed items that are kept to be compared with later ones, a product; as many as a design needs, if those are more.
const KEPT: usize = 16;
/// Pictures of a new design that are proposed.
const EXAMPLES: usize = 8;

/// A changed item.
#[derive(Debug)]
struct Changed {
    /// What others are compared with, and what is learned.
    sample: Sample,
    /// The whole of it, how it differs from its references, and where.
    whole: Item,
    was: Vec<f32>,
    places: Vec<Vec<bool>>,
    /// Its number among the product's matched items.
    at: u64,
}

/// A suspected new design.
#[derive(Debug)]
struct Open {
    version: u32,
    examples: Vec<Sample>,
    confirmed: BTreeSet<String>,
}

/// What is watched of one product.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Matched items so far.
    matched: u64,
    /// Numbers of those that could be compared, in the window.
    compared: VecDeque<u64>,
    changed: VecDeque<Changed>,
    open: Option<Open>,
    /// Items that showed the same change when last asked.
    pub alike: usize,
    refused: Vec<Sample>,
    /// The newest design that was ever kept.
    newest: u32,
    /// Items in a row that fit a newer design and not this one.
    unseen: BTreeMap<u32, usize>,
}

impl Watch {
    pub fn open_version(&self) -> Option<u32> {
        self.open.as_ref().map(|o| o.version)
    }

    pub fn restore(&mut self, open: Option<(u32, Vec<Sample>)>, refused: Vec<Sample>, newest: u32) {
        let closed = self.open.is_some() && open.is_none();
        let confirmed = self.open.take().map(|o| o.confirmed).unwrap_or_default();
        self.open = open.map(|(version, examples)| Open { version, examples, confirmed });
        self.refused = refused;
        self.newest = newest;
        if closed {
            self.changed.clear();
        }
    }

    /// One more item of the product, of which nothing could be compared.
    pub fn matched(&mut self, rules: &Rules) {
        self.matched += 1;
        let oldest = self.matched.saturating_sub(rules.design_window as u64);
        while self.compared.front().is_some_and(|n| *n < oldest) {
            self.compared.pop_front();
        }
        while self.changed.front().is_some_and(|c| c.at < oldest) {
            self.changed.pop_front();
        }
    }

    /// An item that was compared.
    pub fn see(&mut self, product: &str, shelf: &Shelf, seen: &Seen, rules: &Rules) -> Result<Vec<Step>, MatchError> {
        self.matched(rules);
        self.alike = 0;
        self.compared.push_back(self.matched);
        let mut steps: Vec<Step> = self.fade(seen, rules).into_iter().collect();
        if seen.difference.score <= rules.changed_score {
            return Ok(steps);
        }
        let places = seen.print_like_changes()?;
        if places.is_empty() {
            return Ok(steps);
        }
        if let Some(open) = &mut self.open {
            steps.extend(open.confirm(product, seen, &places, rules)?);
            if matches!(steps.last(), Some(Step::UseDesign { .. })) {
                self.open = None;
                self.changed.clear();
            }
            return Ok(steps);
        }
        for refused in &self.refused {
            if refused.shows_the_same(product, seen.picture, seen.difference.map.data(), &places)?.is_some() {
                return Ok(steps);
            }
        }
        steps.extend(self.suspect(product, shelf, seen, places, rules)?);
        Ok(steps)
    }

    /// Counts who shows the same change, and opens a design change when they are enough. Each of two items must show in
    /// one of its own changed places what the other shows there: a place that only one of them has is an accident.
    fn suspect(
        &mut self,
        product: &str,
        shelf: &Shelf,
        seen: &Seen,
        places: Vec<Vec<bool>>,
        rules: &Rules,
    ) -> Result<Option<Step>, MatchError> {
        let (Some(like), Some(newest)) = (shelf.get(&seen.version), shelf.keys().next_back()) else { return Ok(None) };
        // Never a number that another design has had: its pictures are still in the store.
        let version = (*newest).max(self.newest) + 1;
        let was = seen.difference.map.data();
        let sample = Sample::of_seen(seen, version, product, like)?;
        let (mut same, mut turn) = (Vec::new(), 0.0f32);
        for (n, earlier) in self.changed.iter().enumerate() {
            let Some(turned) = earlier.sample.shows_the_same(product, seen.picture, was, &places)? else { continue };
            if sample.shows_the_same(product, &earlier.whole, &earlier.was, &earlier.places)?.is_some() {
                same.push(n);
                turn = turn.max(turned.abs());
            }
        }
        let items = same.len() + 1;
        self.alike = items;
        let share = items as f32 / self.compared.len().max(1) as f32;
        if items < rules.design_items || share < rules.design_share || turn < rules.design_turn_rad {
            if self.changed.len() >= KEPT.max(rules.design_items) {
                self.changed.pop_front();
            }
            self.changed.push_back(Changed { sample, whole: seen.picture.clone(), was: was.to_vec(), places, at: self.matched });
            return Ok(None);
        }
        let earlier = same.iter().filter_map(|n| self.changed.get(*n)).map(|c| c.sample.clone());
        let examples: Vec<Sample> = earlier.rev().take(EXAMPLES - 1).chain([sample]).collect();
        let kept = examples.iter().map(|s| (s.item.clone(), s.learned().clone())).collect();
        let reason = format!("{items} of the last {} compared items show the same change, none a sign of damage", self.compared.len());
        self.changed.clear();
        self.open = Some(Open { version, examples, confirmed: BTreeSet::new() });
        self.newest = version;
        Ok(Some(Step::OpenDesign { version, examples: kept, reason }))
    }

    /// The designs that this item is not, while it is clearly another one: the old one that no longer comes.
    fn fade(&mut self, seen: &Seen, rules: &Rules) -> Option<Step> {
        let fits = |score: &Option<f32>| score.is_some_and(|s| s <= rules.changed_score);
        let newest = seen.fits.iter().map(|(version, _)| *version).max()?;
        let fits_newest = seen.fits.iter().any(|(version, score)| *version == newest && fits(score));
        for (version, score) in seen.fits.iter().filter(|(version, _)| *version != newest) {
            // A face that both designs share says nothing.
            match (fits(score), fits_newest) {
                (true, false) => drop(self.unseen.insert(*version, 0)),
                (false, true) => *self.unseen.entry(*version).or_default() += 1,
                _ => {}
            }
        }
        let gone = self.unseen.iter().find(|(_, n)| rules.retire_after > 0 && **n >= rules.retire_after).map(|(version, n)| (*version, *n));
        gone.map(|(version, n)| {
            self.unseen.remove(&version);
            Step::RetireDesign { version, reason: format!("none among {n} items that show a newer design and not this one") }
        })
    }
}

impl Open {
    /// One more changed item: does it show the new design?
    fn confirm(&mut self, product: &str, seen: &Seen, places: &[Vec<bool>], rules: &Rules) -> Result<Option<Step>, MatchError> {
        for example in &self.examples {
            if example.item != seen.item && example.shows_the_same(product, seen.picture, seen.difference.map.data(), places)?.is_some() {
                self.confirmed.insert(seen.item.to_owned());
                break;
            }
        }
        let enough = rules.design_confirmations > 0 && self.confirmed.len() >= rules.design_confirmations;
        let reason = format!("{} further items show it", self.confirmed.len());
        Ok(enough.then_some(Step::UseDesign { version: self.version, reason }))
    }
}
