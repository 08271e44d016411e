//! `intact booth inject`: real captures with damage put in, and their benign twins, as a data set for `intact eval`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use booth::KaputtType;
use clap::Args;
use datasets::{Column, SHARED_FILE, Shared, Split, TableWriter};
use image::imageops::{FilterType, replace, resize};
use image::{Rgb, RgbImage};
use injection::{InjectionError, Operator, Twins, inject};
use inspection::{EngineKind, ItemFinder, SegmentationParams, segment};
use rayon::prelude::*;
use vision::{ColorImage, LabelMask, Rect, RgbdFrame};

use super::super::listed::{self, Job};
use super::super::progress;
use super::files::{bit_of, damage_png, depth_png, gray16, jpeg};

/// Depth is written in tenths of a millimetre: no capture loses precision, up to 6.5 m.
const DEPTH_UNIT_M: f64 = 1e-4;
/// Least quality of the pictures, and how far it goes up; twins share theirs.
const JPEG_QUALITY: (u8, u8) = (82, 14);
/// How often damage that nobody can see is drawn anew.
const ATTEMPTS: u64 = 8;
/// A found item that covers more than this share of its picture is the scene, unless one item is expected.
const MOST_OF_PICTURE: f64 = 0.6;
/// Captures in work at once.
const BATCH: usize = 16;
/// Width and height of a picture on the sheet, pixels.
const TILE: u32 = 200;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  intact booth inject real.jsonl --splits training/splits.csv --out out/injected && intact eval out/injected --format booth

The list is that of `intact crops`: captures of undamaged goods, one object a line. Each of them gives --copies pairs: one
capture with damage put in, colour and depth together, and its sham, a benign edit of the same strength that goes through
the same warp, blend, noise and encoding. Items are found as the cell finds them, without a picture of the empty tray in
what is written. Pristine pictures that the list names as \"references\" are copied, for `intact eval --references auto`. The table has the kind of damage as `operator`, its type, and its size as `damage_px` and, where depth
and camera give the scale, `damage_mm` (root of the area).")]
pub struct InjectArgs {
    /// List of captures, .jsonl
    list: PathBuf,
    /// Folder to write; it must not exist yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Table `item,part`: only the items of --part are taken
    #[arg(long, value_name = "CSV")]
    splits: Option<PathBuf>,
    /// Which part of --splits
    #[arg(long, default_value = "test")]
    part: String,
    /// Pairs a capture
    #[arg(long, default_value_t = 4)]
    copies: usize,
    /// Other places, sizes and damage
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write a picture of the first pairs: before, damaged, sham
    #[arg(long, value_name = "PNG")]
    sheet: Option<PathBuf>,
    /// Pairs on the sheet
    #[arg(long, default_value_t = 48, value_name = "N")]
    sheet_pairs: usize,
}

/// A pair that was written.
struct Pair {
    id: String,
    item: String,
    operator: Operator,
    major: bool,
    damage_px: f64,
    damage_mm: Option<f64>,
    fx_fy_cx_cy: Option<[f64; 4]>,
    has_depth: bool,
    one_item: bool,
    tiles: Option<[RgbImage; 3]>,
}

