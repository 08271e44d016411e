//! All items that are being decided, and the memory of those that were.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::{
    case::{Added, Case, CaseSummary, Had},
    evidence::{Arrival, Evidence, Gallery, GalleryInput, Inspection},
};

/// How long to wait, for what, and how much to remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeskConfig {
    /// From the inspection (or the end of `frame_wait_ns`) to the decision.
    pub deadline_ns: i64,
    /// How long after an arrival its frame may take.
    pub frame_wait_ns: i64,
    /// False: the cell has no gallery, reports are not waited for and not used.
    pub require_gallery: bool,
    /// Items open at once; the oldest is decided when there would be more.
    pub max_open: usize,
    /// Decided ids that are remembered, to recognise late and duplicate messages.
    pub max_remembered: usize,
}

impl Default for DeskConfig {
    fn default() -> Self {
        Self { deadline_ns: 1_000_000_000, frame_wait_ns: 2_000_000_000, require_gallery: true, max_open: 1024, max_remembered: 100_000 }
    }
}

/// A message that was not used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// As it stood in the message.
    pub item_id: String,
    /// One sentence.
    pub why: String,
}

/// What the caller has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Decide these subjects: one, or one per instance of a clutter.
    Decide(Vec<Evidence>, CaseSummary),
    /// Report this message as refused.
    Refuse(Refusal),
}

/// How often something unusual happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Arrivals of an id that was already there.
    pub duplicate_arrivals: u64,
    /// Reports after the decision.
    pub late: u64,
    /// The same report again.
    pub repeated: u64,
    /// A second, different report.
    pub contradictory: u64,
    /// Gallery reports of an item that nobody announced.
    pub orphans: u64,
    /// Items whose deadline ran out.
    pub expired: u64,
}

/// What is remembered of a decided id.
#[derive(Clone, Copy, Debug)]
struct Decided {
    /// Its arrival has come.
    announced: bool,
    /// The gallery had nothing to compare, so nobody waited for its report; that it still comes is as it should be.
    without_gallery: bool,
}

/// Collects evidence and yields every item exactly once.
///
/// Time passes by [`Desk::tick`] alone, which the caller calls before it hands in a live message, so that a message
/// after the deadline is late whatever the order of threads. Time never decreases in live operation (a steady clock);
/// when it does in a replay (a bag that starts anew), the open items are decided as contradictory rather than left
/// waiting for a time that may not come.
#[derive(Debug)]
pub struct Desk {
    config: DeskConfig,
    now_ns: i64,
    open: BTreeMap<String, Case>,
    /// Of items that nobody has announced yet, as they came: two of one item may contradict each other.
    early_reports: Vec<(Gallery, i64)>,
    recorded: BTreeMap<String, Had>,
    decided: HashMap<String, Decided>,
    decided_order: VecDeque<String>,
    counters: Counters,
}

