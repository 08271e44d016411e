//! `intact inspect`: one capture, what was found in it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use captures::load_rgbd;
use clap::Args;
use image::{GrayImage, ImageBuffer, Luma, RgbImage};
use inspection::{
    Comparer, DEFAULT_DAMAGE_THRESHOLD, EmptyTray, EngineKind, InspectedItem, Inspection, InspectionParams, Inspector, ModelChoice,
    Quality, Report, SegmentationParams, overlay,
};
use matching::{CUTOUT_MARGIN, Cutout, Gallery, GalleryOptions};
use references::{GalleryUrl, Store};
use serde::Serialize;
use vision::RgbdFrame;

use super::bag::parse_intrinsics;
use super::beside::rejudge;
use super::table;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  intact inspect box.png --depth box_depth.png --depth-unit 0.001 --intrinsics 615,615,320,240 --out out/
  intact inspect tote.png --depth tote_d.png --depth-unit 0.0001 --intrinsics 615,615,320,240 --background empty.png,empty_d.png --json

--out writes mask.png (16 bit, 0 background, 1.. items), heatmap.png and overlay.png.")]
pub struct InspectArgs {
    /// Colour picture, PNG or JPEG
    color: PathBuf,
    /// Depth picture aligned to it, 16-bit PNG
    #[arg(long, value_name = "FILE", requires = "depth_unit")]
    depth: Option<PathBuf>,
    /// Metres one count of the depth pictures stands for
    #[arg(long, value_name = "M")]
    depth_unit: Option<f64>,
    /// Pinhole model of the pictures, pixels
    #[arg(long, value_name = "fx,fy,cx,cy", value_parser = parse_intrinsics)]
    intrinsics: Option<[f64; 4]>,
    /// The same view without items: colour picture, and depth picture when there is one
    #[arg(long, value_name = "COLOR,DEPTH", value_delimiter = ',', num_args = 1)]
    background: Vec<PathBuf>,
    /// The picture shows one item: pieces at its side are parts of it, as in a cell whose items arrive one by one
    #[arg(long)]
    one_item: bool,
    /// Pristine reference pictures, DIR/<product>/*.png, sqlite:PATH or postgres://…
    #[arg(long, value_name = "DIR")]
    references: Option<PathBuf>,
    /// What scores the damage: builtin, classical, or an ONNX file (docs/model-contract.md)
    #[arg(long, default_value = "builtin", value_name = "MODEL")]
    model: String,
    /// What runs it: tract, or ort when a libonnxruntime is there (ORT_DYLIB_PATH)
    #[arg(long, default_value = "tract")]
    engine: EngineKind,
    /// Above it an item is not sorted, but where damage_rejudged of its match says otherwise
    #[arg(long, default_value_t = DEFAULT_DAMAGE_THRESHOLD, value_name = "0..1")]
    threshold: f32,
    /// Write mask.png, heatmap.png and overlay.png here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What the gallery says of one item.
#[derive(Debug, Serialize)]
struct Match {
    /// Best matching product; null when unknown.
    product: Option<String>,
    identity_score: f32,
    /// Null when nothing could be compared.
    anomaly_score: Option<f32>,
    coverage: f32,
    /// Damage as judged beside the reference, which the cell goes by; null when nothing could be compared.
    damage_rejudged: Option<f32>,
}

#[derive(Debug, Serialize)]
struct InspectReport {
    #[serde(flatten)]
    report: Report,
    /// One entry an item, with --references.
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Vec<Match>>,
}

/// Milliseconds of each stage, as they end.
struct Stopwatch {
    from: Instant,
    stages: Vec<(&'static str, f32)>,
}

impl Stopwatch {
    fn new() -> Stopwatch {
        Stopwatch { from: Instant::now(), stages: Vec::new() }
    }

