//! ONNX models behind one small interface. The contract of inputs and outputs stands in docs/model-contract.md.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tract_onnx::prelude::*;

use crate::InspectionError;
use crate::defect::DefectType;

/// Smallest and largest side of a model's input; smaller loses small damage, larger cannot keep a line's pace.
const SIDES: std::ops::RangeInclusive<usize> = 32..=1024;

/// What a model takes and gives, read from the model itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Channels of the input: 3 (RGB), 4 (and depth behind the item's hull), or 6 (and height, and the item's place).
    pub channels: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// One score per defect type, or one score for damage of any type.
    pub classes: usize,
    /// Rows and columns of the per-pixel maps; `None` for a classifier.
    pub map: Option<(usize, usize)>,
}

/// Runs one model.
pub trait Engine: Send + Sync {
    /// What runs the model: `tract`.
    fn name(&self) -> &'static str;
    /// File name and short sha256 of the model, as published.
    fn model(&self) -> &str;
    /// Shapes of input and output.
    fn contract(&self) -> &Contract;
    /// Runs on one input, channel after channel, row after row; gives the output's values in [0, 1].
    ///
    /// # Errors
    /// When the input has another length than the contract says, or the model fails or gives no probabilities.
    fn run(&self, input: &[f32]) -> Result<Vec<f32>, InspectionError>;
}

/// A model that `tract` runs on the CPU, without any shared library.
pub struct TractModel {
    plan: Arc<TypedRunnableModel>,
    contract: Contract,
    model: String,
}

impl std::fmt::Debug for TractModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TractModel").field("model", &self.model).field("contract", &self.contract).finish()
    }
}

impl TractModel {
    /// Loads an ONNX file and checks it against the contract; trial runs prove that it works.
    ///
    /// # Errors
    /// [`InspectionError::ModelFile`] when the file cannot be read, [`InspectionError::ModelContract`] when it is no
    /// ONNX model, or its inputs and outputs are not those of the contract.
    pub fn load(path: &Path) -> Result<TractModel, InspectionError> {
        let bytes = std::fs::read(path).map_err(|e| InspectionError::ModelFile { path: path.to_owned(), reason: e.to_string() })?;
        let broken = |reason: String| InspectionError::ModelContract { path: path.to_owned(), reason };
        let graph = onnx().model_for_read(&mut bytes.as_slice()).map_err(|e| broken(format!("it is not a readable ONNX model ({e})")))?;
        let typed = graph.into_typed().map_err(|e| broken(format!("its shapes cannot be inferred ({e:#}); export it with fixed sizes")))?;
        let contract = contract_of(&typed).map_err(broken)?;
        let plan = typed
            .into_optimized()
            .and_then(|m| m.into_runnable())
            .map_err(|e| broken(format!("it uses what this engine cannot run ({e:#})")))?;
        let model = TractModel { plan, contract, model: name_of(path, &bytes) };
        let samples = model.contract.channels * model.contract.height * model.contract.width;
        // Black, grey and white: outputs that are no probabilities show on one of them.
        for level in [0.0, 0.5, 1.0] {
            let trial = model.run(&vec![level; samples]);
            trial.map_err(|e| InspectionError::ModelContract { path: path.to_owned(), reason: e.to_string() })?;
        }
        Ok(model)
    }
}

/// `file.onnx@1a2b3c4d5e6f`.
fn name_of(path: &Path, bytes: &[u8]) -> String {
    let file = path.file_name().map_or_else(|| PathBuf::from("model"), PathBuf::from);
    let digest = Sha256::digest(bytes);
    let short: String = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
    format!("{}@{short}", file.display())
}

/// Reads and checks names, types and shapes.
fn contract_of(model: &TypedModel) -> Result<Contract, String> {
    let (inputs, outputs) = (model.input_outlets().map_err(|e| e.to_string())?, model.output_outlets().map_err(|e| e.to_string())?);
    let ([input], [output]) = (inputs, outputs) else {
        return Err(format!("it has {} inputs and {} outputs, one of each is expected", inputs.len(), outputs.len()));
    };
    let name = |outlet: OutletId| model.outlet_label(outlet).map_or_else(|| model.node(outlet.node).name.clone(), str::to_owned);
    if name(*input) != "image" {
        return Err(format!("its input is called `{}`, expected `image`", name(*input)));
    }
    if name(*output) != "damage" {
        return Err(format!("its output is called `{}`, expected `damage`", name(*output)));
    }
    let shape = |fact: &TypedFact, what: &str| -> Result<Vec<usize>, String> {
        if fact.datum_type != f32::datum_type() {
            return Err(format!("its {what} is {:?}, expected float32", fact.datum_type));
        }
        fact.shape
            .as_concrete()
            .map(<[usize]>::to_vec)
            .ok_or_else(|| format!("its {what} has symbolic sizes {:?}; export it with fixed ones", fact.shape))
    };
    let taken = shape(model.input_fact(0).map_err(|e| e.to_string())?, "input")?;
    let given = shape(model.output_fact(0).map_err(|e| e.to_string())?, "output")?;
    let [1, channels @ (3 | 4 | 6), height, width] = taken[..] else {
        return Err(format!("its input is {taken:?}, expected [1, 3, 4 or 6, H, W]"));
    };
    if !SIDES.contains(&height) || !SIDES.contains(&width) {
        return Err(format!("its input is {height}x{width}, sides of {} to {} are expected", SIDES.start(), SIDES.end()));
    }
    let types = DefectType::ALL.len();
    let (classes, map) = match given[..] {
        [1, k] => (k, None),
        [1, k, h, w] if h > 0 && w > 0 => (k, Some((h, w))),
        _ => return Err(format!("its output is {given:?}, expected [1, K] or [1, K, h, w]")),
    };
    if classes != 1 && classes != types {
        return Err(format!("its output has {classes} channels, expected 1 (any damage) or {types} (Kaputt's types)"));
    }
    Ok(Contract { channels, height, width, classes, map })
}

impl Engine for TractModel {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn run(&self, input: &[f32]) -> Result<Vec<f32>, InspectionError> {
        let c = &self.contract;
        let expected = c.channels * c.height * c.width;
        if input.len() != expected {
            return Err(InspectionError::ModelRun(format!("its input holds {} values, {expected} are needed", input.len())));
        }
        let failed = |e: TractError| InspectionError::ModelRun(format!("{e:#}"));
        let tensor = Tensor::from_shape(&[1, c.channels, c.height, c.width], input).map_err(failed)?;
        let outputs = self.plan.run(tvec!(tensor.into())).map_err(failed)?;
        let first = outputs.first().ok_or_else(|| InspectionError::ModelRun("it gave no output".to_owned()))?;
        let values: Vec<f32> = first.to_plain_array_view::<f32>().map_err(failed)?.iter().copied().collect();
        // A little beyond [0, 1] is rounding; more is a model without its sigmoid.
        if let Some(bad) = values.iter().find(|v| !(-1e-3..=1.001).contains(*v)) {
            return Err(InspectionError::ModelRun(format!("it gave {bad}, expected probabilities in [0, 1]; export it with its sigmoid")));
        }
        Ok(values.into_iter().map(|v| v.clamp(0.0, 1.0)).collect())
    }
}
