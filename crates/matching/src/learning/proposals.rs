//! What waits to become a reference.

use std::collections::{BTreeMap, BTreeSet};

use super::picture::{Sample, Seen};
use super::{Rules, Screened, Shelf, Step};
use crate::MatchError;

/// So many items that contradict a proposal, and more than agree with it, reject it.
const CONTRADICTIONS: usize = 3;
/// Votes on a proposal that are heard, or four times those that it needs; more say nothing new, and each takes a comparison.
const HEARD: usize = 16;
/// A proposal is used only when at least this many agree for each that contradicts.
const AGREEING_FOR_EACH: usize = 2;

#[derive(Debug)]
struct Proposal {
    sample: Sample,
    agreeing: BTreeSet<String>,
    contradicting: BTreeSet<String>,
}

/// The proposals that an item agrees with, and those that it contradicts.
#[derive(Debug, Default)]
struct Votes {
    agreeing: BTreeSet<String>,
    contradicting: BTreeSet<String>,
}

/// The proposals of one product.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    waiting: Vec<Proposal>,
    /// References in use that were learned, by design.
    learned: BTreeMap<u32, usize>,
}

impl Quarantine {
    /// As the store has it. Contradictions are in no store: those of proposals that still wait are kept.
    pub fn restored(self, proposals: Vec<(Sample, Vec<String>)>, learned: BTreeMap<u32, usize>) -> Self {
        let mut known: BTreeMap<String, BTreeSet<String>> = self.waiting.into_iter().map(|p| (p.sample.item, p.contradicting)).collect();
        let waiting = proposals.into_iter().map(|(sample, agreeing)| Proposal {
            contradicting: known.remove(&sample.item).unwrap_or_default(),
            sample,
            agreeing: agreeing.into_iter().collect(),
        });
        Self { waiting: waiting.collect(), learned }
    }

    /// References of a design that were learned.
    fn learned(&self, version: u32) -> usize {
        self.learned.get(&version).copied().unwrap_or(0)
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// An item that passed the screening: it votes on what waits, and becomes a proposal itself.
    pub fn see(&mut self, product: &str, shelf: &Shelf, seen: &Seen, rules: &Rules) -> Result<(Vec<Step>, Option<Screened>), MatchError> {
        let Some((mut steps, votes)) = self.vote(product, seen, rules)? else {
            return Ok((Vec::new(), Some(Screened::SeenBefore)));
        };
        let screened = self.propose(product, shelf, seen, rules, votes, &mut steps)?;
        self.settle(product, shelf, rules, &mut steps)?;
        Ok((steps, screened))
    }

    /// An item that votes only.
    pub fn hear(&mut self, product: &str, shelf: &Shelf, seen: &Seen, rules: &Rules) -> Result<Vec<Step>, MatchError> {
        let Some((mut steps, _)) = self.vote(product, seen, rules)? else { return Ok(Vec::new()) };
        self.settle(product, shelf, rules, &mut steps)?;
        Ok(steps)
    }

    /// What the item says of those that wait; `None` when it has been heard before.
    fn vote(&mut self, product: &str, seen: &Seen, rules: &Rules) -> Result<Option<(Vec<Step>, Votes)>, MatchError> {
        // The item's id counts across restarts, when the learner's own memory of it is gone.
        if self.waiting.iter().any(|p| p.sample.item == seen.item || p.agreeing.contains(seen.item)) {
            return Ok(None);
        }
        let (mut steps, mut votes) = (Vec::new(), Votes::default());
        let enough = HEARD.max(4 * rules.sightings);
        let is_open = |p: &&mut Proposal| p.sample.version == seen.version && p.agreeing.len() + p.contradicting.len() < enough;
        for proposal in self.waiting.iter_mut().filter(is_open) {
            let Some(d) = proposal.sample.compare(product, seen.picture)? else { continue };
            if d.coverage >= rules.min_coverage && d.score <= rules.agree_score {
                proposal.agreeing.insert(seen.item.to_owned());
                votes.agreeing.insert(proposal.sample.item.clone());
                steps.push(Step::Agree { proposal: proposal.sample.item.clone(), item: seen.item.to_owned() });
            } else if d.coverage >= rules.min_coverage && d.score > rules.contradict_score {
                proposal.contradicting.insert(seen.item.to_owned());
                votes.contradicting.insert(proposal.sample.item.clone());
            }
        }
        Ok(Some((steps, votes)))
    }

    fn propose(
        &mut self,
        product: &str,
        shelf: &Shelf,
        seen: &Seen,
        rules: &Rules,
        votes: Votes,
        steps: &mut Vec<Step>,
    ) -> Result<Option<Screened>, MatchError> {
        // An old design that has learned enough must not keep a new one from it.
        let waiting = self.waiting.iter().filter(|p| p.sample.version == seen.version).count();
        let has_room = self.learned(seen.version) < rules.max_learned && waiting < rules.max_waiting;
        let Some(like) = shelf.get(&seen.version).filter(|_| has_room) else {
            return Ok(Some(Screened::Enough));
        };
        let sample = Sample::of_seen(seen, seen.version, product, like)?;
        steps.push(Step::Propose { item: seen.item.to_owned(), cutout: sample.learned().clone(), version: seen.version });
        let Votes { agreeing, contradicting } = votes;
        steps.extend(agreeing.iter().map(|item| Step::Agree { proposal: seen.item.to_owned(), item: item.clone() }));
        self.waiting.push(Proposal { sample, agreeing, contradicting });
        Ok(None)
    }

    /// Promotes what enough others agree with, rejects what they contradict.
    fn settle(&mut self, product: &str, shelf: &Shelf, rules: &Rules, steps: &mut Vec<Step>) -> Result<(), MatchError> {
        let mut waiting = Vec::with_capacity(self.waiting.len());
        for proposal in std::mem::take(&mut self.waiting) {
            let (agree, contradict) = (proposal.agreeing.len(), proposal.contradicting.len());
            let name = proposal.sample.item.clone();
            if contradict >= CONTRADICTIONS && contradict > agree {
                steps.push(Step::Reject { proposal: name, reason: format!("{contradict} other items contradict it, {agree} agree") });
            } else if rules.sightings == 0
                || agree < rules.sightings
                || agree < AGREEING_FOR_EACH * contradict
                || self.learned(proposal.sample.version) >= rules.max_learned
            {
                waiting.push(proposal);
            } else if let Some(reason) = disagrees(product, shelf, &proposal.sample, rules)? {
                steps.push(Step::Reject { proposal: name, reason });
            } else {
                *self.learned.entry(proposal.sample.version).or_default() += 1;
                steps.push(Step::Promote { proposal: name });
            }
        }
        self.waiting = waiting;
        Ok(())
    }
}

/// Why a proposal no longer fits the pristine references, which may be others by now than when it was made.
fn disagrees(product: &str, shelf: &Shelf, sample: &Sample, rules: &Rules) -> Result<Option<String>, MatchError> {
    let Some(gallery) = shelf.get(&sample.version) else {
        return Ok(Some(format!("design {} is no longer in use", sample.version)));
    };
    Ok(match gallery.compare(sample.prepared(), product)? {
        None => Some("no pristine reference can be laid over it any more".into()),
        Some(d) if d.score > rules.contradict_score => Some(format!("it differs from the pristine references: {:.2}", d.score)),
        Some(_) => None,
    })
}
