//! `intact booth generate`: labelled captures as files, in Kaputt's tables with depth and masks beside them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use booth::{Booth, BoothSpec, Capture, KaputtType, Part, Reference, Truth};
use clap::Args;
use datasets::{Column, SHARED_FILE, Shared, SharedCamera, Split, TableWriter};
use image::GrayImage;
use rayon::prelude::*;
use vision::{LabelMask, Rect, RgbdFrame};

use super::super::progress;
use super::files::{bit_of, damage_png, depth_png, gray16, jpeg};

/// Quality of the colour pictures, as cameras in cells write them.
const JPEG_QUALITY: u8 = 92;
/// Ring of tray around an item in its crop, share of its size.
const CROP_MARGIN: f32 = 0.15;
/// Depth in millimetres, as a D435 gives it.
const DEPTH_UNIT_M: f64 = 1e-3;
/// Depth without noise, in tenths of millimetres.
const TRUE_DEPTH_UNIT_M: f64 = 1e-4;
/// Captures made at once: enough for every core, few enough for memory.
const BATCH: usize = 16;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  intact booth generate --seed 7 --items 500 --out out/booth && intact eval out/booth --format booth --references auto

The folder holds query-<split>.parquet and reference-<split>.parquet with Kaputt's columns (and product, family, lookalike,
query_depth, query_true_depth, query_damage), and booth.json with camera and empty tray. query_mask numbers the items; query_depth is
what the camera measures, in millimetres, query_true_depth what is there, in tenths of them; query_damage has bit k set where type k
of Kaputt's list shows. With several cameras there is a row a camera: `item_identifier` is the item's, and
so are `defect`, `major_defect` and `defect_types`; mask, depth and damage are what the camera of `camera` sees; poses and intrinsics
stand in booth.json.")]
pub struct GenerateArgs {
    /// Another seed, other products, items, damage and light
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of captures
    #[arg(long, default_value_t = 200)]
    items: usize,
    /// Folder to write; it must not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Size of the pictures
    #[arg(long, default_value = "640x480", value_parser = super::parse_size, value_name = "WxH")]
    size: (u32, u32),
    /// Share of items with damage
    #[arg(long, default_value_t = 0.35)]
    damaged: f64,
    /// Part of a data set: the same seed gives other products in each, and only `test` shows what training never sees
    /// (families book and tube, look-alikes torn edge and puddle, dents, holes, wet patches, the conveyor)
    #[arg(long, default_value = "test")]
    split: Split,
    /// Number of products to draw from [default: one for eight captures, at least 24]
    #[arg(long, value_name = "N")]
    products: Option<usize>,
    /// Cameras that look at each item at once (1 to 8): a capture each, of the same item with the same damage
    #[arg(long, default_value_t = 1, value_name = "N")]
    cameras: usize,
    /// Pristine pictures of each product, at least; one for each side on which it comes to rest, and never fewer than three
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true, conflicts_with = "no_references")]
    views: usize,
    /// Multi-packs hold loose pieces that lie elsewhere in every item, in place of cans side by side
    #[arg(long)]
    shuffled_units: bool,
    /// Leave out the pristine pictures of the products
    #[arg(long)]
    no_references: bool,
}

/// One row of the table of queries.
struct Row {
    id: String,
    item: String,
    camera: String,
    product: String,
    family: String,
    material: String,
    lookalike: Option<String>,
    types: Vec<&'static str>,
    damaged: bool,
    gross: bool,
    /// Damaged pixels; `None` when nothing is damaged.
    damage_px: Option<usize>,
    /// Their area, mm².
    damage_mm2: f32,
}

