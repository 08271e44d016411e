//! What a model takes and gives, and the check of it.

use super::probabilities;
use crate::InspectionError;
use crate::comparison::PAIR_CHANNELS;
use crate::defect::DefectType;

/// Smallest and largest side of a model's input; smaller loses small damage, larger cannot keep a line's pace.
const SIDES: std::ops::RangeInclusive<usize> = 32..=1024;

/// What a model's first output holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// Probabilities of damage.
    Damage,
    /// A vector of unit length ([`crate::EmbeddingNet`]).
    Embedding,
    /// Where items are ([`crate::ItemFinder`]).
    Items,
}

/// What a model takes and gives, read from the model itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// What it says: the name of its first output.
    pub gives: Gives,
    /// Channels of the input: 3 (RGB), 4 (and depth behind the item's hull), or 6 (and height, and the item's place); 10 of a
    /// network that sees an item beside its reference ([`crate::Comparer`]).
    pub channels: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// One score per defect type, or one score for damage of any type; of an embedding its length; of items two maps.
    pub classes: usize,
    /// Rows and columns of the per-pixel maps; `None` for a classifier.
    pub map: Option<(usize, usize)>,
    /// True when the model pools its maps itself and gives `scores` beside them.
    pub scores: bool,
}

/// An input or output as an engine describes it.
pub(super) struct Port {
    pub name: String,
    /// `Some(type)` when it is not float32.
    pub other_type: Option<String>,
    /// `Err(shape)` when a size is not fixed.
    pub shape: Result<Vec<usize>, String>,
}

impl Port {
    fn dims(&self, what: &str) -> Result<&[usize], String> {
        if let Some(other) = &self.other_type {
            return Err(format!("its {what} is {other}, expected float32"));
        }
        match &self.shape {
            Ok(dims) => Ok(dims),
            Err(shape) => Err(format!("its {what} has symbolic sizes {shape}; export it with fixed ones")),
        }
    }
}

impl Contract {
    /// Reads and checks names, types and shapes.
    pub(super) fn of(inputs: &[Port], outputs: &[Port]) -> Result<Contract, String> {
        let ([input], [output] | [output, _]) = (inputs, outputs) else {
            return Err(format!(
                "it has {} inputs and {} outputs; one input, `damage` and perhaps `scores` are expected",
                inputs.len(),
                outputs.len()
            ));
        };
        if input.name != "image" {
            return Err(format!("its input is called `{}`, expected `image`", input.name));
        }
        if output.name == "embedding" {
            return Self::of_embedding(input, output, outputs.len());
        }
        if output.name == "items" {
            return Self::of_items(input, output, outputs.len());
        }
        if output.name != "damage" {
            return Err(format!("its output is called `{}`, expected `damage`", output.name));
        }
        let taken = input.dims("input")?;
        let given = output.dims("output")?;
        let &[1, channels @ (3 | 4 | 6 | PAIR_CHANNELS), height, width] = taken else {
            return Err(format!("its input is {taken:?}, expected [1, 3 or 4 or 6, H, W]"));
        };
        if !SIDES.contains(&height) || !SIDES.contains(&width) {
            return Err(format!("its input is {height}x{width}, sides of {} to {} are expected", SIDES.start(), SIDES.end()));
        }
        let types = DefectType::ALL.len();
        let (classes, map) = match *given {
            [1, k] => (k, None),
            [1, k, h, w] if h > 0 && w > 0 => (k, Some((h, w))),
            _ => return Err(format!("its output is {given:?}, expected [1, K] or [1, K, h, w]")),
        };
        if classes != 1 && classes != types {
            return Err(format!("its output has {classes} channels, expected 1 (any damage) or {types} (Kaputt's types)"));
        }
        if let Some(scores) = outputs.get(1) {
            let shape = scores.dims("second output")?;
            if scores.name != "scores" || *shape != [1, 1 + classes] {
                return Err(format!("its second output is `{}` {shape:?}, expected `scores` [1, {}]", scores.name, 1 + classes));
            }
        }
        Ok(Contract { gives: Gives::Damage, channels, height, width, classes, map, scores: outputs.len() > 1 })
    }

    fn of_embedding(input: &Port, output: &Port, outputs: usize) -> Result<Contract, String> {
        match (input.dims("input")?, output.dims("output")?, outputs) {
            (&[1, channels @ 4, height, width], &[1, classes], 1) => {
                Ok(Contract { gives: Gives::Embedding, channels, height, width, classes, map: None, scores: false })
            }
            (taken, given, _) => Err(format!("it makes {given:?} of {taken:?}; an embedding network makes [1, D] of [1, 4, H, W]")),
        }
    }

    fn of_items(input: &Port, output: &Port, outputs: usize) -> Result<Contract, String> {
        match (input.dims("input")?, output.dims("output")?, outputs) {
            (&[1, channels @ 4, height, width], &[1, classes @ 2, h, w], 1) if h > 0 && w > 0 => {
                Ok(Contract { gives: Gives::Items, channels, height, width, classes, map: Some((h, w)), scores: false })
            }
            (taken, given, _) => {
                Err(format!("it makes {given:?} of {taken:?}; a network that finds items makes [1, 2, h, w] of [1, 4, H, W]"))
            }
        }
    }

    /// The name of its first output.
    pub(super) fn output(&self) -> &'static str {
        match self.gives {
            Gives::Damage => "damage",
            Gives::Embedding => "embedding",
            Gives::Items => "items",
        }
    }

    /// What the model gave, if it can be what the contract says.
    pub(super) fn checked(&self, values: &[f32]) -> Result<Vec<f32>, InspectionError> {
        match self.gives {
            Gives::Damage | Gives::Items => probabilities(values),
            Gives::Embedding if values.iter().all(|v| v.is_finite()) => Ok(values.to_vec()),
            Gives::Embedding => Err(InspectionError::ModelRun("it gave numbers that are not finite".to_owned())),
        }
    }
}
