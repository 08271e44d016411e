//! `intact pairs`: items beside the references that were laid over them, for training (`training/README.md`).

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use captures::load_rgbd;
use clap::Args;
use datasets::{Format, Sample, SharedCamera, Split};
use inspection::{EmptyTray, EngineKind, Inspector, ModelChoice};
use matching::{CUTOUT_MARGIN, Cutout, Discrepancy, Gallery, GalleryOptions, PAIR_CHANNELS, PAIR_SIDE};
use rayon::prelude::*;
use vision::Rect;

use super::arrays::{Npy, field};
use super::crops::empty_trays;
use super::eval::{PRODUCT, pristine};
use super::gallery::find_product;
use super::listed;
use super::progress;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  intact booth generate --seed 200 --items 500 --split train --out out/booth
  intact pairs out/booth --format booth --split train --out out/pairs

Writes inputs.npy (uint8 [N, 9, 256, 256]: the item's red, green, blue; the reference's; their difference; where they could be
compared; perception's damage), damage.npy (uint8 [N, 256, 256], bit k for type k of Kaputt's list), and pairs.csv with a row each.
Items over which no reference could be laid are left out. A .jsonl file lists photographs of undamaged goods, one object a line:
{\"id\",\"item\",\"color\",\"references\": [pictures]}; the item is looked for in the photograph.")]
pub struct PairsArgs {
    /// Folder of a data set that brings references, or a .jsonl file
    dataset: PathBuf,
    /// Layout of the folder: booth, kaputt
    #[arg(long)]
    format: Option<Format>,
    /// Part of the data set
    #[arg(long, default_value = "train")]
    split: Split,
    /// Leave the depth out
    #[arg(long)]
    colour_alone: bool,
    /// Folder to write; it must not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// One row of the output.
struct Row {
    bytes: Vec<u8>,
    damage: Vec<u8>,
    text: String,
}

pub fn run(args: &PairsArgs) -> Result<ExitCode> {
    ensure!(!args.out.exists(), "{} exists; choose another --out, nothing is overwritten", args.out.display());
    let (mut samples, shared) = match args.format {
        Some(format) => datasets::read(&args.dataset, format, args.split)?,
        None => (listed::read(&args.dataset)?.into_iter().map(|job| job.sample).collect(), None),
    };
    let trays = match shared.as_ref().filter(|_| !args.colour_alone) {
        Some(shared) => empty_trays(&args.dataset, shared)?,
        None => Vec::new(),
    };
    for sample in &mut samples {
        let camera = shared.as_ref().and_then(|s| s.cameras.get(sample.camera));
        sample.fx_fy_cx_cy = sample.fx_fy_cx_cy.or(camera.map(SharedCamera::fx_fy_cx_cy));
        if args.colour_alone {
            sample.depth = None;
        }
    }
    samples.retain(|s| !s.references.is_empty());
    ensure!(!samples.is_empty(), "{}: no sample of the split `{}` has references", args.dataset.display(), args.split.name());
    // Products one after another, so that each is enrolled once.
    samples.sort_by(|a, b| a.references.first().map(|r| &r.picture).cmp(&b.references.first().map(|r| &r.picture)));
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let mut inputs = Npy::create(&args.out.join("inputs.npy"), vec![PAIR_CHANNELS, PAIR_SIDE, PAIR_SIDE])?;
    let mut damage = Npy::create(&args.out.join("damage.npy"), vec![PAIR_SIDE, PAIR_SIDE])?;
    let mut table = BufWriter::new(File::create(args.out.join("pairs.csv"))?);
    writeln!(table, "id,item,family,material,lookalike,damaged,major,types,damage,anomaly,coverage,x,y,w,h")?;
    let bar = progress::bar(samples.len(), "captures");
    let (choice, engine) = (ModelChoice::BuiltIn, EngineKind::default());
    let perception = Inspector { models: choice.load(engine)?, finder: choice.finder(engine)?, ..Inspector::default() };
    let groups: Vec<&[Sample]> = samples.chunk_by(|a, b| a.references == b.references).collect();
    for batch in groups.chunks(2 * rayon::current_num_threads()) {
        let rows: Result<Vec<Vec<Row>>> =
            batch.par_iter().map(|group| of_product(group, &perception, &trays, args.format.is_none())).collect();
        for row in rows?.iter().flatten() {
            inputs.push(&row.bytes)?;
            damage.push(&row.damage)?;
            writeln!(table, "{}", row.text)?;
        }
        bar.inc(batch.iter().map(|g| g.len() as u64).sum());
    }
    bar.finish_and_clear();
    table.flush()?;
    damage.finish()?;
    let n = inputs.finish()?;
    say!("{}: {n} of {} items laid over a reference", args.out.display(), samples.len());
    Ok(ExitCode::SUCCESS)
}

/// The pairs of samples that share their references.
fn of_product(samples: &[Sample], perception: &Inspector, trays: &[EmptyTray], are_photographs: bool) -> Result<Vec<Row>> {
    let Some(first) = samples.first() else { return Ok(Vec::new()) };
    let pictures: Result<Vec<_>> = first.references.iter().enumerate().map(|(n, r)| pristine(n, r, false)).collect();
    let (gallery, _) = Gallery::new(pictures?, GalleryOptions::default());
    let rows: Result<Vec<Option<Row>>> = samples
        .iter()
        .map(|s| row(s, &gallery, perception, trays, are_photographs).with_context(|| format!("sample `{}`", s.id)))
        .collect();
    Ok(rows?.into_iter().flatten().collect())
}

/// `None`: nothing was found in the picture, or no reference could be laid over it.
fn row(sample: &Sample, gallery: &Gallery, perception: &Inspector, trays: &[EmptyTray], is_photograph: bool) -> Result<Option<Row>> {
    let depth = sample.depth.as_ref().map(|d| (d.path.as_path(), d.unit_m));
    let frame = load_rgbd(&sample.color, depth, sample.fx_fy_cx_cy)?;
    let mut params = perception.params.clone();
    params.segmentation.one_item = sample.one_item;
    let inspector = Inspector { params, ..perception.clone() };
    let found = inspector.inspect(&frame, trays.get(sample.camera), &mut |_| ())?;
    let Some(item) = found.items.iter().max_by_key(|i| i.area_px) else { return Ok(None) };
    let (cutout, rect) = if is_photograph {
        let found = find_product(gallery, PRODUCT, &sample.color).map_err(anyhow::Error::msg)?;
        if !found.is_found {
            return Ok(None);
        }
        (found.cutout, found.rect)
    } else {
        let rect = item.bbox.with_margin(CUTOUT_MARGIN, frame.color.width(), frame.color.height());
        (Cutout::of_label(&frame.color, &found.mask, item.id, rect)?, rect)
    };
    let Some(differs) = gallery.judge(&gallery.prepare(cutout)?, PRODUCT)?.discrepancy else { return Ok(None) };
    let heat = found.heatmap.crop(rect).context("an item lies in its picture")?;
    let Rect { x, y, w, h } = rect;
    let text = format!(
        "{},{},{},{},{},{},{},{},{},{},{},{x},{y},{w},{h}",
        field(&sample.id),
        field(&sample.item),
        field(&sample.family),
        field(&sample.material),
        field(&sample.lookalike),
        u8::from(sample.damaged),
        u8::from(sample.major),
        sample.types.join("+"),
        item.damage_score,
        differs.score,
        differs.coverage
    );
    Ok(Some(Row { bytes: differs.pair.bytes(Some(&heat))?, damage: truth(sample, &differs, rect)?, text }))
}

/// Damage bits where the pair shows them, nearest pixel.
fn truth(sample: &Sample, differs: &Discrepancy, rect: Rect) -> Result<Vec<u8>> {
    let mut out = vec![0; PAIR_SIDE * PAIR_SIDE];
    let Some(path) = &sample.damage_mask else { return Ok(out) };
    let truth = image::open(path).with_context(|| path.display().to_string())?.into_luma8();
    let [left, top, width, height] = differs.pair.place();
    for (i, value) in out.iter_mut().enumerate() {
        let (column, row) = (i % PAIR_SIDE, i / PAIR_SIDE);
        if (left..left + width).contains(&column) && (top..top + height).contains(&row) {
            let at = |k: usize, from: u32, length: u32, of: usize| from + (2 * k as u32 + 1) * length / (2 * of as u32);
            let pixel = truth.get_pixel_checked(at(column - left, rect.x, rect.w, width), at(row - top, rect.y, rect.h, height));
            *value = pixel.map_or(0, |p| p.0[0]);
        }
    }
    Ok(out)
}
