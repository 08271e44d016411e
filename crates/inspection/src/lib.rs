//! Items and their damage, from colour and depth: values in, values out.
//!
//! [`segment`] finds the items of a frame and the surface that they lie on. [`inspect`] segments and scores each item
//! over Kaputt's seven defect types, with a heat map, quality flags and a pick point. Scores come from classical cues,
//! from an ONNX model behind [`Engine`] (docs/model-contract.md), or from both ([`Scorer`]).
//!
//! Nothing here reads a clock, a file (but for [`ModelChoice::load`] and the engines behind it) or a random source: the same frame gives the same
//! bytes.

mod bands;
mod comparison;
mod damage;
mod defect;
mod embedding;
mod engine;
mod error;
mod finder;
mod grid;
mod heights;
mod inspect;
mod model_input;
mod model_score;
mod overlay;
mod pick;
mod quality;
mod report;
mod scorer;
mod segment;

pub use comparison::{Comparer, Rejudged};
pub use damage::CUE_NAMES;
pub use defect::{DEFAULT_DAMAGE_THRESHOLD, Defect, DefectType, Severity};
pub use embedding::{EMBEDDING_CHANNELS, EmbeddingNet, embedding_input};
pub use engine::{Contract, Engine, EngineKind, Gives, ModelChoice, OrtModel, Output, TractModel, built_in_models, load_onnxruntime};
pub use error::InspectionError;
pub use finder::ItemFinder;
pub use inspect::{InspectedItem, Inspection, InspectionParams, Inspector, inspect, measure_cues};
pub use model_input::{ModelInput, model_inputs};
pub use overlay::overlay;
pub use pick::PickPoint;
pub use quality::{Quality, is_depth_unit_suspect};
pub use report::{Report, ReportDefect, ReportItem};
pub use scorer::{Models, Scorer};
pub use segment::{EmptyTray, Instance, Segmentation, SegmentationParams, SupportPlane, segment};
