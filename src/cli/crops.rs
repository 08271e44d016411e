//! `intact crops`: what a damage model sees of each item of a data set, for training (`training/README.md`).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use captures::load_rgbd;
use clap::Args;
use datasets::{Format, Sample, Shared, SharedCamera, Split};
use inspection::{EmptyTray, EngineKind, ItemFinder, ModelInput, SegmentationParams, model_inputs};
use rayon::prelude::*;
use vision::Rect;

use super::arrays::{Npy, field};
use super::listed::{self, Job};
use super::progress;

/// Channels of `inputs.npy`; docs/model-contract.md says what each is.
const CHANNELS: usize = 6;
/// Pictures in work at once: enough for every core, few enough for memory.
const BATCH: usize = 16;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  intact crops out/booth --format booth --split train --out out/crops
  intact crops real.jsonl --out out/real

Writes inputs.npy (uint8 [N, 6, side, side]: red, green, blue, depth behind the hull, height, place), damage.npy (uint8
[N, side, side], bit k for type k of Kaputt's list), and crops.csv with a row each. A .jsonl file lists captures of undamaged
goods, one object a line: {\"id\",\"item\",\"color\"} and, where there are, \"depth\", \"depth_unit_m\", \"camera\": [fx,fy,cx,cy],
\"background\": [color, depth], \"one_item\".")]
pub struct CropsArgs {
    /// Folder of a data set, or a .jsonl file
    dataset: PathBuf,
    /// Layout of the folder: booth, kaputt, mvtec
    #[arg(long)]
    format: Option<Format>,
    /// Part of the data set (booth, kaputt)
    #[arg(long, default_value = "train")]
    split: Split,
    /// Side of the crops, pixels
    #[arg(long, default_value_t = 384)]
    side: usize,
    /// Leave the depth and the pictures of the empty tray out
    #[arg(long)]
    colour_alone: bool,
    /// Folder to write; it must not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// One row of the output.
struct Row {
    input: ModelInput,
    damage: Vec<u8>,
    text: String,
}

pub fn run(args: &CropsArgs) -> Result<ExitCode> {
    ensure!((32..=1024).contains(&args.side), "--side {}: 32 to 1024 is expected", args.side);
    ensure!(!args.out.exists(), "{} exists; choose another --out, nothing is overwritten", args.out.display());
    let (mut jobs, trays) = jobs(args)?;
    if args.colour_alone {
        jobs.iter_mut().for_each(Job::forget_depth);
        // A capture that is listed with and without depth counts once.
        let mut seen = BTreeSet::new();
        jobs.retain(|job| seen.insert(job.sample.color.clone()));
    }
    ensure!(!jobs.is_empty(), "{}: it lists no capture", args.dataset.display());
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let finder = ItemFinder::load(EngineKind::default())?;
    let mut out = Output::new(args)?;
    let bar = progress::bar(jobs.len(), "captures");
    let mut without = 0;
    for batch in jobs.chunks(BATCH) {
        let rows: Result<Vec<Vec<Row>>> = batch.par_iter().map(|job| cut(job, trays.get(job.sample.camera), &finder, args.side)).collect();
        for rows in rows? {
            without += usize::from(rows.is_empty());
            rows.iter().try_for_each(|row| out.push(row))?;
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    let n = out.finish()?;
    say!("{}: {n} crops of {} captures, {without} captures without an item", args.out.display(), jobs.len());
    Ok(ExitCode::SUCCESS)
}

/// What to cut up, and the empty tray of each camera that it shares.
fn jobs(args: &CropsArgs) -> Result<(Vec<Job>, Vec<EmptyTray>)> {
    let Some(format) = args.format else {
        ensure!(args.dataset.is_file(), "{} is a folder: say its layout with --format booth, kaputt or mvtec", args.dataset.display());
        return Ok((listed::read(&args.dataset)?, Vec::new()));
    };
    let (samples, shared) = datasets::read(&args.dataset, format, args.split)?;
    let shown = shared.as_ref().filter(|_| !args.colour_alone);
    let trays = shown.map_or_else(|| Ok(Vec::new()), |s| empty_trays(&args.dataset, s))?;
    let job = |mut sample: Sample| {
        let camera = shared.as_ref().and_then(|s| s.cameras.get(sample.camera));
        sample.fx_fy_cx_cy = sample.fx_fy_cx_cy.or(camera.map(SharedCamera::fx_fy_cx_cy));
        Job { sample, background: None }
    };
    Ok((samples.into_iter().map(job).collect(), trays))
}

/// The empty tray through each camera.
pub(super) fn empty_trays(root: &Path, shared: &Shared) -> Result<Vec<EmptyTray>> {
    let load = |camera: &SharedCamera| {
        let depth = root.join(&camera.background_depth);
        let frame = load_rgbd(&root.join(&camera.background), Some((&depth, shared.depth_unit_m)), Some(camera.fx_fy_cx_cy()))?;
        Ok(EmptyTray::new(frame))
    };
    shared.cameras.iter().map(load).collect()
}

/// The crops of one capture. Where one item is expected only the largest counts.
fn cut(job: &Job, tray: Option<&EmptyTray>, finder: &ItemFinder, side: usize) -> Result<Vec<Row>> {
    let sample = &job.sample;
    let (frame, own) = job.load()?;
    let params = SegmentationParams { one_item: sample.one_item, ..SegmentationParams::default() };
    let mut inputs =
        model_inputs(&frame, own.as_ref().or(tray), &params, Some(finder), side).with_context(|| format!("sample `{}`", sample.id))?;
    if sample.one_item {
        inputs.truncate(1);
    }
    let truth = match &sample.damage_mask {
        Some(path) => Some(image::open(path).with_context(|| path.display().to_string())?.into_luma8()),
        None => None,
    };
    let rows = inputs.into_iter().map(|input| {
        let damage = truth.as_ref().map_or_else(|| vec![0; side * side], |t| truth_of(t, input.crop, side));
        let Rect { x, y, w, h } = input.crop;
        let classical = input.classical.map(|s| s.to_string()).unwrap_or_default();
        let text = format!(
            "{},{},{},{},{},{},{},{},{},{x},{y},{w},{h},{classical}",
            field(&sample.id),
            field(&sample.item),
            input.id,
            field(&sample.family),
            field(&sample.material),
            field(&sample.lookalike),
            u8::from(sample.damaged),
            u8::from(sample.major),
            sample.types.join("+")
        );
        Row { input, damage, text }
    });
    Ok(rows.collect())
}

/// Damage bits of the crop, nearest pixel.
fn truth_of(truth: &image::GrayImage, crop: Rect, side: usize) -> Vec<u8> {
    let at = |i: usize, from: u32, size: u32| from + (2 * i as u32 + 1) * size / (2 * side as u32);
    let pixel = |x: u32, y: u32| truth.get_pixel_checked(x, y).map_or(0, |p| p.0[0]);
    (0..side * side).map(|i| pixel(at(i % side, crop.x, crop.w), at(i / side, crop.y, crop.h))).collect()
}

/// The three files.
struct Output {
    inputs: Npy,
    damage: Npy,
    table: BufWriter<File>,
}

impl Output {
    fn new(args: &CropsArgs) -> Result<Output> {
        let mut table = BufWriter::new(File::create(args.out.join("crops.csv"))?);
        writeln!(table, "id,item,instance,family,material,lookalike,damaged,major,types,x,y,w,h,classical")?;
        Ok(Output {
            inputs: Npy::create(&args.out.join("inputs.npy"), vec![CHANNELS, args.side, args.side])?,
            damage: Npy::create(&args.out.join("damage.npy"), vec![args.side, args.side])?,
            table,
        })
    }

    fn push(&mut self, row: &Row) -> Result<()> {
        let bytes: Vec<u8> = row.input.values.iter().map(|v| (v * 255.0).round() as u8).collect();
        self.inputs.push(&bytes)?;
        self.damage.push(&row.damage)?;
        writeln!(self.table, "{}", row.text)?;
        Ok(())
    }

    fn finish(mut self) -> Result<usize> {
        self.table.flush()?;
        self.damage.finish()?;
        self.inputs.finish()
    }
}