pub fn run(args: &InjectArgs) -> Result<ExitCode> {
    ensure!(!args.out.exists(), "{} exists; choose another --out, nothing is overwritten", args.out.display());
    ensure!(args.copies > 0, "--copies 0: at least one pair a capture is needed");
    let mut jobs = listed::read(&args.list)?;
    if let Some(file) = &args.splits {
        let wanted = part(file, &args.part)?;
        jobs.retain(|j| wanted.contains(&j.sample.item));
    }
    ensure!(!jobs.is_empty(), "{}: it lists no capture of the part `{}`", args.list.display(), args.part);
    for folder in ["query-image", "query-depth", "query-mask", "query-damage"] {
        let path = args.out.join(folder);
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
    }
    let pairs = write_pairs(&jobs, args)?;
    ensure!(!pairs.is_empty(), "in none of {} captures an item was found that damage could be put into", jobs.len());
    write_table(&pairs, &args.out)?;
    write_references(&jobs, &pairs, &args.out)?;
    let shared = Shared { seed: args.seed, split: Split::Test, depth_unit_m: DEPTH_UNIT_M, true_depth_unit_m: None, cameras: Vec::new() };
    std::fs::write(args.out.join(SHARED_FILE), serde_json::to_string_pretty(&shared)?)?;
    if let Some(path) = &args.sheet {
        sheet(&pairs).save(path).with_context(|| path.display().to_string())?;
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    pairs.iter().for_each(|p| *kinds.entry(p.operator.name()).or_default() += 1);
    let kinds: Vec<String> = kinds.iter().map(|(k, n)| format!("{k} {n}")).collect();
    let asked = jobs.len() * args.copies;
    say!("{}: {} pairs of {asked} asked for, from {} captures: {}", args.out.display(), pairs.len(), jobs.len(), kinds.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// Items of a part.
fn part(file: &Path, part: &str) -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let rows = text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.rsplit_once(','));
    Ok(rows.filter(|(_, p)| *p == part).map(|(item, _)| item.to_owned()).collect())
}

fn write_pairs(jobs: &[Job], args: &InjectArgs) -> Result<Vec<Pair>> {
    let bar = progress::bar(jobs.len(), "captures");
    let every = (jobs.len() * args.copies / args.sheet_pairs.max(1)).max(1);
    let with_depth: BTreeMap<&PathBuf, &Job> = jobs.iter().filter(|j| j.sample.depth.is_some()).map(|j| (&j.sample.color, j)).collect();
    let finder = ItemFinder::load(EngineKind::default())?;
    let numbered: Vec<(usize, &Job)> = jobs.iter().enumerate().collect();
    let mut pairs = Vec::new();
    for batch in numbered.chunks(BATCH) {
        let made: Result<Vec<Vec<Pair>>> =
            batch.par_iter().map(|job| pairs_of(*job, with_depth.get(&job.1.sample.color).copied(), &finder, every, args)).collect();
        pairs.extend(made?.into_iter().flatten());
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok(pairs)
}

/// The items of a capture, as the cell finds them. `with_depth` is the same capture with its depth, which shows items better.
fn items_of(job: &Job, with_depth: Option<&Job>, finder: &ItemFinder) -> Result<Option<(LabelMask, Vec<u16>)>> {
    let sample = &job.sample;
    let (frame, tray) = with_depth.unwrap_or(job).load()?;
    let params = SegmentationParams { one_item: sample.one_item, ..SegmentationParams::default() };
    let found = segment(&frame, tray.as_ref(), &params, Some(finder)).with_context(|| format!("sample `{}`", sample.id))?;
    let picture = f64::from(frame.color.width()) * f64::from(frame.color.height());
    // Without depth a table and a shelf look like items: what reaches the border, or is not in the middle, is left alone.
    let trusted = |item: &&inspection::Instance| {
        frame.depth.is_some()
            || if sample.one_item {
                is_central(&found.mask, item.id)
            } else {
                !item.clipped && f64::from(item.area_px) < MOST_OF_PICTURE * picture
            }
    };
    let take = if sample.one_item { 1 } else { usize::MAX };
    let labels: Vec<u16> = found.instances.iter().take(take).filter(trusted).map(|i| i.id).collect();
    Ok((!labels.is_empty()).then_some((found.mask, labels)))
}

/// True when the item fills a good part of the middle of the picture.
fn is_central(mask: &LabelMask, label: u16) -> bool {
    let (w, h) = (mask.width(), mask.height());
    let middle = Rect { x: w / 3, y: h / 3, w: (w / 3).max(1), h: (h / 3).max(1) };
    mask.crop(middle).is_some_and(|m| m.data().iter().filter(|l| **l == label).count() * 4 > m.data().len())
}

/// All pairs of one capture.
fn pairs_of(
    (number, job): (usize, &Job),
    with_depth: Option<&Job>,
    finder: &ItemFinder,
    every: usize,
    args: &InjectArgs,
) -> Result<Vec<Pair>> {
    let sample = &job.sample;
    let (frame, _) = job.load()?;
    let Some((mask, labels)) = items_of(job, with_depth, finder)? else { return Ok(Vec::new()) };
    let mut pairs = Vec::new();
    for copy in 0..args.copies {
        // Each kind comes in turn, over all captures.
        let turn = number * args.copies + copy;
        let operator = Operator::ALL[turn % Operator::ALL.len()];
        let Some(label) = labels.get(copy % labels.len().max(1)).copied() else { continue };
        if let Some((twins, major)) = draw(&frame, &mask, label, operator, sample, args.seed, turn as u64)? {
            let show = args.sheet.is_some() && turn.is_multiple_of(every);
            pairs.push(write_pair(job, &frame, &mask, label, operator, &twins, (turn, major, show), &args.out)?);
        }
    }
    Ok(pairs)
}

/// A damage that a labeller would see, by the booth's rule, and whether it is major. `None` when the item has no place for it.
fn draw(
    frame: &RgbdFrame,
    mask: &LabelMask,
    label: u16,
    operator: Operator,
    sample: &datasets::Sample,
    seed: u64,
    turn: u64,
) -> Result<Option<(Twins, bool)>> {
    let step = sample.depth.as_ref().map_or(DEPTH_UNIT_M, |d| d.unit_m) as f32;
    for attempt in 0..ATTEMPTS {
        let own = (seed << 40) ^ (turn << 8) ^ attempt;
        let twins = match inject(frame, mask, label, operator, step, own) {
            Ok(twins) => twins,
            Err(InjectionError::NoPlace | InjectionError::Small(_)) => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("sample `{}`", sample.id)),
        };
        let e = twins.extent;
        let extent = booth::Extent { area_mm2: e.area_mm2, depth_mm: e.depth_mm, item_area_mm2: e.item_area_mm2 };
        if let Some(severity) = booth::severity(kaputt(operator), extent) {
            return Ok(Some((twins, severity == booth::Severity::Major)));
        }
    }
    Ok(None)
}

fn kaputt(operator: Operator) -> KaputtType {
    let all = [
        KaputtType::Deformation,
        KaputtType::Penetration,
        KaputtType::Actuation,
        KaputtType::Deconstruction,
        KaputtType::Spillage,
        KaputtType::Superficial,
        KaputtType::MissingUnit,
    ];
    all.into_iter().find(|k| k.name() == operator.kaputt()).unwrap_or(KaputtType::Superficial)
}

#[expect(clippy::too_many_arguments, reason = "what one pair is made of")]
fn write_pair(
    job: &Job,
    frame: &RgbdFrame,
    mask: &LabelMask,
    label: u16,
    operator: Operator,
    twins: &Twins,
    (turn, major, show): (usize, bool, bool),
    out: &Path,
) -> Result<Pair> {
    let sample = &job.sample;
    let id = format!("{}-{turn}", sample.id.replace('/', "-"));
    let quality = JPEG_QUALITY.0 + (turn * 5 % usize::from(JPEG_QUALITY.1)) as u8;
    for (side, edited) in [("damaged", &twins.damaged), ("sham", &twins.sham)] {
        jpeg(&out.join(format!("query-image/{id}-{side}.jpg")), &edited.color, quality)?;
        if let Some(depth) = &edited.depth {
            depth_png(&out.join(format!("query-depth/{id}-{side}.png")), depth, DEPTH_UNIT_M)?;
        }
    }
    let size = (twins.region.width(), twins.region.height());
    // Which of the items in view the pair is about.
    let own = mask.data().iter().map(|l| u16::from(*l == label)).collect();
    gray16(&out.join(format!("query-mask/{id}.png")), size.0, size.1, own)?;
    let file = out.join(format!("query-damage/{id}-damaged.png"));
    damage_png(&file, size, std::iter::once((bit_of(operator.kaputt()), twins.region.data())))?;
    let tiles = mask.extent(label).filter(|_| show).map(|(rect, _)| {
        let rect = rect.with_margin(0.3, size.0, size.1);
        [&frame.color, &twins.damaged.color, &twins.sham.color].map(|c| tile(c, rect))
    });
    Ok(Pair {
        id,
        item: sample.item.clone(),
        operator,
        major,
        damage_px: f64::from(twins.extent.area_px).sqrt(),
        damage_mm: twins.extent.is_measured.then(|| f64::from(twins.extent.area_mm2).sqrt()),
        fx_fy_cx_cy: sample.fx_fy_cx_cy,
        has_depth: frame.depth.is_some(),
        one_item: sample.one_item,
        tiles,
    })
}

fn write_table(pairs: &[Pair], out: &Path) -> Result<()> {
    // Damaged and sham in turn.
    let rows: Vec<(&Pair, bool)> = pairs.iter().flat_map(|p| [(p, true), (p, false)]).collect();
    let text =
        |name: &'static str, of: &dyn Fn(&Pair, bool) -> Option<String>| Column::Text(name, rows.iter().map(|(p, d)| of(p, *d)).collect());
    let id = |p: &Pair, damaged: bool| format!("{}-{}", p.id, if damaged { "damaged" } else { "sham" });
    TableWriter::default()
        .column(text("capture_id", &|p, d| Some(id(p, d))))
        .column(text("item_identifier", &|p, _| Some(p.item.clone())))
        .column(Column::Truth("defect", rows.iter().map(|(_, d)| *d).collect()))
        .column(Column::Truth("major_defect", rows.iter().map(|(p, d)| *d && p.major).collect()))
        .column(text("defect_types", &|p, d| d.then(|| p.operator.kaputt().to_owned())))
        .column(text("operator", &|p, d| d.then(|| p.operator.name().to_owned())))
        .column(text("item_material", &|_, _| None))
        .column(text("query_image", &|p, d| Some(format!("query-image/{}.jpg", id(p, d)))))
        .column(text("query_depth", &|p, d| p.has_depth.then(|| format!("query-depth/{}.png", id(p, d)))))
        .column(text("query_mask", &|p, _| Some(format!("query-mask/{}.png", p.id))))
        .column(text("query_damage", &|p, d| d.then(|| format!("query-damage/{}.png", id(p, d)))))
        .column(text("product", &|p, _| Some(p.item.clone())))
        .column(text("family", &|p, _| {
            p.item.split_once('/').map(|(source, _)| format!("{source}{}", if p.has_depth { ", depth" } else { "" }))
        }))
        .column(text("damage_px", &|p, d| d.then(|| format!("{:.1}", p.damage_px))))
        .column(text("damage_mm", &|p, d| p.damage_mm.filter(|_| d).map(|mm| format!("{mm:.1}"))))
        .column(text("camera", &|p, _| p.fx_fy_cx_cy.map(|k| k.map(|v| v.to_string()).join(","))))
        .column(Column::Truth("one_item", rows.iter().map(|(p, _)| p.one_item).collect()))
        .write(&out.join("query-test.parquet"))?;
    Ok(())
}

/// Copies the pristine pictures that the list names, and their table; nothing where it names none.
fn write_references(jobs: &[Job], pairs: &[Pair], out: &Path) -> Result<()> {
    let used: BTreeSet<&str> = pairs.iter().map(|p| p.item.as_str()).collect();
    let mut pictures: BTreeSet<(&str, &Path)> = BTreeSet::new();
    for job in jobs.iter().filter(|j| used.contains(j.sample.item.as_str())) {
        pictures.extend(job.sample.references.iter().map(|r| (job.sample.item.as_str(), r.picture.as_path())));
    }
    if pictures.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(out.join("reference-image"))?;
    let mut rows = Vec::with_capacity(pictures.len());
    for (n, (item, picture)) in pictures.into_iter().enumerate() {
        let extension = picture.extension().and_then(|e| e.to_str()).unwrap_or("png");
        let name = format!("reference-image/{}-{n}.{extension}", item.replace('/', "-"));
        std::fs::copy(picture, out.join(&name)).with_context(|| picture.display().to_string())?;
        rows.push((item.to_owned(), name));
    }
    let column = |of: fn(&(String, String)) -> &String| rows.iter().map(|row| Some(of(row).clone())).collect();
    TableWriter::default()
        .column(Column::Text("item_identifier", column(|(item, _)| item)))
        .column(Column::Text("reference_image", column(|(_, name)| name)))
        .write(&out.join("reference-test.parquet"))?;
    Ok(())
}

/// A part of a picture, fitted into a tile.
fn tile(color: &ColorImage, rect: Rect) -> RgbImage {
    let mut tile = RgbImage::from_pixel(TILE, TILE, Rgb([40, 40, 40]));
    let Some(cut) = color.crop(rect) else { return tile };
    let (w, h) = (cut.width(), cut.height());
    let Some(picture) = RgbImage::from_raw(w, h, cut.into_data()) else { return tile };
    let scale = f64::from(TILE) / f64::from(w.max(h));
    let fit = |v: u32| ((f64::from(v) * scale) as u32).max(1);
    replace(&mut tile, &resize(&picture, fit(w), fit(h), FilterType::Triangle), 0, 0);
    tile
}

/// Rows of before, damaged, sham; three pairs beside each other.
fn sheet(pairs: &[Pair]) -> RgbImage {
    const ACROSS: u32 = 3;
    let tiles: Vec<&[RgbImage; 3]> = pairs.iter().filter_map(|p| p.tiles.as_ref()).collect();
    let rows = (tiles.len() as u32).div_ceil(ACROSS).max(1);
    let (cell, gap) = (TILE + 4, 12);
    let mut sheet = RgbImage::new(ACROSS * (3 * cell + gap), rows * cell);
    for (k, three) in tiles.iter().enumerate() {
        let (x, y) = (k as u32 % ACROSS * (3 * cell + gap), k as u32 / ACROSS * cell);
        for (n, tile) in three.iter().enumerate() {
            replace(&mut sheet, tile, i64::from(x + n as u32 * cell), i64::from(y));
        }
    }
    sheet
}