pub fn run(args: &GenerateArgs) -> Result<ExitCode> {
    ensure!(!args.out.exists(), "{} exists; choose another --out, nothing is overwritten", args.out.display());
    ensure!(args.items > 0, "--items 0: at least one capture is needed");
    let part = match args.split {
        Split::Train => Part::Train,
        Split::Validation => Part::Validation,
        Split::Test => Part::Test,
    };
    let booth = Booth::new(BoothSpec {
        width: args.size.0,
        height: args.size.1,
        items: args.items,
        products: args.products.unwrap_or((args.items / 8).max(24)),
        damage_fraction: args.damaged,
        cameras: args.cameras,
        shuffled_units: args.shuffled_units,
        ..part.spec(args.seed)
    })?;
    for folder in
        ["query-image", "query-crop", "query-mask", "query-depth", "query-true-depth", "query-damage", "reference-image", "reference-mask"]
    {
        let path = args.out.join(folder);
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
    }
    let rows = write_captures(&booth, args)?;
    write_queries(&rows, args)?;
    if !args.no_references {
        write_references(&booth, &rows, args)?;
    }
    write_shared(&booth, args)?;
    let (damaged, gross) = (rows.iter().filter(|r| r.damaged).count(), rows.iter().filter(|r| r.gross).count());
    let views = if args.cameras > 1 { format!(" through {} cameras", args.cameras) } else { String::new() };
    say!("{}: {} captures{views}, {damaged} damaged, {gross} of them grossly", args.out.display(), rows.len());
    Ok(ExitCode::SUCCESS)
}

fn write_captures(booth: &Booth, args: &GenerateArgs) -> Result<Vec<Row>> {
    let bar = progress::bar(args.items, "captures");
    let materials: std::collections::BTreeMap<String, String> =
        booth.products().into_iter().map(|p| (p.name.clone(), p.family.material().to_owned())).collect();
    let mut rows = Vec::with_capacity(args.items);
    for first in (0..args.items).step_by(BATCH) {
        let captures = booth.captures(first..(first + BATCH).min(args.items));
        let batch: Result<Vec<Vec<Row>>> = captures.par_iter().map(|capture| write_capture(capture, &args.out, &materials)).collect();
        rows.extend(batch?.into_iter().flatten());
        bar.inc(captures.len() as u64);
    }
    bar.finish_and_clear();
    Ok(rows)
}

/// A row a camera.
fn write_capture(capture: &Capture, out: &Path, materials: &std::collections::BTreeMap<String, String>) -> Result<Vec<Row>> {
    let views = std::iter::once((&capture.frame, &capture.truth)).chain(capture.beside.iter().map(|v| (&v.frame, &v.truth)));
    views.enumerate().map(|(camera, (frame, truth))| write_view(capture, camera, frame, truth, out, materials)).collect()
}

fn write_view(
    capture: &Capture,
    camera: usize,
    frame: &RgbdFrame,
    truth: &Truth,
    out: &Path,
    materials: &std::collections::BTreeMap<String, String>,
) -> Result<Row> {
    let name = super::camera_name(camera);
    let id = &if capture.beside.is_empty() { capture.item_id.clone() } else { format!("{}-{name}", capture.item_id) };
    jpeg(&out.join(format!("query-image/{id}.jpg")), &frame.color, JPEG_QUALITY)?;
    gray16(&out.join(format!("query-mask/{id}.png")), truth.mask.width(), truth.mask.height(), truth.mask.data().to_vec())?;
    if let Some(depth) = &frame.depth {
        depth_png(&out.join(format!("query-depth/{id}.png")), depth, DEPTH_UNIT_M)?;
    }
    depth_png(&out.join(format!("query-true-depth/{id}.png")), &truth.depth, TRUE_DEPTH_UNIT_M)?;
    if let Some((rect, _)) = truth.mask.extent(1)
        && let Some(crop) = frame.color.crop(with_margin(rect, &truth.mask))
    {
        jpeg(&out.join(format!("query-crop/{id}.jpg")), &crop, JPEG_QUALITY)?;
    }
    // What is damaged is the item's; where it shows, the camera's.
    let mut types: Vec<KaputtType> = capture.truth.damage.iter().map(|d| d.kaputt).collect();
    types.sort_unstable_by_key(|t| t.name());
    types.dedup();
    let mut damage_px = None;
    if !truth.damage.is_empty() {
        let masks = truth.damage.iter().map(|d| (bit_of(d.kaputt.name()), d.region.data()));
        damage_px = Some(damage_png(&out.join(format!("query-damage/{id}.png")), (truth.mask.width(), truth.mask.height()), masks)?);
    }
    let first = truth.instances.first();
    Ok(Row {
        id: id.clone(),
        item: capture.item_id.clone(),
        camera: name,
        product: capture.product.clone(),
        family: first.map(|i| i.family.name().to_owned()).unwrap_or_default(),
        material: materials.get(&capture.product).cloned().unwrap_or_default(),
        lookalike: first.and_then(|i| i.lookalike).map(|l| format!("{l:?}").to_lowercase()),
        types: types.into_iter().map(KaputtType::name).collect(),
        damaged: truth.is_damaged,
        gross: truth.is_gross,
        damage_px,
        damage_mm2: truth.damage.iter().map(|d| d.area_mm2).sum(),
    })
}

