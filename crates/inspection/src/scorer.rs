//! Who scores an item: the classical scorer, a network, or both together.

use std::sync::Arc;

use crate::InspectionError;
use crate::damage::{self, Assessment};
use crate::engine::Engine;
use crate::model_input::View;
use crate::model_score;
use crate::segment::Instance;

/// What the network's log odds count beside those of the trees, what is added to both, so that few whole items exceed one half, and what makes
/// log odds of the sum. Fitted on booth validation by `training/export.py --with-depth`; they stand in `models/damage/damage-depth.json`.
const NETWORK_WEIGHT: f32 = 1.5;
const SHIFT: f32 = 5.534;
const SCALE: f32 = 0.85;
/// Log odds are taken of scores within these limits, so that no one opinion is beyond all doubt.
const SUREST: f32 = 1e-6;

/// Who scores an item.
#[derive(Clone, Default)]
pub enum Scorer {
    /// Cues and trees; without depth nobody.
    #[default]
    Classical,
    /// A network alone.
    Network(Arc<dyn Engine>),
    /// Cues and trees, and a network as a second opinion: two that err differently.
    Together(Arc<dyn Engine>),
}

impl Scorer {
    /// The network that is asked.
    pub fn network(&self) -> Option<&Arc<dyn Engine>> {
        match self {
            Scorer::Classical => None,
            Scorer::Network(engine) | Scorer::Together(engine) => Some(engine),
        }
    }

    /// What messages call it: `classical`, `file.onnx@1a2b3c4d5e6f`, or `classical+file.onnx@1a2b3c4d5e6f`.
    pub fn name(&self) -> String {
        match self {
            Scorer::Classical => "classical".to_owned(),
            Scorer::Network(engine) => engine.model().to_owned(),
            Scorer::Together(engine) => format!("classical+{}", engine.model()),
        }
    }

    /// What runs its network: `none`, `tract` or `ort`.
    pub fn engine(&self) -> &'static str {
        self.network().map_or("none", |e| e.name())
    }

    /// Scores one item.
    ///
    /// # Errors
    /// When the network fails.
    pub(crate) fn assess(&self, view: &View<'_>, item: &Instance) -> Result<Assessment, InspectionError> {
        let classical = || view.relief.map_or_else(Assessment::unknown, |relief| damage::assess(relief, view.cells));
        match self {
            Scorer::Classical => Ok(classical()),
            Scorer::Network(engine) => model_score::assess(engine.as_ref(), view, item, false),
            Scorer::Together(engine) => {
                let (network, trees) = rayon::join(|| model_score::assess(engine.as_ref(), view, item, true), classical);
                Ok(together(trees, network?))
            }
        }
    }
}

/// What scores items of a frame.
#[derive(Clone, Default)]
pub struct Models {
    /// Items with depth.
    pub with_depth: Scorer,
    /// Items without.
    pub without_depth: Scorer,
}

impl<E: Engine + 'static> From<E> for Models {
    /// One model for all items.
    fn from(engine: E) -> Models {
        let engine: Arc<dyn Engine> = Arc::new(engine);
        Models { with_depth: Scorer::Network(Arc::clone(&engine)), without_depth: Scorer::Network(engine) }
    }
}

impl Models {
    /// Who scores an item.
    pub fn of(&self, has_depth: bool) -> &Scorer {
        if has_depth { &self.with_depth } else { &self.without_depth }
    }
}

/// Two opinions of one item. Their log odds add up. The network divides the score among the types: of what both find on the booth exam it names the
/// type of nine in ten, the trees of one in two. Where it marks no place of a type, the trees' cues do.
fn together(trees: Assessment, network: Assessment) -> Assessment {
    let overall = probability(SCALE * (log_odds(trees.overall()) + NETWORK_WEIGHT * log_odds(network.overall()) + SHIFT));
    let shares = if network.overall() > SUREST { network.scores } else { trees.scores };
    let most = shares.iter().copied().fold(0.0, f32::max);
    if most < SUREST {
        // Nothing to divide.
        return trees;
    }
    let places = (network.places.into_iter().zip(trees.places))
        .map(|(seen, measured)| if seen.as_ref().is_some_and(|map| map.bbox().is_some()) { seen } else { measured.or(seen) })
        .collect();
    Assessment { scores: shares.map(|share| overall * share / most), places }
}

fn log_odds(score: f32) -> f32 {
    let p = score.clamp(SUREST, 1.0 - SUREST);
    (p / (1.0 - p)).ln()
}

fn probability(log_odds: f32) -> f32 {
    1.0 / (1.0 + (-log_odds).exp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::damage::EvidenceMap;
    use proptest::prelude::*;

    const TYPES: usize = 7;

    fn opinion(scores: [f32; TYPES], mark: Option<f32>) -> Assessment {
        let place = mark.map(|v| EvidenceMap { w: 2, origin_px: (0.0, 0.0), pitch_px: (1.0, 1.0), values: vec![v; 4] });
        Assessment { scores, places: vec![place; TYPES] }
    }

    fn of_types(penetration: f32, deformation: f32) -> [f32; TYPES] {
        [penetration, deformation, 0.0, 0.0, 0.0, 0.0, 0.0]
    }

    #[test]
    fn the_constants_are_those_of_the_weights() {
        let card: serde_json::Value = serde_json::from_str(include_str!("../../../models/damage/damage-depth.json")).unwrap();
        let of = |name: &str| card["beside_trees"][name].as_f64().unwrap() as f32;
        assert_eq!((of("weight"), of("shift"), of("scale")), (NETWORK_WEIGHT, SHIFT, SCALE));
    }

    #[test]
    fn the_network_says_what_it_is_and_where_and_the_trees_where_it_marks_nothing() {
        let joined = together(opinion(of_types(0.05, 0.9), Some(0.6)), opinion(of_types(0.6, 0.3), Some(0.7)));
        assert_eq!(joined.overall(), joined.scores[0]);
        assert!((joined.scores[1] - joined.scores[0] / 2.0).abs() < 1e-6, "{:?}", joined.scores);
        let at = |joined: &Assessment| joined.places[0].as_ref().map(|p| p.values[0]);
        assert_eq!(at(&joined), Some(0.7));
        for unmarked in [None, Some(0.2)] {
            assert_eq!(at(&together(opinion(of_types(0.9, 0.0), Some(0.6)), opinion(of_types(0.2, 0.0), unmarked))), Some(0.6));
        }
        let silent = together(opinion(of_types(0.9, 0.3), None), Assessment::unknown());
        assert!(silent.scores[0] > silent.scores[1] && silent.scores[1] > 0.0, "{:?}", silent.scores);
    }

    #[test]
    fn two_that_see_nothing_say_nothing() {
        assert_eq!(together(Assessment::unknown(), Assessment::unknown()).overall(), 0.0);
    }

    proptest! {
        /// No opinion lowers the score by rising, whichever the type, and the score is one.
        #[test]
        fn more_doubt_is_never_less(
            trees in prop::array::uniform7(0.0f32..=1.0), network in prop::array::uniform7(0.0f32..=1.0), k in 0..TYPES, more in 0.0f32..=1.0
        ) {
            let score = |t: [f32; TYPES], n: [f32; TYPES]| together(opinion(t, None), opinion(n, None)).overall();
            let before = score(trees, network);
            prop_assert!((0.0..=1.0).contains(&before));
            let raised = |mut scores: [f32; TYPES]| { scores[k] = scores[k].max(more); scores };
            prop_assert!(score(raised(trees), network) >= before - 1e-6);
            prop_assert!(score(trees, raised(network)) >= before - 1e-6);
        }
    }
}
