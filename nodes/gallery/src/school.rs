//! What the gallery learns from the items that pass by: `matching::learning` decides, the store keeps.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use matching::learning::{Learner, Lesson, Restored, Rules, Sample, Shelf, Sighting, Step};
use matching::{Cutout, Gallery, GalleryOptions};
use references::{Act, NewReference, Origin, Proposal, ReferenceRecord, State, Store, StoreError};

use crate::catalogue::Catalogue;

/// What the words begin with when this item opened a design change.
pub(crate) const NEW_DESIGN: &str = "new design suspected: ";
/// Who writes the history.
const ACTOR: &str = "gallery node";

/// Learns from items; all of it happens on the thread that judges.
pub(crate) struct School {
    learner: Learner,
    /// Names of proposals in the store, by product and item.
    names: HashMap<(String, String), String>,
    /// Pristine references of a product, for the gallery of that version.
    shelves: HashMap<String, (String, Shelf)>,
    /// The catalogue's number of reloads when the learner was last told what is kept; `None`: it does not know what is kept.
    told: Option<u64>,
}

impl School {
    /// Takes up what waits in the store.
    pub fn open(catalogue: &Catalogue, rules: Rules) -> Result<Self, StoreError> {
        let mut school = Self { learner: Learner::new(rules), names: HashMap::new(), shelves: HashMap::new(), told: None };
        school.restore(catalogue)?;
        Ok(school)
    }

    /// Rules may change at any time.
    pub fn set_rules(&mut self, rules: Rules) {
        self.learner.set_rules(rules);
    }

    /// Proposals that wait.
    pub fn waiting(&self) -> usize {
        self.learner.waiting()
    }

    /// One recognised item. What was done with it, in words.
    pub fn see(&mut self, catalogue: &Catalogue, product: &str, sighting: &Sighting) -> Result<String, String> {
        if self.told != Some(catalogue.reloads()) {
            // A person confirmed, refused or rolled back something, or the store failed.
            self.restore(catalogue).map_err(|e| e.to_string())?;
        }
        let shelf = self.shelf(catalogue, product).map_err(|e| e.to_string())?;
        let lesson = self.learner.see(product, &shelf, sighting).map_err(|e| e.to_string())?;
        let said = said(&lesson);
        if !lesson.steps.is_empty() {
            let steps = lesson.steps;
            if let Err(error) = catalogue.change(product, |store| self.keep(store, product, steps)) {
                // The learner believes what the store does not have.
                self.told = None;
                return Err(error.to_string());
            }
        }
        Ok(said)
    }

    /// The pristine references of a product by design.
    fn shelf(&mut self, catalogue: &Catalogue, product: &str) -> Result<Shelf, StoreError> {
        let gallery = catalogue.snapshot();
        if let Some((_, shelf)) = self.shelves.get(product).filter(|(version, _)| version == gallery.version()) {
            return Ok(shelf.clone());
        }
        let records = catalogue.read(|store| match store.references(product) {
            Err(StoreError::Unknown(_)) => Ok(Vec::new()),
            other => other,
        })?;
        let shelf = shelf_of(&gallery, &records);
        self.shelves.insert(product.to_owned(), (gallery.version().to_owned(), shelf.clone()));
        Ok(shelf)
    }

    /// Tells the learner what the store keeps.
    fn restore(&mut self, catalogue: &Catalogue) -> Result<(), StoreError> {
        let (reloads, gallery) = (catalogue.reloads(), catalogue.snapshot());
        let (kept, names) = catalogue.read(|store| kept(store, &gallery))?;
        self.names = names;
        for (product, restored) in kept {
            self.learner.restore(&product, restored);
        }
        self.told = Some(reloads);
        Ok(())
    }

