//! The comparing network: how damaged an item is, judged beside a pristine reference that was laid over it.

use std::sync::Arc;

use vision::HeatMap;

use crate::InspectionError;
use crate::engine::{Engine, EngineKind, built_in};

/// The weights that this version brings (models/comparison/README.md is their card).
pub(crate) const BUILT_IN: &[u8] = include_bytes!("../../../models/comparison/comparison.onnx");
/// What messages call them.
pub(crate) const BUILT_IN_NAME: &str = "comparison.onnx";
/// What `matching::Pair` shows of an item: its colours, the reference's in its light, their difference, where they could be compared,
/// and perception's damage; and one more with perception's score, the same everywhere.
pub(crate) const PAIR_CHANNELS: usize = 10;
/// Perception's score where it was not asked: between those of whole and of damaged items, as in training.
const SILENT: f32 = 0.3;

/// What the network says of an item beside its reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejudged {
    /// How likely the item is damaged, [0, 1]; at one half two good items of a hundred in training's validation alarm.
    pub score: f32,
    /// Damage a place of the input, [0, 1]; coarser than the input.
    pub map: HeatMap,
}

/// Judges items beside their references.
#[derive(Clone)]
pub struct Comparer {
    engine: Arc<dyn Engine>,
}

impl std::fmt::Debug for Comparer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Comparer").field(&self.model()).finish()
    }
}

impl Comparer {
    /// The network that this version brings.
    ///
    /// # Errors
    /// [`InspectionError::Engine`] when ONNX Runtime is asked for and not there.
    pub fn load(kind: EngineKind) -> Result<Comparer, InspectionError> {
        Ok(Comparer { engine: built_in(kind, BUILT_IN_NAME, BUILT_IN)? })
    }

    /// File name and short sha256 of the weights.
    pub fn model(&self) -> &str {
        self.engine.model()
    }

    /// Judges `pair`: `[9, 256, 256]` bytes, as `matching::Pair::bytes` gives them. `damage_score` is perception's; without it the pair
    /// should hold no map of it either.
    ///
    /// # Errors
    /// When the input has another length, or the engine fails.
    pub fn judge(&self, pair: &[u8], damage_score: Option<f32>) -> Result<Rejudged, InspectionError> {
        let contract = self.engine.contract();
        let told = std::iter::repeat_n(damage_score.unwrap_or(SILENT), contract.height * contract.width);
        let input: Vec<f32> = pair.iter().map(|v| f32::from(*v) / 255.0).chain(told).collect();
        let output = self.engine.run(&input)?;
        let score = output.scores.and_then(|s| s.first().copied());
        let score = score.ok_or_else(|| InspectionError::ModelRun("it gave no `scores`".to_owned()))?;
        let (rows, columns) = contract.map.unwrap_or((1, 1));
        let map =
            HeatMap::new(columns as u32, rows as u32, output.values).map_err(|e| InspectionError::ModelRun(format!("its map: {e}")))?;
        Ok(Rejudged { score, map })
    }
}
