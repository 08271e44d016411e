//! Why an inspection fails.

use std::path::PathBuf;

/// Why a frame could not be inspected, or a model not be loaded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InspectionError {
    /// Two pictures that must match do not.
    #[error("{what} is {width}x{height} but the colour image is {color_width}x{color_height}; align and register the streams to one size")]
    Size {
        /// Which picture.
        what: &'static str,
        /// Its columns.
        width: u32,
        /// Its rows.
        height: u32,
        /// Columns of the colour image.
        color_width: u32,
        /// Rows of the colour image.
        color_height: u32,
    },
    /// A picture without pixels, or with none left at the size at which items are looked for.
    #[error("the picture is empty or too thin to hold an item; check the camera's size and crop")]
    Empty,
    /// The model file is not there or cannot be read.
    #[error("model `{path}` cannot be read: {reason}; give the path of an ONNX file, or leave it empty for the weights that intact brings")]
    ModelFile {
        /// As given.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The model does not keep the contract of docs/model-contract.md.
    #[error("model `{path}` does not keep the contract: {reason}; see docs/model-contract.md")]
    ModelContract {
        /// As given.
        path: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// The engine that was asked for is not there.
    #[error(
        "the engine `ort` cannot start: {0}; set ORT_DYLIB_PATH to a libonnxruntime.so (PyPI's onnxruntime brings one), or choose tract"
    )]
    Engine(String),
    /// A failure inside OpenCV.
    #[error("OpenCV failed: {0}")]
    OpenCv(String),
    /// The model failed on a frame.
    #[error("the model failed on this frame: {0}")]
    ModelRun(String),
}

impl From<opencv::Error> for InspectionError {
    fn from(error: opencv::Error) -> Self {
        Self::OpenCv(error.to_string())
    }
}