fn with_margin(rect: Rect, mask: &LabelMask) -> Rect {
    let margin = |size: u32| (size as f32 * CROP_MARGIN).round() as u32;
    let (x, y) = (rect.x.saturating_sub(margin(rect.w)), rect.y.saturating_sub(margin(rect.h)));
    let right = (rect.x + rect.w + margin(rect.w)).min(mask.width());
    let bottom = (rect.y + rect.h + margin(rect.h)).min(mask.height());
    Rect { x, y, w: right - x, h: bottom - y }
}

fn write_queries(rows: &[Row], args: &GenerateArgs) -> Result<()> {
    let text = |name: &'static str, of: &dyn Fn(&Row) -> Option<String>| Column::Text(name, rows.iter().map(of).collect());
    let path = args.out.join(format!("query-{}.parquet", args.split.name()));
    TableWriter::default()
        .column(text("capture_id", &|r| Some(r.id.clone())))
        .column(text("item_identifier", &|r| Some(r.item.clone())))
        .column(Column::Truth("defect", rows.iter().map(|r| r.damaged).collect()))
        .column(Column::Truth("major_defect", rows.iter().map(|r| r.gross).collect()))
        .column(text("defect_types", &|r| (!r.types.is_empty()).then(|| r.types.join(","))))
        .column(text("item_material", &|r| Some(r.material.clone())))
        .column(text("query_image", &|r| Some(format!("query-image/{}.jpg", r.id))))
        .column(text("query_crop", &|r| Some(format!("query-crop/{}.jpg", r.id))))
        .column(text("query_mask", &|r| Some(format!("query-mask/{}.png", r.id))))
        .column(text("query_depth", &|r| Some(format!("query-depth/{}.png", r.id))))
        .column(text("query_true_depth", &|r| Some(format!("query-true-depth/{}.png", r.id))))
        .column(text("query_damage", &|r| r.damage_px.map(|_| format!("query-damage/{}.png", r.id))))
        .column(text("product", &|r| Some(r.product.clone())))
        .column(text("family", &|r| Some(r.family.clone())))
        .column(text("lookalike", &|r| r.lookalike.clone()))
        .column(text("damage_px", &|r| r.damage_px.map(|n| format!("{:.1}", (n as f64).sqrt()))))
        .column(text("damage_mm", &|r| r.damage_px.map(|_| format!("{:.1}", r.damage_mm2.sqrt()))))
        .column(text("camera", &|r| Some(r.camera.clone())))
        .write(&path)?;
    Ok(())
}

