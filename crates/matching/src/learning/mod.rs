//! A gallery that stays alive, and is hard to poison. Values in, values out: which item may become a reference, and which
//! change is a new design. Whoever keeps the gallery carries out the [`Step`]s.
//!
//! ```text
//! Sighting ─▶ Learner::see ─▶ Lesson { steps, screened }
//!               │  fits its references everywhere  ─▶ proposal: waits in quarantine until other items agree
//!               └─ differs, no sign of damage      ─▶ design watch: the same change on many items is a new design
//! ```
//!
//! What keeps a damaged item out, however many come with the same crushed corner:
//!
//! 1. *Agreement with one another is never enough.* A proposal must agree with the **pristine** references, which people
//!    enrolled or confirmed, wherever it can be compared. What was learned does not vouch for what is to be learned, so
//!    that nothing drifts.
//! 2. *What was not compared is not learned.* Only the compared part of the picture becomes the reference; damage on a
//!    face that no reference shows stays outside, and so does everything near the outline, where packages give way first.
//! 3. *Perception has to see nothing.* A proposal needs a damage score of a tenth of the threshold at most.
//! 4. *Others have to see the same.* Several independent items must agree with the proposal, and few may contradict it. They
//!    fit the pristine references themselves, and perception doubts them no more than three of four that come.
//!
//! What separates a new print from the same damage many times, which both show as the same change on many items: damage
//! raises perception's score and its map lies where the change is; it sits at the outline (corners and edges give way
//! first), print reaches far inside; and under fixed lamps the shade of a dent stays with the lamp while print turns with
//! the item, so that items in different turns agree about print and not about dents. All three must speak for print. Even
//! then the new design only waits beside the old one.

mod design;
mod picture;
mod proposals;
mod usual;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::{Cutout, Gallery, Item, MatchError};
use design::Watch;
pub use picture::Sample;
use picture::Seen;
use proposals::Quarantine;
use usual::Usual;

/// Items remembered a product, so that none counts twice.
const REMEMBERED: usize = 256;

/// When something is learned. Scores are those of `compare`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Identity score that a matched item needs, [0, 1].
    pub min_identity: f32,
    /// Part of an item that must have been compared, [0, 1].
    pub min_coverage: f32,
    /// A proposal differs by no more than this from its pristine references.
    pub max_score: f32,
    /// A proposal's damage score may reach this share of perception's threshold …
    pub damage_share: f32,
    /// … and, where the scorer gives higher ones to what comes anyway, the middle of its scores of late, up to this share. Who only votes
    /// may have what three of four have, up to this share.
    pub usual_share: f32,
    /// Two proposals agree when they differ by no more than this …
    pub agree_score: f32,
    /// … and contradict each other above this.
    pub contradict_score: f32,
    /// Independent items that must agree with a proposal; 0: only a person can confirm.
    pub sightings: usize,
    /// Proposals that wait, a product and design.
    pub max_waiting: usize,
    /// References that are learned, a product and design.
    pub max_learned: usize,
    /// Above it an item is changed, and the design watch looks at it.
    pub changed_score: f32,
    /// Items that must show the same change before it is a new design.
    pub design_items: usize,
    /// … within so many matched items of the product.
    pub design_window: usize,
    /// … and they must be at least this share of those that could be compared, [0, 1].
    pub design_share: f32,
    /// … in turns that differ by at least this, radians. 0 where goods come all one way: dents then count like print.
    pub design_turn_rad: f32,
    /// Further items that must show it before the new design is used without a person; 0: only a person can confirm.
    pub design_confirmations: usize,
    /// Matched items in a row, none of the old design, after which that one is retired; 0: never.
    pub retire_after: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            min_identity: 0.6,
            min_coverage: 0.4,
            max_score: 0.1,
            damage_share: 0.1,
            usual_share: 0.5,
            agree_score: 0.35,
            contradict_score: 0.6,
            sightings: 2,
            max_waiting: 16,
            max_learned: 8,
            changed_score: crate::ANOMALY_THRESHOLD,
            design_items: 6,
            design_window: 30,
            design_share: 0.3,
            design_turn_rad: 0.35,
            design_confirmations: 20,
            retire_after: 200,
        }
    }
}