    /// Carries out what the learner decided.
    fn keep(&mut self, store: &mut Store, product: &str, steps: Vec<Step>) -> Result<(), StoreError> {
        let at_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64);
        for step in steps {
            match step {
                Step::Propose { item, cutout, version } => self.propose(store, product, &item, cutout, version, at_ns)?,
                Step::Agree { proposal, item } => {
                    if let Some(name) = self.name(product, &proposal) {
                        store.agree(product, &name, &item, at_ns)?;
                    }
                }
                Step::Promote { proposal } => {
                    let act = act("promote", "enough independent items agree", at_ns);
                    self.settle(store, (product, &proposal), State::Active, act)?;
                }
                Step::Reject { proposal, reason } => {
                    self.settle(store, (product, &proposal), State::Rejected, act("reject", &reason, at_ns))?;
                }
                Step::OpenDesign { version, examples, reason } => {
                    let pictures: Vec<NewReference> =
                        examples.into_iter().map(|(item, cutout)| proposal_of(product, &item, cutout, version, at_ns)).collect();
                    let options = GalleryOptions::default().features;
                    for record in store.open_design((product, version), &pictures, &options, act("design", &reason, at_ns))? {
                        self.names.insert((product.to_owned(), item_of(&record).to_owned()), record.name);
                    }
                    tracing::warn!(%product, version, %reason, "a new design is suspected");
                }
                Step::UseDesign { version, reason } => {
                    match store.close_design(product, version, State::Active, act("adopt", &reason, at_ns)) {
                        Ok(_) => tracing::info!(%product, version, %reason, "a new design is in use"),
                        // A person was faster.
                        Err(StoreError::NothingWaits { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Step::RetireDesign { version, reason } => {
                    store.settle_design(product, version, State::Active, State::Retired, act("retire", &reason, at_ns))?;
                    tracing::info!(%product, version, %reason, "a design is retired");
                }
            }
        }
        Ok(())
    }

    /// A proposal that still waits gets another state; what a person has settled meanwhile stays as it is.
    fn settle(&self, store: &mut Store, (product, item): (&str, &str), to: State, act: Act) -> Result<(), StoreError> {
        match self.name(product, item) {
            Some(name) => store.settle(product, &[name], State::Quarantined, to, act).map(drop),
            None => Ok(()),
        }
    }

    fn name(&self, product: &str, item: &str) -> Option<String> {
        self.names.get(&(product.to_owned(), item.to_owned())).cloned()
    }

    fn propose(
        &mut self,
        store: &mut Store,
        product: &str,
        item: &str,
        cutout: Cutout,
        version: u32,
        at_ns: i64,
    ) -> Result<(), StoreError> {
        let new = proposal_of(product, item, cutout, version, at_ns);
        match store.enrol(&new, &GalleryOptions::default().features) {
            Ok(record) => drop(self.names.insert((product.to_owned(), item.to_owned()), record.name)),
            // The same pixels were proposed before a restart: one proposal is enough.
            Err(StoreError::Duplicate { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn proposal_of(product: &str, item: &str, cutout: Cutout, version: u32, at_ns: i64) -> NewReference {
    NewReference {
        product: product.to_owned(),
        name: Some(format!("learned-{item}")),
        cutout,
        camera: String::new(),
        light: String::new(),
        provenance: format!("item {item}"),
        version,
        state: State::Quarantined,
        origin: Origin::Learned,
        added_by: ACTOR.into(),
        added_ns: at_ns,
    }
}

/// The item that a learned reference shows.
fn item_of(reference: &ReferenceRecord) -> &str {
    reference.provenance.strip_prefix("item ").unwrap_or(&reference.provenance)
}

fn act<'a>(action: &'a str, detail: &'a str, at_ns: i64) -> Act<'a> {
    Act { actor: ACTOR, action, at_ns, detail }
}

fn said(lesson: &Lesson) -> String {
    let opened = lesson.steps.iter().find_map(|step| match step {
        Step::OpenDesign { reason, .. } => Some(format!("{NEW_DESIGN}{reason}")),
        _ => None,
    });
    opened.or_else(|| lesson.screened.map(|why| why.to_string())).unwrap_or_else(|| "proposed".into())
}

fn shelf_of(gallery: &Gallery, records: &[ReferenceRecord]) -> Shelf {
    let in_use = |r: &&ReferenceRecord| r.pristine && r.state == State::Active;
    let versions: std::collections::BTreeSet<u32> = records.iter().filter(in_use).map(|r| r.version).collect();
    let of = |version: u32| {
        gallery.only(|product, name| records.iter().filter(in_use).any(|r| r.version == version && r.product == product && r.name == name))
    };
    versions.into_iter().map(|version| (version, of(version))).collect()
}

type Kept = (Vec<(String, Restored)>, HashMap<(String, String), String>);

/// What waits, what is open and what was refused, of every product that has any of it.
fn kept(store: &mut Store, gallery: &Gallery) -> Result<Kept, StoreError> {
    let (open, mut names) = (store.open_designs()?, HashMap::new());
    let mut of: std::collections::BTreeMap<String, Restored> =
        store.products()?.into_iter().map(|p| (p.product, Restored { newest: p.version, ..Restored::default() })).collect();
    for (product, version) in &open {
        of.entry(product.clone()).or_default().open = Some((*version, Vec::new()));
    }
    for state in [State::Quarantined, State::Rejected, State::Active] {
        for Proposal { reference, agreeing, .. } in store.proposals(None, state)? {
            let restored = of.entry(reference.product.clone()).or_default();
            let item = item_of(&reference).to_owned();
            if state == State::Active {
                *restored.learned.entry(reference.version).or_default() += usize::from(!reference.pristine);
                continue;
            }
            if state == State::Rejected && reference.version < 2 {
                continue;
            }
            let bad = |e: matching::MatchError| StoreError::Picture { name: reference.name.clone(), reason: e.to_string() };
            let sample = store
                .picture(&reference.product, &reference.name)
                .and_then(|cutout| Sample::new(&item, reference.version, &reference.product, cutout, gallery).map_err(bad));
            let sample = match sample {
                Ok(sample) => sample,
                // One picture that rotted must not keep the cell from learning, nor from starting.
                Err(error @ StoreError::Picture { .. }) => {
                    tracing::warn!(product = %reference.product, reference = %reference.name, %error, "it is passed over; `intact gallery check` names all such");
                    continue;
                }
                Err(error) => return Err(error),
            };
            names.insert((reference.product.clone(), item), reference.name.clone());
            match &mut restored.open {
                _ if state == State::Rejected => restored.refused.push(sample),
                Some((version, examples)) if *version == reference.version => examples.push(sample),
                _ => restored.proposals.push((sample, agreeing)),
            }
        }
    }
    Ok((of.into_iter().collect(), names))
}