fn write_references(booth: &Booth, rows: &[Row], args: &GenerateArgs) -> Result<()> {
    let mut products: Vec<&str> = rows.iter().map(|r| r.product.as_str()).collect();
    products.sort_unstable();
    products.dedup();
    let bar = progress::bar(products.len(), "products");
    let mut views = std::collections::BTreeMap::new();
    for product in products {
        let references = booth.references(product, args.views)?;
        for (n, reference) in references.iter().enumerate() {
            write_reference(&args.out, &format!("{product}-{n}"), reference)?;
        }
        views.insert(product, references.len());
        bar.inc(1);
    }
    bar.finish_and_clear();
    // Kaputt joins references by item; items of one product share their files.
    let items = rows.iter().filter(|r| r.camera == super::camera_name(0));
    let pairs: Vec<(&Row, usize)> =
        items.flat_map(|r| (0..views.get(r.product.as_str()).copied().unwrap_or(0)).map(move |n| (r, n))).collect();
    let text = |name: &'static str, of: &dyn Fn(&(&Row, usize)) -> String| Column::Text(name, pairs.iter().map(|p| Some(of(p))).collect());
    TableWriter::default()
        .column(text("item_identifier", &|(r, _)| r.item.clone()))
        .column(text("reference_image", &|(r, n)| format!("reference-image/{}-{n}.jpg", r.product)))
        .column(text("reference_crop", &|(r, n)| format!("reference-image/{}-{n}.jpg", r.product)))
        .column(text("reference_mask", &|(r, n)| format!("reference-mask/{}-{n}.png", r.product)))
        .write(&args.out.join(format!("reference-{}.parquet", args.split.name())))?;
    Ok(())
}

fn write_reference(out: &Path, name: &str, reference: &Reference) -> Result<()> {
    jpeg(&out.join(format!("reference-image/{name}.jpg")), &reference.color, JPEG_QUALITY)?;
    let (width, height) = (reference.mask.width(), reference.mask.height());
    let mask = reference.mask.data().iter().map(|l| if *l > 0 { 255 } else { 0 }).collect();
    let picture = GrayImage::from_raw(width, height, mask).context("a reference of the booth has an impossible size")?;
    let path = out.join(format!("reference-mask/{name}.png"));
    picture.save(&path).with_context(|| path.display().to_string())
}

fn write_shared(booth: &Booth, args: &GenerateArgs) -> Result<()> {
    let cameras: Result<Vec<SharedCamera>> = (0..booth.cameras()).map(|k| write_camera(booth, k, args)).collect();
    let true_depth_unit_m = Some(TRUE_DEPTH_UNIT_M);
    let shared = Shared { seed: args.seed, split: args.split, depth_unit_m: DEPTH_UNIT_M, true_depth_unit_m, cameras: cameras? };
    let path = args.out.join(SHARED_FILE);
    std::fs::write(&path, serde_json::to_string_pretty(&shared)?).with_context(|| path.display().to_string())
}

/// The empty tray through a camera, and what is said of it in `booth.json`.
fn write_camera(booth: &Booth, k: usize, args: &GenerateArgs) -> Result<SharedCamera> {
    let beyond = || format!("the booth has no camera {k}");
    let empty = booth.background_of(k).with_context(beyond)?;
    let (lens, pose) = (booth.intrinsics_of(k).with_context(beyond)?, booth.cell_from_camera_of(k).with_context(beyond)?);
    let suffix = if k == 0 { String::new() } else { format!("-{k}") };
    let (color, depth_file) = (format!("background{suffix}.jpg"), format!("background-depth{suffix}.png"));
    jpeg(&args.out.join(&color), &empty.color, JPEG_QUALITY)?;
    let depth = empty.depth.as_ref().context("the booth's empty tray has no depth")?;
    depth_png(&args.out.join(&depth_file), depth, DEPTH_UNIT_M)?;
    let (at, turn) = (pose.translation, pose.rotation.coords);
    Ok(SharedCamera {
        name: super::camera_name(k),
        intrinsics: [lens.fx, lens.fy, lens.cx, lens.cy, f64::from(lens.width), f64::from(lens.height)],
        cell_from_camera: [at.x, at.y, at.z, turn.x, turn.y, turn.z, turn.w],
        background: color.into(),
        background_depth: depth_file.into(),
    })
}
