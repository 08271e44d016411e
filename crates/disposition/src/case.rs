//! The evidence of one item while it is being collected.

use std::{collections::BTreeMap, collections::BTreeSet, fmt, sync::Arc};

use crate::evidence::{Arrival, Evidence, Gallery, GalleryInput, Inspection};

/// One of the inputs of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Input {
    Arrival,
    Inspection,
    /// Of the item, or of one instance of a clutter.
    Gallery(Option<u16>),
}

/// Which inputs there were when a deadline ran out: the `detail` of a `DEADLINE_EXPIRED` event, from which a replay
/// reproduces the decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Had(BTreeSet<Input>);

impl fmt::Display for Had {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("had=")?;
        for (n, input) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            match input {
                Input::Arrival => f.write_str("arrival")?,
                Input::Inspection => f.write_str("inspection")?,
                Input::Gallery(None) => f.write_str("gallery")?,
                Input::Gallery(Some(k)) => write!(f, "gallery#{k}")?,
            }
        }
        Ok(())
    }
}

impl Had {
    /// Reads the `Display` form; `None` when the text is something else.
    pub fn parse(detail: &str) -> Option<Self> {
        let list = detail.trim().strip_prefix("had=")?;
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(parse_input).collect::<Option<BTreeSet<_>>>().map(Self)
    }
}

fn parse_input(name: &str) -> Option<Input> {
    match name {
        "arrival" => Some(Input::Arrival),
        "inspection" => Some(Input::Inspection),
        "gallery" => Some(Input::Gallery(None)),
        _ => Some(Input::Gallery(Some(name.strip_prefix("gallery#")?.parse().ok()?))),
    }
}

/// What is worth saying of a case once it is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseSummary {
    /// The item (not instance) id.
    pub item_id: String,
    /// Time ran out, now or in the recorded run.
    pub expired: bool,
    /// The inputs that the decision rests on.
    pub had: Had,
    /// When the case was opened, on the caller's clock.
    pub opened_ns: i64,
    /// When the inspection came, on the caller's clock.
    pub inspected_ns: Option<i64>,
}

/// Whether a second message for one input says the same as the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    First,
    Same,
    Different,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub item_id: String,
    pub opened_ns: i64,
    pub inspected_ns: Option<i64>,
    pub arrival: Option<Arc<Arrival>>,
    pub inspection: Option<Arc<Inspection>>,
    pub gallery: BTreeMap<Option<u16>, Arc<Gallery>>,
    pub recorded: Option<Had>,
    pub contradictory: bool,
    pub duplicate: bool,
}

impl Case {
    pub fn new(item_id: &str, now_ns: i64) -> Self {
        Self { item_id: item_id.to_owned(), opened_ns: now_ns, ..Self::default() }
    }

    pub fn add_inspection(&mut self, inspection: Inspection, now_ns: i64) -> Added {
        let added = add(&mut self.inspection, inspection);
        if added == Added::First {
            self.inspected_ns = Some(now_ns);
        }
        self.contradictory |= added == Added::Different;
        added
    }

    pub fn add_gallery(&mut self, instance: Option<u16>, report: Gallery) -> Added {
        let mut slot = self.gallery.remove(&instance);
        let added = add(&mut slot, report);
        if let Some(report) = slot {
            self.gallery.insert(instance, report);
        }
        self.contradictory |= added == Added::Different;
        added
    }

    /// When the case is decided at the latest.
    pub fn deadline_ns(&self, frame_wait_ns: i64, deadline_ns: i64) -> i64 {
        let for_all = self.opened_ns.saturating_add(frame_wait_ns).saturating_add(deadline_ns);
        let for_gallery = self.inspected_ns.map(|t| t.saturating_add(deadline_ns));
        for_gallery.map_or(for_all, |t| t.min(for_all))
    }