impl Desk {
    /// An empty desk.
    pub fn new(config: DeskConfig) -> Self {
        Self {
            config,
            now_ns: i64::MIN,
            open: BTreeMap::new(),
            early_reports: Vec::new(),
            recorded: BTreeMap::new(),
            decided: HashMap::new(),
            decided_order: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Changes the waiting times of items that are open and to come.
    pub fn set_config(&mut self, config: DeskConfig) {
        self.config = config;
    }

    /// How often something unusual happened.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Number of undecided items.
    pub fn open_items(&self) -> usize {
        self.open.len()
    }

    /// When [`Desk::tick`] has something to do next.
    pub fn next_deadline_ns(&self) -> Option<i64> {
        self.open.values().map(|case| self.deadline_of(case)).min()
    }

    /// Time passes: decides what has waited long enough.
    pub fn tick(&mut self, now_ns: i64) -> Vec<Step> {
        if now_ns < self.now_ns {
            self.now_ns = now_ns;
            self.early_reports.clear();
            return self.expire(|_, case| {
                case.contradictory = true;
                true
            });
        }
        self.now_ns = now_ns;
        let wait_ns = self.config.frame_wait_ns.saturating_add(self.config.deadline_ns);
        let before = self.early_reports.len();
        self.early_reports.retain(|(_, received_ns)| now_ns < received_ns.saturating_add(wait_ns));
        self.counters.orphans += (before - self.early_reports.len()) as u64;
        let config = self.config;
        self.expire(|_, case| now_ns >= case.deadline_ns(config.frame_wait_ns, config.deadline_ns))
    }

    /// An item is announced.
    pub fn arrival(&mut self, arrival: Arrival, now_ns: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        if arrival.item_id.is_empty() {
            steps.push(refuse("", "an arrival without item id cannot be decided: give each item an id"));
        } else if let Some(Decided { announced: announced @ false, .. }) = self.decided.get_mut(&arrival.item_id) {
            *announced = true;
            self.counters.late += 1;
            steps.push(refuse(&arrival.item_id, "an arrival after the decision"));
        } else if self.decided.contains_key(&arrival.item_id) {
            self.counters.duplicate_arrivals += 1;
            steps.push(duplicate_of_decided(arrival, now_ns));
        } else {
            let id = arrival.item_id.clone();
            let case = self.case(&id, now_ns);
            if case.arrival.is_some() {
                case.duplicate = true;
                self.counters.duplicate_arrivals += 1;
                steps.push(refuse(&id, "a second arrival with this item id while the first is undecided"));
            } else {
                case.arrival = Some(Arc::new(arrival));
            }
            steps.extend(self.settle(&id));
        }
        steps
    }

    /// Perception has judged an item.
    pub fn inspection(&mut self, inspection: Inspection, now_ns: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        let id = inspection.item_id.clone();
        if id.is_empty() {
            steps.push(refuse("", "an inspection without item id"));
        } else if self.decided.contains_key(&id) {
            self.counters.late += 1;
            steps.push(refuse(&id, "an inspection after the decision"));
        } else {
            let added = self.case(&id, now_ns).add_inspection(inspection, now_ns);
            steps.extend(self.count(added, &id, "inspection"));
            steps.extend(self.settle(&id));
        }
        steps
    }

    /// The gallery has compared an item, or an instance `<item>#<k>` of a clutter.
    pub fn gallery(&mut self, report: Gallery, now_ns: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.config.require_gallery {
            return steps;
        }
        let id = report.item_id.clone();
        if let Some((item_id, instance)) = route(&id, |candidate| self.open.contains_key(candidate)) {
            let added = self.case(&item_id, now_ns).add_gallery(instance, report);
            steps.extend(self.count(added, &id, "gallery report"));
            steps.extend(self.settle(&item_id));
        } else if let Some((item_id, _)) = route(&id, |candidate| self.decided.contains_key(candidate)) {
            if !self.decided.get(&item_id).is_some_and(|item| item.without_gallery) {
                self.counters.late += 1;
                steps.push(refuse(&id, "a gallery report after the decision"));
            }
        } else if id.is_empty() || self.early_reports.len() >= self.config.max_open {
            self.counters.orphans += 1;
            steps.push(refuse(&id, "a gallery report of an item that nobody announced"));
        } else {
            self.early_reports.push((report, now_ns));
        }
        steps
    }

    /// A recorded run is replayed in which this item's deadline ran out with these inputs.
    pub fn recorded_deadline(&mut self, item_id: &str, had: Had) -> Vec<Step> {
        if self.decided.contains_key(item_id) {
            self.counters.late += 1;
            return vec![refuse(item_id, "a recorded deadline after the decision")];
        }
        match self.open.get_mut(item_id) {
            Some(case) => {
                case.recorded = Some(had);
                self.settle(item_id)
            }
            None => {
                if self.recorded.len() < self.config.max_remembered {
                    self.recorded.insert(item_id.to_owned(), had);
                }
                Vec::new()
            }
        }
    }

    /// The open case of an id; a new one takes what came early.
    fn case(&mut self, id: &str, now_ns: i64) -> &mut Case {
        if !self.open.contains_key(id) {
            let mut case = Case::new(id, now_ns);
            case.recorded = self.recorded.remove(id);
            for (report, received_ns) in std::mem::take(&mut self.early_reports) {
                match route(&report.item_id, |candidate| candidate == id) {
                    Some((_, instance)) => match case.add_gallery(instance, report) {
                        Added::First => {}
                        Added::Same => self.counters.repeated += 1,
                        Added::Different => self.counters.contradictory += 1,
                    },
                    None => self.early_reports.push((report, received_ns)),
                }
            }
            self.open.insert(id.to_owned(), case);
        }
        self.open.entry(id.to_owned()).or_default()
    }

    fn deadline_of(&self, case: &Case) -> i64 {
        case.deadline_ns(self.config.frame_wait_ns, self.config.deadline_ns)
    }

    /// Decides the case when it is complete, and the oldest one when there are too many.
    fn settle(&mut self, id: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.open.get(id).is_some_and(|case| case.is_complete(self.config.require_gallery)) {
            steps.extend(self.close(id, false));
        }
        if self.open.len() > self.config.max_open {
            let oldest = self.open.values().min_by_key(|case| case.opened_ns).map(|case| case.item_id.clone());
            steps.extend(oldest.and_then(|oldest| self.close(&oldest, true)));
        }
        steps
    }

    fn expire(&mut self, mut is_over: impl FnMut(&str, &mut Case) -> bool) -> Vec<Step> {
        let mut over: Vec<(i64, String)> = Vec::new();
        for (id, case) in &mut self.open {
            if is_over(id, case) {
                over.push((case.opened_ns, id.clone()));
            }
        }
        over.sort();
        over.into_iter().filter_map(|(_, id)| self.close(&id, true)).collect()
    }

    fn close(&mut self, id: &str, expired: bool) -> Option<Step> {
        let case = self.open.remove(id)?;
        let without_gallery = !expired && case.needs_no_gallery();
        self.decided.insert(id.to_owned(), Decided { announced: case.arrival.is_some(), without_gallery });
        let (evidence, summary) = case.close(self.config.require_gallery, expired);
        self.counters.expired += u64::from(summary.expired);
        self.decided_order.push_back(id.to_owned());
        if self.decided_order.len() > self.config.max_remembered
            && let Some(forgotten) = self.decided_order.pop_front()
        {
            self.decided.remove(&forgotten);
        }
        Some(Step::Decide(evidence, summary))
    }

    fn count(&mut self, added: Added, id: &str, what: &str) -> Option<Step> {
        match added {
            Added::First => None,
            Added::Same => {
                self.counters.repeated += 1;
                None
            }
            Added::Different => {
                self.counters.contradictory += 1;
                Some(refuse(id, &format!("a second, different {what} of the same item")))
            }
        }
    }
}

fn refuse(item_id: &str, why: &str) -> Step {
    Step::Refuse(Refusal { item_id: item_id.to_owned(), why: why.to_owned() })
}

/// The known item that an id means: itself, or as instance `k` the item of `<item>#<k>`.
fn route(id: &str, known: impl Fn(&str) -> bool) -> Option<(String, Option<u16>)> {
    if known(id) {
        return Some((id.to_owned(), None));
    }
    let (item, k) = id.rsplit_once('#')?;
    let instance = k.parse().ok()?;
    known(item).then(|| (item.to_owned(), Some(instance)))
}

/// A second physical item with an id that was decided before: it needs a disposition too, and nothing that is known
/// under this id can be trusted to mean it.
fn duplicate_of_decided(arrival: Arrival, now_ns: i64) -> Step {
    let case =
        Case { item_id: arrival.item_id.clone(), opened_ns: now_ns, arrival: Some(Arc::new(arrival)), duplicate: true, ..Case::default() };
    let (mut evidence, summary) = case.close(false, false);
    for subject in &mut evidence {
        subject.gallery = GalleryInput::NotNeeded;
    }
    Step::Decide(evidence, summary)
}