/// What perception says of the item.
#[derive(Clone, Copy, Debug)]
pub struct Damage<'a> {
    /// Damage score, [0, 1].
    pub score: f32,
    /// Above it the item is damaged.
    pub threshold: f32,
    /// Who says so: scores of different scorers are not compared.
    pub model: &'a str,
    /// Perception's map, a value a pixel of the item's cutout; empty when there is none.
    pub map: &'a [f32],
}

/// One item that was recognised.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// The item's id.
    pub item: &'a str,
    /// Which picture shows it: camera and stamp.
    pub capture: &'a str,
    /// Certainty of the product, [0, 1].
    pub identity: f32,
    /// Its picture, prepared with the gallery's options.
    pub picture: &'a Item,
    /// What else speaks against learning from it: a barcode that disagrees, a poor picture.
    pub doubt: Option<&'static str>,
    /// Perception's verdict.
    pub damage: Damage<'a>,
}

/// The pristine references of one product by design version: enrolled or confirmed by people, in use, nothing learned.
pub type Shelf = BTreeMap<u32, Gallery>;

/// What is to be done in the gallery.
#[derive(Clone, Debug)]
pub enum Step {
    /// Keep this picture in quarantine, under the item's id.
    Propose {
        /// The proposal: the item that it shows.
        item: String,
        /// The compared part of its picture.
        cutout: Cutout,
        /// The design that it shows.
        version: u32,
    },
    /// Another item agrees with a proposal.
    Agree {
        /// The proposal.
        proposal: String,
        /// Who agrees.
        item: String,
    },
    /// Use the proposal from now on.
    Promote {
        /// The proposal.
        proposal: String,
    },
    /// The proposal will never be used; one sentence says why.
    Reject {
        /// The proposal.
        proposal: String,
        /// Why.
        reason: String,
    },
    /// A new design: keep its pictures in quarantine, and hold sidelining by anomaly alone.
    OpenDesign {
        /// The new version.
        version: u32,
        /// Items that show it, and their pictures.
        examples: Vec<(String, Cutout)>,
        /// One sentence.
        reason: String,
    },
    /// The new design was seen often enough: use its pictures beside the old ones; the change is no longer open.
    UseDesign {
        /// The version.
        version: u32,
        /// One sentence.
        reason: String,
    },
    /// A design no longer comes.
    RetireDesign {
        /// The version.
        version: u32,
        /// One sentence.
        reason: String,
    },
}

/// Why an item is no proposal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Screened {
    /// The same item, or the same picture, was seen before.
    SeenBefore,
    /// Something else speaks against it.
    Doubted(&'static str),
    /// The product is not certain enough.
    Unsure(f32),
    /// No pristine reference could be laid over enough of it.
    Uncompared(f32),
    /// Perception's damage score, and the most that a proposal may have.
    Damaged(f32, f32),
    /// It differs from the pristine references.
    Differs(f32),
    /// It differs, in one place only.
    DiffersInPlace(f32),
    /// Enough is learned, or enough waits already.
    Enough,
}

impl fmt::Display for Screened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SeenBefore => f.write_str("this item or picture was seen before"),
            Self::Doubted(why) => f.write_str(why),
            Self::Unsure(score) => write!(f, "its product is not certain enough: {score:.2}"),
            Self::Uncompared(coverage) => write!(f, "too little of it could be compared: {coverage:.2}"),
            Self::Damaged(score, most) => write!(f, "perception sees damage: {score:.2}, a proposal may have {most:.2}"),
            Self::Differs(score) => write!(f, "it differs from the pristine references: {score:.2}"),
            Self::DiffersInPlace(score) => write!(f, "one place differs from the pristine references: {score:.2}"),
            Self::Enough => f.write_str("enough is learned of this product, or waits already"),
        }
    }
}

/// What one sighting led to.
#[derive(Clone, Debug, Default)]
pub struct Lesson {
    /// In this order.
    pub steps: Vec<Step>,
    /// Why the item itself is no proposal; `None` when it is one.
    pub screened: Option<Screened>,
    /// Items in the window that show the same change without a sign of damage, this one among them; 0: it is not changed so.
    pub alike: usize,
}

/// What is known of one product beyond its references.
#[derive(Debug, Default)]
struct Memory {
    items: VecDeque<String>,
    captures: VecDeque<String>,
    quarantine: Quarantine,
    watch: Watch,
}

/// Learns, product by product.
#[derive(Debug)]
pub struct Learner {
    rules: Rules,
    products: BTreeMap<String, Memory>,
    usual: Usual,
}

