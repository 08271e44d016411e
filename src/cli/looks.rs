//! `intact looks`: what the embedding network sees of items and of their references, for training (`training/README.md`).

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use captures::load_rgbd;
use clap::Args;
use datasets::{Format, Sample, SharedCamera, Split};
use inspection::{EMBEDDING_CHANNELS, EmptyTray, SegmentationParams, embedding_input, segment};
use matching::{CUTOUT_MARGIN, Cutout, Gallery, GalleryOptions};
use rayon::prelude::*;

use super::arrays::{Npy, field};
use super::crops::empty_trays;
use super::eval::{PRODUCT, pristine};
use super::gallery::find_product;
use super::listed;
use super::progress;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  intact booth generate --seed 400 --items 400 --products 80 --split train --out out/booth
  intact looks out/booth --format booth --split train --out out/looks

Writes looks.npy (uint8 [N, 4, side, side]: red, green, blue, and where the thing is; cut out, in the middle, its longer side at seven
eighths) and looks.csv with a row each: references (kind `reference`) and the items that perception finds (kind `item`). A .jsonl file
lists photographs, one object a line: {\"id\",\"item\",\"color\",\"references\": [pictures]}; the item is looked for in the photograph.")]
pub struct LooksArgs {
    /// Folder of a data set that brings references, or a .jsonl file
    dataset: PathBuf,
    /// Layout of the folder: booth, kaputt
    #[arg(long)]
    format: Option<Format>,
    /// Part of the data set
    #[arg(long, default_value = "train")]
    split: Split,
    /// Side of the looks, pixels
    #[arg(long, default_value_t = 160)]
    side: usize,
    /// Folder to write; it must not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// One row of the output.
struct Row {
    bytes: Vec<u8>,
    text: String,
}

pub fn run(args: &LooksArgs) -> Result<ExitCode> {
    ensure!((32..=512).contains(&args.side), "--side {}: 32 to 512 is expected", args.side);
    ensure!(!args.out.exists(), "{} exists; choose another --out, nothing is overwritten", args.out.display());
    let (mut samples, shared) = match args.format {
        Some(format) => datasets::read(&args.dataset, format, args.split)?,
        None => (listed::read(&args.dataset)?.into_iter().map(|job| job.sample).collect(), None),
    };
    let trays = shared.as_ref().map_or_else(|| Ok(Vec::new()), |s| empty_trays(&args.dataset, s))?;
    for sample in &mut samples {
        let camera = shared.as_ref().and_then(|s| s.cameras.get(sample.camera));
        sample.fx_fy_cx_cy = sample.fx_fy_cx_cy.or(camera.map(SharedCamera::fx_fy_cx_cy));
    }
    samples.retain(|s| !s.references.is_empty());
    ensure!(!samples.is_empty(), "{}: no sample of the split `{}` has references", args.dataset.display(), args.split.name());
    // Products one after another; captures of one product share its references.
    samples.sort_by(|a, b| first_of(a).cmp(&first_of(b)));
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let mut looks = Npy::create(&args.out.join("looks.npy"), vec![EMBEDDING_CHANNELS, args.side, args.side])?;
    let mut table = BufWriter::new(File::create(args.out.join("looks.csv"))?);
    writeln!(table, "product,family,source,kind,id,camera,damaged")?;
    let bar = progress::bar(samples.len(), "captures");
    let source = args.dataset.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let groups: Vec<&[Sample]> = samples.chunk_by(|a, b| a.references == b.references).collect();
    for batch in groups.chunks(2 * rayon::current_num_threads()) {
        let rows: Result<Vec<Vec<Row>>> =
            batch.par_iter().map(|group| of_product(group, &trays, &source, args.format.is_none(), args.side)).collect();
        for row in rows?.iter().flatten() {
            looks.push(&row.bytes)?;
            writeln!(table, "{}", row.text)?;
        }
        bar.inc(batch.iter().map(|g| g.len() as u64).sum());
    }
    bar.finish_and_clear();
    table.flush()?;
    let n = looks.finish()?;
    say!("{}: {n} looks of {} products", args.out.display(), groups.len());
    Ok(ExitCode::SUCCESS)
}

/// The first picture of its product.
fn first_of(sample: &Sample) -> Option<&PathBuf> {
    sample.references.first().map(|r| &r.picture)
}

/// The references of a product, and its items as they are found.
fn of_product(samples: &[Sample], trays: &[EmptyTray], source: &str, are_photographs: bool, side: usize) -> Result<Vec<Row>> {
    let Some(first) = samples.first() else { return Ok(Vec::new()) };
    // In a data set items are single things; its products have no names but those of their pictures.
    let stem = first_of(first).and_then(|p| p.file_stem()).map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let product = if are_photographs { first.item.clone() } else { format!("{source}-{stem}") };
    let row = |cutout: &Cutout, kind: &str, id: &str, camera: usize, damaged: bool| -> Result<Row> {
        let names = [&product, &first.family, source, kind, id].map(field);
        Ok(Row {
            bytes: embedding_input(cutout.color(), cutout.foreground(), side)?,
            text: format!("{},{camera},{}", names.join(","), u8::from(damaged)),
        })
    };
    let mut rows = Vec::new();
    let mut pictures = Vec::new();
    for (n, reference) in first.references.iter().enumerate() {
        let picture = pristine(n, reference, false)?;
        rows.push(row(&picture.cutout, "reference", &n.to_string(), 0, false)?);
        pictures.push(picture);
    }
    let gallery = are_photographs.then(|| Gallery::new(pictures, GalleryOptions::default()).0);
    for sample in samples {
        let seen = match &gallery {
            Some(gallery) => in_photograph(sample, gallery)?,
            None => in_booth(sample, trays.get(sample.camera)).with_context(|| format!("sample `{}`", sample.id))?,
        };
        if let Some(cutout) = seen {
            rows.push(row(&cutout, "item", &sample.id, sample.camera, sample.damaged)?);
        }
    }
    Ok(rows)
}

/// Where the references say that it is; `None` where they do not.
fn in_photograph(sample: &Sample, gallery: &Gallery) -> Result<Option<Cutout>> {
    let found = find_product(gallery, PRODUCT, &sample.color).map_err(anyhow::Error::msg)?;
    Ok(found.is_found.then_some(found.cutout))
}

/// The largest thing that perception finds.
fn in_booth(sample: &Sample, tray: Option<&EmptyTray>) -> Result<Option<Cutout>> {
    let depth = sample.depth.as_ref().map(|d| (d.path.as_path(), d.unit_m));
    let frame = load_rgbd(&sample.color, depth, sample.fx_fy_cx_cy)?;
    let params = SegmentationParams { one_item: sample.one_item, ..SegmentationParams::default() };
    let found = segment(&frame, tray, &params, None)?;
    let Some(item) = found.instances.iter().max_by_key(|i| i.area_px) else { return Ok(None) };
    let rect = item.bbox.with_margin(CUTOUT_MARGIN, frame.color.width(), frame.color.height());
    Ok(Some(Cutout::of_label(&frame.color, &found.mask, item.id, rect)?))
}
