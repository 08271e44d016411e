//! `tract`: ONNX in pure Rust.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};
use tract_linalg::multithread::{Executor, multithread_tract_scope, set_default_executor};
use tract_onnx::prelude::*;

use super::{Contract, Engine, Output, Port, check_input, name_of, read_file, try_out};
use crate::InspectionError;

/// Large products are spread over the cores by a pool of tract's own; set once a process.
static THREADS: Once = Once::new();
/// One model runs at a time on all cores.
static RUNNING: Mutex<()> = Mutex::new(());

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
        TractModel::read(path, &read_file(path)?)
    }

    /// As [`TractModel::load`], of bytes that are there.
    ///
    /// # Errors
    /// [`InspectionError::ModelContract`], as there.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<TractModel, InspectionError> {
        THREADS.call_once(|| {
            set_default_executor(if cores() > 1 { Executor::multithread(cores()) } else { Executor::SingleThread });
        });
        let broken = |reason: String| InspectionError::ModelContract { path: path.to_owned(), reason };
        let graph = onnx().model_for_read(&mut &*bytes).map_err(|e| broken(format!("it is not a readable ONNX model ({e})")))?;
        let typed = graph.into_typed().map_err(|e| broken(format!("its shapes cannot be inferred ({e:#}); export it with fixed sizes")))?;
        let contract = contract_of(&typed).map_err(broken)?;
        let plan = typed
            .into_optimized()
            .and_then(|m| m.into_runnable())
            .map_err(|e| broken(format!("it uses what this engine cannot run ({e:#})")))?;
        let model = TractModel { plan, contract, model: name_of(path, bytes) };
        try_out(&model, path)?;
        Ok(model)
    }
}

/// Threads for runs on one core; always the same ones, as each has memory of its own. `None` where no thread can be made.
fn one_core_pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let make = || ThreadPoolBuilder::new().num_threads(cores()).thread_name(|k| format!("tract-{k}")).build().ok();
    POOL.get_or_init(make).as_ref()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many cores a run takes.
#[derive(Clone, Copy)]
enum Cores {
    /// One after the other with other runs.
    All,
    /// Beside others.
    One,
}

impl TractModel {
    /// Runs on no worker of rayon's. One that waits for tract's pool would take up other work, perhaps another run, in the middle of an
    /// operator that holds its scratch memory; tract panics then. And a thread on which tract's kernels ran is slower afterwards:
    /// segmentation took twice as long on it (2026-11-24).
    fn run_apart(&self, input: Tensor, cores: Cores) -> TractResult<TVec<TValue>> {
        let run = || self.plan.run(tvec!(input.into()));
        let single = one_core_pool().filter(|_| matches!(cores, Cores::One));
        if let Some(pool) = single {
            let run = AssertUnwindSafe(|| multithread_tract_scope(Executor::SingleThread, run));
            return pool.install(|| catch_unwind(run)).unwrap_or_else(|_| Err(TractError::msg("tract panicked")));
        }
        let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        std::thread::scope(|scope| {
            let run = scope.spawn(run);
            run.join().unwrap_or_else(|_| Err(TractError::msg("tract panicked")))
        })
    }

    fn answer(&self, input: &[f32], cores: Cores) -> Result<Output, InspectionError> {
        let c = &self.contract;
        check_input(c, input)?;
        let failed = |e: TractError| InspectionError::ModelRun(format!("{e:#}"));
        let tensor = Tensor::from_shape(&[1, c.channels, c.height, c.width], input).map_err(failed)?;
        let outputs = self.run_apart(tensor, cores).map_err(failed)?;
        let values = |k: usize| -> Result<Vec<f32>, InspectionError> {
            let output = outputs.get(k).ok_or_else(|| InspectionError::ModelRun("it gave no output".to_owned()))?;
            let values: Vec<f32> = output.to_plain_array_view::<f32>().map_err(failed)?.iter().copied().collect();
            c.checked(&values)
        };
        Ok(Output { values: values(0)?, scores: if c.scores { Some(values(1)?) } else { None } })
    }
}

fn contract_of(model: &TypedModel) -> Result<Contract, String> {
    let port = |outlet: &OutletId| -> Result<Port, String> {
        let fact = model.outlet_fact(*outlet).map_err(|e| e.to_string())?;
        let name = model.outlet_label(*outlet).map_or_else(|| model.node(outlet.node).name.clone(), str::to_owned);
        let other_type = (fact.datum_type != f32::datum_type()).then(|| format!("{:?}", fact.datum_type));
        let shape = fact.shape.as_concrete().map(<[usize]>::to_vec).ok_or_else(|| format!("{:?}", fact.shape));
        Ok(Port { name, other_type, shape })
    };
    let ports = |outlets: &[OutletId]| outlets.iter().map(port).collect::<Result<Vec<Port>, String>>();
    let inputs = ports(model.input_outlets().map_err(|e| e.to_string())?)?;
    Contract::of(&inputs, &ports(model.output_outlets().map_err(|e| e.to_string())?)?)
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

    fn run(&self, input: &[f32]) -> Result<Output, InspectionError> {
        self.answer(input, Cores::All)
    }

    fn run_on_one_core(&self, input: &[f32]) -> Result<Output, InspectionError> {
        self.answer(input, Cores::One)
    }
}
