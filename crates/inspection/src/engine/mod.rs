//! ONNX models behind one small interface. The contract of inputs and outputs stands in docs/model-contract.md.

mod contract;
mod ort;
mod tract;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use contract::Port;
pub use contract::{Contract, Gives};
pub use ort::{OrtModel, load_onnxruntime};
pub use tract::TractModel;

use crate::InspectionError;
use crate::comparison::{self, PAIR_CHANNELS};
use crate::damage::TREES;
use crate::embedding;
use crate::finder::{self, ItemFinder};
use crate::scorer::{Models, Scorer};

/// The weights that this version brings for items without depth (models/damage/README.md is their card).
const BUILT_IN: &[u8] = include_bytes!("../../../../models/damage/damage.onnx");
/// What messages call them.
const BUILT_IN_NAME: &str = "damage.onnx";
/// The weights that this version brings as a second opinion of items with depth (the same card).
const BUILT_IN_DEPTH: &[u8] = include_bytes!("../../../../models/damage/damage-depth.onnx");
/// What messages call them.
const BUILT_IN_DEPTH_NAME: &str = "damage-depth.onnx";

/// What a model says of one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// `[K]`, or `[K, h, w]`: a score a type, or a map a type, in [0, 1]; or an embedding; or `[2, h, w]`, items and their borders.
    pub values: Vec<f32>,
    /// `[1 + K]`: any damage, then each type, in [0, 1]; `None` of a model without that output.
    pub scores: Option<Vec<f32>>,
}

/// Runs one model.
pub trait Engine: Send + Sync {
    /// What runs the model: `tract` or `ort`.
    fn name(&self) -> &'static str;
    /// File name and short sha256 of the model, as published.
    fn model(&self) -> &str;
    /// Shapes of input and output.
    fn contract(&self) -> &Contract;
    /// Runs on one input, channel after channel, row after row.
    ///
    /// # Errors
    /// When the input has another length than the contract says, or the model fails or gives no probabilities.
    fn run(&self, input: &[f32]) -> Result<Output, InspectionError>;
    /// As [`Engine::run`], on one core where the engine can choose: for what runs beside other work, which all cores together would only hold up.
    ///
    /// # Errors
    /// As there.
    fn run_on_one_core(&self, input: &[f32]) -> Result<Output, InspectionError> {
        self.run(input)
    }
}

/// Reads an ONNX file that was compiled in.
///
/// # Errors
/// [`InspectionError::Engine`] when ONNX Runtime is asked for and not there.
pub(crate) fn built_in(kind: EngineKind, name: &str, bytes: &[u8]) -> Result<Arc<dyn Engine>, InspectionError> {
    let path = Path::new(name);
    Ok(match kind {
        EngineKind::Tract => Arc::new(TractModel::read(path, bytes)?),
        EngineKind::Ort => Arc::new(OrtModel::read(path, bytes)?),
    })
}

/// Which library runs a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// `tract`: nothing to install.
    #[default]
    Tract,
    /// ONNX Runtime: faster; its shared library must be there.
    Ort,
}

impl FromStr for EngineKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tract" => Ok(EngineKind::Tract),
            "ort" => Ok(EngineKind::Ort),
            other => Err(format!("`{other}` is no engine; choose tract or ort")),
        }
    }
}

/// Which scorer is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ModelChoice {
    /// What this version brings: a network for items without depth; where there is depth, the classical scorer and another network together.
    #[default]
    BuiltIn,
    /// Measured cues and decision trees, without a network.
    Classical,
    /// A user's ONNX file.
    File(PathBuf),
}

impl From<&str> for ModelChoice {
    /// Empty: built in; `classical`; else a file.
    fn from(text: &str) -> Self {
        match text {
            "" | "builtin" => ModelChoice::BuiltIn,
            "classical" => ModelChoice::Classical,
            file => ModelChoice::File(file.into()),
        }
    }
}