    fn lap(&mut self, stage: &'static str) {
        self.stages.push((stage, self.from.elapsed().as_secs_f32() * 1e3));
        self.from = Instant::now();
    }
}

pub fn run(args: InspectArgs) -> Result<ExitCode> {
    ensure!((0.0..=1.0).contains(&args.threshold), "--threshold {} must lie between 0 and 1", args.threshold);
    let mut watch = Stopwatch::new();
    let (frame, background) = load(&args)?;
    watch.lap("load");
    let choice = ModelChoice::from(args.model.as_str());
    let (models, finder) = (choice.load(args.engine)?, choice.finder(args.engine)?);
    let segmentation = SegmentationParams { one_item: args.one_item, ..SegmentationParams::default() };
    let inspector =
        Inspector { params: InspectionParams { segmentation, damage_threshold: args.threshold }, models, embedding: None, finder };
    watch.lap("model");
    let inspection = inspector.inspect(&frame, background.as_ref(), &mut |stage| watch.lap(stage))?;
    let matches = match &args.references {
        Some(dir) => {
            let matches = compare(dir, &frame, &inspection, args.engine)?;
            watch.lap("gallery");
            Some(matches)
        }
        None => None,
    };
    if let Some(dir) = &args.out {
        write_pictures(dir, &frame, &inspection)?;
    }
    let report = InspectReport { report: Report::new(&inspection, &watch.stages), matches };
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
    } else {
        print_table(&args, &inspection, report.matches.as_deref());
    }
    Ok(ExitCode::SUCCESS)
}

fn load(args: &InspectArgs) -> Result<(RgbdFrame, Option<EmptyTray>)> {
    let unit = args.depth_unit;
    let depth = args.depth.as_deref().zip(unit);
    let frame = load_rgbd(&args.color, depth, args.intrinsics)?;
    let background = match args.background.as_slice() {
        [] => None,
        [color] => Some(load_rgbd(color, None, args.intrinsics)?),
        [color, depth, ..] => {
            let unit = unit.context("--background with depth needs --depth-unit")?;
            Some(load_rgbd(color, Some((depth, unit)), args.intrinsics)?)
        }
    };
    Ok((frame, background.map(EmptyTray::new)))
}

fn compare(dir: &Path, frame: &RgbdFrame, inspection: &Inspection, engine: EngineKind) -> Result<Vec<Match>> {
    let gallery = match dir.to_str().filter(|text| GalleryUrl::is_meant_by(text)) {
        Some(url) => super::gallery::load(&Store::open_for_reading(&url.parse()?)?, None)?,
        None => {
            let loaded = references::folder::load(dir)?;
            let (gallery, rejected) = Gallery::new(loaded.pictures, GalleryOptions::default());
            for r in loaded.skipped.iter().chain(&rejected) {
                eprintln!("intact: reference {} is left out: {}", r.picture, r.reason);
            }
            ensure!(
                !gallery.is_empty(),
                "{} holds no references: a folder for each product is expected in it, with pictures",
                dir.display()
            );
            gallery.with_embedder(gallery::built_in_embedder(engine)?)
        }
    };
    let comparer = Comparer::load(engine)?;
    inspection.items.iter().map(|item| match_item(&gallery, &comparer, frame, inspection, item)).collect()
}

fn match_item(gallery: &Gallery, comparer: &Comparer, frame: &RgbdFrame, inspection: &Inspection, found: &InspectedItem) -> Result<Match> {
    let rect = found.bbox.with_margin(CUTOUT_MARGIN, frame.color.width(), frame.color.height());
    let item = gallery.prepare(Cutout::of_label(&frame.color, &inspection.mask, found.id, rect)?)?;
    let identification = gallery.identify(&item, None);
    let Some(best) = identification.product() else {
        let score = identification.ranking.first().map_or(0.0, |c| c.score);
        return Ok(Match { product: None, identity_score: score, anomaly_score: None, coverage: 0.0, damage_rejudged: None });
    };
    let mut judgement = gallery.judge(&item, &best.product)?;
    let damage_rejudged = rejudge(&mut judgement, comparer, inspection, found, rect)?;
    Ok(Match {
        product: Some(best.product.clone()),
        identity_score: best.score,
        anomaly_score: judgement.anomaly_score(),
        coverage: judgement.coverage(),
        damage_rejudged,
    })
}

fn write_pictures(dir: &Path, frame: &RgbdFrame, inspection: &Inspection) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let (width, height) = (frame.color.width(), frame.color.height());
    let impossible = "a picture has an impossible size";
    let mask: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_raw(width, height, inspection.mask.data().to_vec()).context(impossible)?;
    let heat = inspection.heatmap.data().iter().map(|h| (h.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    let heat = GrayImage::from_raw(width, height, heat).context(impossible)?;
    let drawn = overlay(&frame.color, &inspection.mask, &inspection.heatmap);
    let drawn = RgbImage::from_raw(width, height, drawn.into_data()).context(impossible)?;
    let path = |name: &str| dir.join(name);
    mask.save(path("mask.png")).with_context(|| path("mask.png").display().to_string())?;
    heat.save(path("heatmap.png")).with_context(|| path("heatmap.png").display().to_string())?;
    drawn.save(path("overlay.png")).with_context(|| path("overlay.png").display().to_string())
}

/// The quality flags that are raised, in a few words.
fn doubts(q: &Quality) -> String {
    let flags = [
        (q.blurred, "blurred"),
        (q.clipped, "clipped"),
        (q.occluded, "occluded"),
        (q.overexposed, "overexposed"),
        (q.underexposed, "underexposed"),
        (q.depth_missing, "no depth"),
        (q.depth_unit_suspect, "depth unit"),
        (q.background_missing, "no empty tray"),
    ];
    let raised: Vec<&str> = flags.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    if raised.is_empty() { "–".to_owned() } else { raised.join(", ") }
}

fn print_table(args: &InspectArgs, inspection: &Inspection, matches: Option<&[Match]>) {
    let mut table = table::table(&["item", "box", "pixels", "damage", "worst type", "severity", "doubts", "product", "anomaly"]);
    for (n, item) in inspection.items.iter().enumerate() {
        let worst = item.defects.iter().max_by(|a, b| a.score.total_cmp(&b.score));
        let found = matches.and_then(|m| m.get(n));
        table.add_row(vec![
            table::number(item.id),
            format!("{}x{}+{}+{}", item.bbox.w, item.bbox.h, item.bbox.x, item.bbox.y).into(),
            table::number(item.area_px),
            table::number(table::score(item.damage_score, 2)),
            worst.map_or("–", |d| d.kind.name()).into(),
            worst.map_or_else(|| "–".to_owned(), |d| format!("{:?}", d.severity).to_lowercase()).into(),
            doubts(&item.quality).into(),
            found.and_then(|m| m.product.as_deref()).unwrap_or("–").into(),
            table::number(table::score(found.and_then(|m| m.anomaly_score).unwrap_or(f32::NAN), 2)),
        ]);
    }
    let (n, model, engine) = (inspection.items.len(), &inspection.model, inspection.engine);
    let told = if n == 0 { "no item was found, which says nothing about damage".to_owned() } else { table.to_string() };
    say!("{}: {n} item(s), model {model}, engine {engine}, threshold {}\n{told}", args.color.display(), args.threshold);
    if let Some(dir) = &args.out {
        say!("pictures in {}", dir.display());
    }
}
