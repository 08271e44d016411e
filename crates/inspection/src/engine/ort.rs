//! ONNX Runtime through its shared library, loaded when it is asked for.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, Tensor, TensorElementType, ValueType};

use super::{Contract, Engine, Output, Port, check_input, name_of, read_file, try_out};
use crate::InspectionError;

/// Names the library; else the loader's own search path is asked.
const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";
/// One library and one environment a process.
static LIBRARY: OnceLock<Result<Environment, String>> = OnceLock::new();

/// A model that ONNX Runtime runs on the CPU.
pub struct OrtModel {
    /// A session takes one input at a time.
    session: Mutex<Session>,
    contract: Contract,
    model: String,
}

impl std::fmt::Debug for OrtModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrtModel").field("model", &self.model).field("contract", &self.contract).finish()
    }
}

/// Loads ONNX Runtime from this file, once a process; without a call [`OrtModel`] asks `ORT_DYLIB_PATH` and the loader.
///
/// # Errors
/// [`InspectionError::Engine`] when it cannot be loaded.
pub fn load_onnxruntime(path: &Path) -> Result<(), InspectionError> {
    environment(Some(path)).map(|_| ())
}

fn environment(path: Option<&Path>) -> Result<&'static Environment, InspectionError> {
    let loaded = LIBRARY.get_or_init(|| {
        let named = || std::env::var_os(LIBRARY_VARIABLE).map_or_else(|| PathBuf::from("libonnxruntime.so"), PathBuf::from);
        let path = path.map_or_else(named, Path::to_owned);
        let builder = ort::init_from(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        builder.with_name("intact").build().map_err(|e| e.to_string())
    });
    loaded.as_ref().map_err(|e| InspectionError::Engine(e.clone()))
}

impl OrtModel {
    /// Loads an ONNX file and checks it against the contract; trial runs prove that it works.
    ///
    /// # Errors
    /// As [`super::TractModel::load`], and [`InspectionError::Engine`] when the library is not there.
    pub fn load(path: &Path) -> Result<OrtModel, InspectionError> {
        OrtModel::read(path, &read_file(path)?)
    }

    /// As [`OrtModel::load`], of bytes that are there.
    ///
    /// # Errors
    /// As there.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<OrtModel, InspectionError> {
        let environment = environment(None)?;
        let broken = |reason: String| InspectionError::ModelContract { path: path.to_owned(), reason };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let session = Session::builder(environment)
            .map_err(|e| e.to_string())
            .and_then(|b| b.with_intra_threads(cores).map_err(|e| e.to_string()))
            // Threads that spin after a run hold the cores that the line's next step needs.
            .and_then(|b| b.with_intra_op_spinning(false).map_err(|e| e.to_string()))
            .and_then(|b| b.with_optimization_level(GraphOptimizationLevel::All).map_err(|e| e.to_string()))
            .map_err(InspectionError::Engine)?
            .commit_from_memory(bytes)
            .map_err(|e| broken(format!("it is not an ONNX model that this engine can run ({e})")))?;
        let ports = |outlets: &[Outlet]| outlets.iter().map(port).collect::<Vec<Port>>();
        let contract = Contract::of(&ports(session.inputs()), &ports(session.outputs())).map_err(broken)?;
        let model = OrtModel { session: Mutex::new(session), contract, model: name_of(path, bytes) };
        try_out(&model, path)?;
        Ok(model)
    }
}

fn port(outlet: &Outlet) -> Port {
    let (other_type, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let fixed: Option<Vec<usize>> = shape.iter().map(|d| usize::try_from(*d).ok()).collect();
            ((*ty != TensorElementType::Float32).then(|| format!("{ty:?}")), fixed.ok_or_else(|| format!("{shape:?}")))
        }
        other => (Some(format!("{other:?}")), Ok(Vec::new())),
    };
    Port { name: outlet.name().to_owned(), other_type, shape }
}

impl Engine for OrtModel {
    fn name(&self) -> &'static str {
        "ort"
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn contract(&self) -> &Contract {
        &self.contract
    }

    fn run(&self, input: &[f32]) -> Result<Output, InspectionError> {
        let c = &self.contract;
        check_input(c, input)?;
        let failed = |e: ort::Error| InspectionError::ModelRun(e.to_string());
        let tensor = Tensor::from_array(([1, c.channels, c.height, c.width], input.to_vec())).map_err(failed)?;
        // A run that panicked leaves the session as it was: it keeps nothing between runs.
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(ort::inputs!["image" => tensor]).map_err(failed)?;
        let values = |name: &str| -> Result<Vec<f32>, InspectionError> {
            let output = outputs.get(name).ok_or_else(|| InspectionError::ModelRun(format!("it gave no `{name}`")))?;
            c.checked(output.try_extract_tensor::<f32>().map_err(failed)?.1)
        };
        Ok(Output { values: values(c.output())?, scores: if c.scores { Some(values("scores")?) } else { None } })
    }
}