impl Learner {
    /// Knows nothing yet; [`Learner::restore`] tells it what waits in quarantine.
    pub fn new(rules: Rules) -> Self {
        Self { rules, products: BTreeMap::new(), usual: Usual::default() }
    }

    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Other rules, from now on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Proposals that wait.
    pub fn waiting(&self) -> usize {
        self.products.values().map(|m| m.quarantine.waiting()).sum()
    }

    /// Whether a new design of `product` is suspected and not yet settled.
    pub fn has_open_design(&self, product: &str) -> bool {
        self.products.get(product).is_some_and(|m| m.watch.open_version().is_some())
    }

    /// Products with an open design change.
    pub fn open_designs(&self) -> Vec<(&str, u32)> {
        self.products.iter().filter_map(|(name, m)| Some((name.as_str(), m.watch.open_version()?))).collect()
    }

    /// Tells what a store has of a product: replaces what was known of its quarantine and open design.
    pub fn restore(&mut self, product: &str, kept: Restored) {
        let memory = self.products.entry(product.to_owned()).or_default();
        memory.quarantine = std::mem::take(&mut memory.quarantine).restored(kept.proposals, kept.learned);
        memory.watch.restore(kept.open, kept.refused, kept.newest);
    }

    /// One item of `product`, beside the pristine references on `shelf`.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn see(&mut self, product: &str, shelf: &Shelf, sighting: &Sighting) -> Result<Lesson, MatchError> {
        let memory = self.products.entry(product.to_owned()).or_default();
        let screened = |why| Ok(Lesson { screened: Some(why), ..Lesson::default() });
        if !memory.is_new(sighting) {
            return screened(Screened::SeenBefore);
        }
        let most_damage = self.usual.most(&sighting.damage, &self.rules, usual::MIDDLE);
        let most_of_a_vote = self.usual.most(&sighting.damage, &self.rules, usual::COMMON);
        self.usual.note(&sighting.damage);
        if let Some(why) = sighting.doubt {
            return screened(Screened::Doubted(why));
        }
        if sighting.identity < self.rules.min_identity {
            return screened(Screened::Unsure(sighting.identity));
        }
        let Some(seen) = Seen::of(product, shelf, sighting)? else {
            memory.watch.matched(&self.rules);
            return screened(Screened::Uncompared(0.0));
        };
        if seen.difference.coverage < self.rules.min_coverage {
            memory.watch.matched(&self.rules);
            return screened(Screened::Uncompared(seen.difference.coverage));
        }
        let mut lesson = Lesson::default();
        lesson.steps.extend(memory.watch.see(product, shelf, &seen, &self.rules)?);
        lesson.alike = memory.watch.alike;
        lesson.screened = seen.screened(most_damage, &self.rules);
        if lesson.screened.is_none() {
            let (steps, why) = memory.quarantine.see(product, shelf, &seen, &self.rules)?;
            lesson.steps.extend(steps);
            lesson.screened = why;
        } else if seen.screened(most_of_a_vote, &self.rules).is_none() {
            // Too doubtful to be learned, not to speak of those that wait: half of all whole items are.
            lesson.steps.extend(memory.quarantine.hear(product, shelf, &seen, &self.rules)?);
        }
        Ok(lesson)
    }
}

/// What a store keeps of one product's learning.
#[derive(Debug, Default)]
pub struct Restored {
    /// What waits in quarantine, with the items that agreed so far.
    pub proposals: Vec<(Sample, Vec<String>)>,
    /// References in use that were learned, by design.
    pub learned: BTreeMap<u32, usize>,
    /// The newest design that the store has ever had, whatever became of it: its number is not given again.
    pub newest: u32,
    /// The open design change, its examples, and the items that confirmed it so far.
    pub open: Option<(u32, Vec<Sample>)>,
    /// Examples of designs that a person refused.
    pub refused: Vec<Sample>,
}

impl Memory {
    /// True once for each item and each capture.
    fn is_new(&mut self, sighting: &Sighting) -> bool {
        if self.items.iter().any(|i| i == sighting.item) || self.captures.iter().any(|c| c == sighting.capture) {
            return false;
        }
        for (ring, value) in [(&mut self.items, sighting.item), (&mut self.captures, sighting.capture)] {
            if ring.len() >= REMEMBERED {
                ring.pop_front();
            }
            ring.push_back(value.to_owned());
        }
        true
    }
}