    /// Nothing more is expected: either everything that this item needs is there, or, when a recorded run is
    /// replayed whose deadline ran out, everything that was there then.
    pub fn is_complete(&self, require_gallery: bool) -> bool {
        let inputs = self.inputs();
        match &self.recorded {
            Some(Had(recorded)) => recorded.is_subset(&inputs),
            None => {
                let expected = self.expected_reports(require_gallery);
                self.arrival.is_some() && self.inspection.is_some() && expected.iter().all(|instance| self.gallery.contains_key(instance))
            }
        }
    }

    /// The instances that are decided one by one; `[None]` when the item is decided as a whole.
    fn subjects(&self) -> Vec<Option<u16>> {
        let clutter = self.arrival.as_deref().is_some_and(|a| a.clutter);
        let found = self.inspection.as_deref().filter(|i| i.ok && clutter);
        let mut ids: Vec<u16> = found.map(|i| i.instances.iter().map(|x| x.instance_id).collect()).unwrap_or_default();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() { vec![None] } else { ids.into_iter().map(Some).collect() }
    }

    /// The reports to wait for. None when there is nothing that could be compared: then the decision must not
    /// depend on whether the gallery says so or stays silent.
    fn expected_reports(&self, require_gallery: bool) -> Vec<Option<u16>> {
        let Some(inspection) = self.inspection.as_deref().filter(|i| i.ok && require_gallery) else {
            return Vec::new();
        };
        let subjects = self.subjects();
        let comparable = subjects != [None] || inspection.instances.len() == 1;
        if comparable { subjects } else { Vec::new() }
    }

    /// Perception has spoken, and there is nothing that the gallery could compare.
    pub fn needs_no_gallery(&self) -> bool {
        self.inspection.is_some() && self.expected_reports(true).is_empty()
    }

    fn inputs(&self) -> BTreeSet<Input> {
        let arrival = self.arrival.is_some().then_some(Input::Arrival);
        let inspection = self.inspection.is_some().then_some(Input::Inspection);
        let reports = self.gallery.keys().map(|instance| Input::Gallery(*instance));
        arrival.into_iter().chain(inspection).chain(reports).collect()
    }

    /// Ends the case: the evidence of each of its subjects, in the order of instance ids.
    pub fn close(mut self, require_gallery: bool, expired: bool) -> (Vec<Evidence>, CaseSummary) {
        let expired = expired || self.recorded.is_some();
        if let Some(Had(recorded)) = self.recorded.take() {
            self.forget_all_but(&recorded);
        }
        let expected = self.expected_reports(require_gallery);
        let summary = CaseSummary {
            item_id: self.item_id.clone(),
            expired,
            had: Had(self.inputs()),
            opened_ns: self.opened_ns,
            inspected_ns: self.inspected_ns,
        };
        let no_inspection = self.inspection.is_none();
        let evidence = self.subjects().into_iter().map(|instance_id| Evidence {
            item_id: instance_id.map_or_else(|| self.item_id.clone(), |k| format!("{}#{k}", self.item_id)),
            arrival: self.arrival.clone(),
            inspection: self.inspection.clone(),
            instance_id,
            gallery: match self.gallery.get(&instance_id) {
                Some(report) if expected.contains(&instance_id) => GalleryInput::Report(report.clone()),
                _ if expected.contains(&instance_id) || (no_inspection && require_gallery) => GalleryInput::Missing,
                _ => GalleryInput::NotNeeded,
            },
            deadline_expired: expired,
            duplicate: self.duplicate,
            contradictory: self.contradictory,
            transform_missing: false,
        });
        (evidence.collect(), summary)
    }

    fn forget_all_but(&mut self, recorded: &BTreeSet<Input>) {
        self.arrival = self.arrival.take().filter(|_| recorded.contains(&Input::Arrival));
        self.inspection = self.inspection.take().filter(|_| recorded.contains(&Input::Inspection));
        self.gallery.retain(|instance, _| recorded.contains(&Input::Gallery(*instance)));
    }
}

fn add<T: PartialEq>(slot: &mut Option<Arc<T>>, value: T) -> Added {
    match slot {
        None => {
            *slot = Some(Arc::new(value));
            Added::First
        }
        Some(first) if **first == value => Added::Same,
        Some(_) => Added::Different,
    }
}
