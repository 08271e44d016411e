//! Countable units: the tablets of a blister, the cans of a tray, loose pieces in a bag.
//!
//! References show how many there should be: patches of one colour and one size, in the same number in every view that shows
//! them. On the item, patches of that colour and size are counted. Where the references agree about their places (`layout`), those are
//! laid over them, and a place that shows no unit is *missing* when it can be seen, *hidden* when paper lies on it or it lies outside the
//! item. Where each reference shows them elsewhere they are *loose* (`loose`), and what is seen is counted piece by piece.

mod layout;
mod loose;
mod scene;

use std::sync::{Arc, PoisonError};

use vision::Rect;

use crate::{Cutout, Gallery, Item, MatchError};
pub(crate) use layout::Layout;
use scene::Scene;

/// Views that others are held against: what so many do not show, none does, and a product may have hundreds.
const ASKED: usize = 8;

/// What the references of one product say of its units.
#[derive(Clone, Debug, Default)]
pub struct Units {
    layouts: Vec<Layout>,
    /// How many there are, where they lie elsewhere in every view.
    loose: Option<u32>,
}

/// How many units an item shows.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitCount {
    /// How many the references show.
    pub expected: u32,
    /// How many the item shows.
    pub seen: u32,
    /// Places that cannot be seen; they count neither as there nor as missing.
    pub hidden: u32,
    /// Where units are missing, pixels of the cutout; of a loose one the whole cutout.
    pub missing: Vec<Rect>,
    /// How sure it is that a unit is missing, [0, 1]; 0 when none is.
    pub score: f32,
}

impl UnitCount {
    /// Share of the places that could be seen, [0, 1].
    pub fn coverage(&self) -> f32 {
        1.0 - self.hidden as f32 / self.expected.max(1) as f32
    }
}

impl Units {
    /// Looks for units in the references of a product. Empty when no two views agree about their number and places, and no three about
    /// the number alone.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn of<'a>(references: impl IntoIterator<Item = &'a Cutout>) -> Result<Self, MatchError> {
        let mut layouts = Vec::new();
        for cutout in references {
            layouts.extend(Layout::of(&Scene::of(cutout)?)?);
        }
        Ok(Self::agreed(layouts))
    }

    fn agreed(layouts: Vec<Layout>) -> Self {
        if let Some((layouts, expected)) = loose::agreed(&layouts) {
            return Self { layouts, loose: Some(expected) };
        }
        // One view may show print that looks like units: another must show as many in the same places (two or three fit any others), or they
        // are texture. Those asked are spread over all views.
        let step = layouts.len().div_ceil(ASKED).max(1);
        let shares = |k: usize, a: &Layout| {
            let others = layouts.iter().enumerate().filter(|(l, b)| k != *l && a.places.len() == b.places.len());
            others.step_by(step).any(|(_, b)| a.lies_as(b))
        };
        let kept: Vec<Layout> = layouts.iter().enumerate().filter(|(k, a)| shares(*k, a)).map(|(_, a)| a.clone()).collect();
        // The number that most of them show; a view from the side shows fewer, or something else.
        let votes = |n: usize| kept.iter().filter(|l| l.places.len() == n).count();
        let agreed = kept.iter().map(|l| l.places.len()).max_by_key(|n| (votes(*n), *n));
        let layouts = kept.iter().filter(|l| Some(l.places.len()) == agreed).cloned().collect();
        Self { layouts, loose: None }
    }

    /// How many units the product has; `None`: none were found.
    pub fn expected(&self) -> Option<u32> {
        self.loose.or_else(|| self.layouts.first().map(|l| l.places.len() as u32))
    }

    /// True when the units lie elsewhere in every view.
    pub fn are_loose(&self) -> bool {
        self.loose.is_some()
    }

    /// Counts the units of an item. `None` when the product has none, or the item shows none at all: then it lies on another
    /// side, and nothing is known.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn count(&self, item: &Cutout) -> Result<Option<UnitCount>, MatchError> {
        if self.layouts.is_empty() {
            return Ok(None);
        }
        let scene = Scene::of(item)?;
        if let Some(expected) = self.loose {
            return loose::count(&self.layouts, expected, &scene);
        }
        let mut best: Option<UnitCount> = None;
        for layout in &self.layouts {
            let Some(count) = layout.count(&scene)? else { continue };
            // The view in which most places are explained speaks.
            if best.as_ref().is_none_or(|b| (count.seen, b.missing.len()) > (b.seen, count.missing.len())) {
                best = Some(count);
            }
        }
        Ok(best)
    }
}

impl Gallery {
    /// Counts the units of an item of `product`. `None` when the product has none that its references agree about, or the item
    /// shows none. References are looked at once, when their product is first asked for; those that show a part are passed over.
    ///
    /// # Errors
    /// When OpenCV fails.
    pub fn count_units(&self, item: &Item, product: &str) -> Result<Option<UnitCount>, MatchError> {
        self.units_of(product)?.count(&item.cutout)
    }

    /// What the references say, looked at once.
    fn units_of(&self, product: &str) -> Result<Arc<Units>, MatchError> {
        let known = || self.units.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(units) = known().get(product) {
            return Ok(Arc::clone(units));
        }
        let mut layouts = Vec::new();
        for reference in self.references.iter().filter(|r| r.product == product && !r.is_partial) {
            let layout = match reference.units.get() {
                Some(known) => known.clone(),
                None => {
                    let found = Layout::of(&Scene::of(&reference.small)?)?;
                    reference.units.get_or_init(|| found).clone()
                }
            };
            layouts.extend(layout);
        }
        let units = Arc::new(Units::agreed(layouts));
        known().insert(product.to_owned(), Arc::clone(&units));
        Ok(units)
    }
}