impl ModelChoice {
    /// Loads the models; none for the classical scorer. Trial runs prove that they work.
    ///
    /// # Errors
    /// [`InspectionError::ModelFile`] when the file cannot be read, [`InspectionError::ModelContract`] when it is no
    /// ONNX model, or its inputs and outputs are not those of the contract, [`InspectionError::Engine`] when the engine
    /// is not there.
    pub fn load(&self, kind: EngineKind) -> Result<Models, InspectionError> {
        let path = match self {
            ModelChoice::Classical => return Ok(Models::default()),
            ModelChoice::BuiltIn => {
                let with_depth = Scorer::Together(built_in(kind, BUILT_IN_DEPTH_NAME, BUILT_IN_DEPTH)?);
                return Ok(Models { with_depth, without_depth: Scorer::Network(built_in(kind, BUILT_IN_NAME, BUILT_IN)?) });
            }
            ModelChoice::File(path) => path,
        };
        let models = match kind {
            EngineKind::Tract => Models::from(TractModel::load(path)?),
            EngineKind::Ort => Models::from(OrtModel::load(path)?),
        };
        if let Some(other) = models.of(true).network().map(|m| m.contract()).filter(|c| c.gives != Gives::Damage) {
            let reason = format!("it gives `{}`, expected `damage`", other.output());
            return Err(InspectionError::ModelContract { path: path.clone(), reason });
        }
        if models.of(true).network().is_some_and(|m| m.contract().channels == PAIR_CHANNELS) {
            let reason = format!("it takes {PAIR_CHANNELS} channels, an item beside its reference; a damage model takes 3, 4 or 6");
            return Err(InspectionError::ModelContract { path: path.clone(), reason });
        }
        Ok(models)
    }
}

impl ModelChoice {
    /// The network that finds items without depth, beside every choice that may ask networks.
    ///
    /// # Errors
    /// [`InspectionError::Engine`] when the engine is not there.
    pub fn finder(&self, kind: EngineKind) -> Result<Option<ItemFinder>, InspectionError> {
        (*self != ModelChoice::Classical).then(|| ItemFinder::load(kind)).transpose()
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, InspectionError> {
    std::fs::read(path).map_err(|e| InspectionError::ModelFile { path: path.to_owned(), reason: e.to_string() })
}

/// What this version judges with where it is given no other model, by file and content: the classical scorer's trees, the damage networks
/// without and with depth, the comparing network, the embedding network, the network that finds items.
pub fn built_in_models() -> [String; 6] {
    let of = |name: &str, bytes: &[u8]| name_of(Path::new(name), bytes);
    [
        of("trees.txt", TREES.as_bytes()),
        of(BUILT_IN_NAME, BUILT_IN),
        of(BUILT_IN_DEPTH_NAME, BUILT_IN_DEPTH),
        of(comparison::BUILT_IN_NAME, comparison::BUILT_IN),
        of(embedding::BUILT_IN_NAME, embedding::BUILT_IN),
        of(finder::BUILT_IN_NAME, finder::BUILT_IN),
    ]
}

/// `file.onnx@1a2b3c4d5e6f`.
fn name_of(path: &Path, bytes: &[u8]) -> String {
    let file = path.file_name().map_or_else(|| PathBuf::from("model"), PathBuf::from);
    let digest = Sha256::digest(bytes);
    let short: String = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
    format!("{}@{short}", file.display())
}

/// Runs the model on black, grey and white: outputs that are no probabilities show on one of them.
fn try_out(model: &dyn Engine, path: &Path) -> Result<(), InspectionError> {
    let c = model.contract();
    let samples = c.channels * c.height * c.width;
    for level in [0.0, 0.5, 1.0] {
        let trial = model.run(&vec![level; samples]);
        trial.map_err(|e| InspectionError::ModelContract { path: path.to_owned(), reason: e.to_string() })?;
    }
    Ok(())
}

fn check_input(contract: &Contract, input: &[f32]) -> Result<(), InspectionError> {
    let expected = contract.channels * contract.height * contract.width;
    if input.len() == expected {
        return Ok(());
    }
    Err(InspectionError::ModelRun(format!("its input holds {} values, {expected} are needed", input.len())))
}

/// A little beyond [0, 1] is rounding; more is a model without its sigmoid.
fn probabilities(values: &[f32]) -> Result<Vec<f32>, InspectionError> {
    if let Some(bad) = values.iter().find(|v| !(-1e-3..=1.001).contains(*v)) {
        return Err(InspectionError::ModelRun(format!("it gave {bad}, expected probabilities in [0, 1]; export it with its sigmoid")));
    }
    Ok(values.iter().map(|v| v.clamp(0.0, 1.0)).collect())
}
