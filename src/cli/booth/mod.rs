//! `intact booth`: scenes with known damage, and the score of a run against what was really there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use bag::{BagWriter, IMPORT_EPOCH_NS, QosProfile, WriterOptions};
use booth::{Booth, BoothSpec, Capture};
use clap::{Args, Subcommand};
use image::RgbImage;
use intact_msgs::msg::ItemArrival;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::std_msgs::msg::Header;
use ros_interfaces::tf2_msgs::msg::TFMessage;
use serde::{Deserialize, Serialize};
use vision::RgbdFrame;

use super::{progress, table};
use crate::cell::arrival_of;

mod files;
mod generate;
mod inject;

#[derive(Debug, Subcommand)]
pub enum BoothCommand {
    /// Generate a scene: a bag of items, reference pictures of their products, and the truth
    Bag(BagArgs),
    /// Generate labelled captures as files: Kaputt's tables, with depth and masks
    Generate(generate::GenerateArgs),
    /// Put damage, and its benign twin, into real captures: an exam on real goods
    Inject(inject::InjectArgs),
    /// Hold the decisions of a run (`intact run --json`) against the truth
    #[command(
        after_help = "Example:\n  intact run --bag out/scene --lockstep --json > out/decisions.jsonl\n  intact booth score --truth out/truth.json out/decisions.jsonl"
    )]
    Score(ScoreArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  intact booth bag --seed 7 --items 200 --out out/scene --references out/references --truth out/truth.json")]
pub struct BagArgs {
    /// Another seed, other products, items, damage and light
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of items
    #[arg(long, default_value_t = 40)]
    items: usize,
    /// Size of the pictures
    #[arg(long, default_value = "640x480", value_parser = parse_size, value_name = "WxH")]
    size: (u32, u32),
    /// Share of items with damage
    #[arg(long, default_value_t = 0.35)]
    damaged: f64,
    /// Several items in view
    #[arg(long)]
    clutter: bool,
    /// Cameras that look at the tray (1 to 8): /camera, /camera_1, …
    #[arg(long, default_value_t = 1, value_name = "N")]
    cameras: usize,
    /// Announce each view as one item, whatever is in it
    #[arg(long)]
    announce_singulated: bool,
    /// Bag to write
    #[arg(long, value_name = "BAG")]
    out: PathBuf,
    /// Write pristine reference pictures here, DIR/<product>/<n>.png
    #[arg(long, value_name = "DIR")]
    references: Option<PathBuf>,
    /// Write what is really there to this JSON file
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// Truth written by `intact booth bag`
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
    /// Decision lines of `intact run --json`
    decisions: PathBuf,
    /// What would have been decided at these thresholds of the damage score; to choose one by
    #[arg(long, value_name = "T,T,…", value_delimiter = ',')]
    thresholds: Vec<f32>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What is really there in one capture.
#[derive(Debug, Serialize, Deserialize)]
struct ItemTruth {
    item_id: String,
    product: String,
    family: String,
    lookalike: bool,
    damaged: bool,
    gross: bool,
    /// Kinds of damage, with their severity.
    damage: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SceneTruth {
    seed: u64,
    items: Vec<ItemTruth>,
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let (w, h) = text.split_once('x').ok_or_else(|| format!("`{text}` is not WIDTHxHEIGHT"))?;
    Ok((w.parse().map_err(|e| format!("{text}: {e}"))?, h.parse().map_err(|e| format!("{text}: {e}"))?))
}

pub fn run(command: BoothCommand) -> Result<ExitCode> {
    match command {
        BoothCommand::Bag(args) => generate_bag(&args),
        BoothCommand::Generate(args) => generate::run(&args),
        BoothCommand::Inject(args) => inject::run(&args),
        BoothCommand::Score(args) => score(&args),
    }
}

/// Name and namespace of a camera: `camera`, `camera_1`, …
fn camera_name(camera: usize) -> String {
    if camera == 0 { "camera".to_owned() } else { format!("camera_{camera}") }
}

fn generate_bag(args: &BagArgs) -> Result<ExitCode> {
    let spec = BoothSpec {
        seed: args.seed,
        width: args.size.0,
        height: args.size.1,
        items: args.items,
        damage_fraction: args.damaged,
        clutter: args.clutter,
        cameras: args.cameras,
        ..BoothSpec::default()
    };
    let booth = Booth::new(spec)?;
    if args.out.exists() {
        // Only what is a bag of ours is replaced: a wrong --out must not cost anybody a folder.
        ensure!(args.out.join("metadata.yaml").is_file(), "{} exists and is not a bag; choose another --out", args.out.display());
        std::fs::remove_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    }
    let truth = write_bag(&booth, args)?;
    if let Some(dir) = &args.references {
        write_references(&booth, dir)?;
    }
    if let Some(file) = &args.truth {
        std::fs::write(file, serde_json::to_string_pretty(&truth)?).with_context(|| file.display().to_string())?;
    }
    let damaged = truth.items.iter().filter(|i| i.damaged).count();
    let gross = truth.items.iter().filter(|i| i.gross).count();
    say!("{}: {} items, {damaged} damaged, {gross} of them grossly", args.out.display(), truth.items.len());
    Ok(ExitCode::SUCCESS)
}

fn write_bag(booth: &Booth, args: &BagArgs) -> Result<SceneTruth> {
    /// Captures rendered at once: enough for every core, few enough for memory.
    const BATCH: usize = 16;
    let mut writer = BagWriter::create(&args.out, WriterOptions::default())?;
    let lead = IMPORT_EPOCH_NS - 100_000_000;
    // The booth's origin is the middle of the tray.
    let mut transforms = Vec::new();
    for camera in 0..booth.cameras() {
        let (Some(empty), Some(pose)) = (booth.background_of(camera), booth.cell_from_camera_of(camera)) else { continue };
        write_frame(&mut writer, (camera, "/background"), QosProfile::LATCHED, lead, IMPORT_EPOCH_NS, &empty, false)?;
        let tray = Header { stamp: Time::from_nanos(IMPORT_EPOCH_NS), frame_id: "tray".to_owned() };
        transforms.push(vision::pose::transform_to_ros(tray, &format!("{}_color_optical_frame", camera_name(camera)), &pose));
    }
    writer.write("/tf_static", QosProfile::LATCHED, lead, &TFMessage { transforms })?;
    let bar = progress::bar(args.items, "items");
    let mut items = Vec::with_capacity(args.items);
    for first in (0..args.items).step_by(BATCH) {
        for capture in booth.captures(first..(first + BATCH).min(args.items)) {
            let stamp_ns = IMPORT_EPOCH_NS + capture.stamp_offset_ns;
            writer.write("/item_arrival", QosProfile::EVENT, stamp_ns, &arrival(&capture, stamp_ns, args))?;
            let frames = std::iter::once(&capture.frame).chain(capture.beside.iter().map(|v| &v.frame));
            for (camera, frame) in frames.enumerate() {
                write_frame(&mut writer, (camera, ""), QosProfile::SENSOR, stamp_ns, stamp_ns, frame, true)?;
            }
            items.push(item_truth(&capture));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    writer.finish()?;
    Ok(SceneTruth { seed: args.seed, items })
}

fn arrival(capture: &Capture, stamp_ns: i64, args: &BagArgs) -> ItemArrival {
    ItemArrival {
        header: Header { stamp: Time::from_nanos(stamp_ns), frame_id: "tray".to_owned() },
        item_id: capture.item_id.clone(),
        // The line's scanner gives the product; in clutter nobody knows which item it belongs to.
        barcode: if args.clutter { String::new() } else { capture.product.clone() },
        candidate_products: Vec::new(),
        clutter: args.clutter && !args.announce_singulated,
        source: "booth".to_owned(),
    }
}

fn write_frame(
    writer: &mut BagWriter,
    (camera, below): (usize, &str),
    qos: QosProfile,
    log_ns: i64,
    stamp_ns: i64,
    frame: &RgbdFrame,
    with_info: bool,
) -> Result<()> {
    let name = camera_name(camera);
    let header = Header { stamp: Time::from_nanos(stamp_ns), frame_id: format!("{name}_color_optical_frame") };
    let namespace = format!("/{name}{below}");
    writer.write(&format!("{namespace}/color/image_raw"), qos, log_ns, &vision::ros::color_to_ros(&frame.color, header.clone()))?;
    if let Some(depth) = &frame.depth {
        let depth = vision::ros::depth_to_ros_mm(depth, header.clone());
        writer.write(&format!("{namespace}/aligned_depth_to_color/image_raw"), qos, log_ns, &depth)?;
    }
    if let (true, Some(intrinsics)) = (with_info, &frame.intrinsics) {
        let info = vision::ros::intrinsics_to_ros(intrinsics, header);
        writer.write(&format!("{namespace}/color/camera_info"), qos, log_ns, &info)?;
    }
    Ok(())
}

fn item_truth(capture: &Capture) -> ItemTruth {
    let first = capture.truth.instances.first();
    ItemTruth {
        item_id: capture.item_id.clone(),
        product: capture.product.clone(),
        family: first.map(|i| i.family.name().to_owned()).unwrap_or_default(),
        lookalike: first.is_some_and(|i| i.lookalike.is_some()),
        damaged: capture.truth.is_damaged,
        gross: capture.truth.is_gross,
        damage: capture.truth.damage.iter().map(|d| (d.kind.name().to_owned(), format!("{:?}", d.severity).to_lowercase())).collect(),
    }
}

fn write_references(booth: &Booth, dir: &Path) -> Result<()> {
    let products = booth.products();
    let bar = progress::bar(products.len(), "products");
    for product in products {
        let folder = dir.join(&product.name);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for (n, reference) in booth.references(&product.name, 0)?.into_iter().enumerate() {
            let path = folder.join(format!("{n}.png"));
            let picture = cut_out(&reference).context("a reference of the booth has an impossible size")?;
            picture.save(&path).with_context(|| path.display().to_string())?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// The reference with everything beside the item transparent.
fn cut_out(reference: &booth::Reference) -> Option<image::RgbaImage> {
    let color = &reference.color;
    let rgb = RgbImage::from_raw(color.width(), color.height(), color.data().to_vec())?;
    let mut picture = image::DynamicImage::ImageRgb8(rgb).into_rgba8();
    for (pixel, label) in picture.pixels_mut().zip(reference.mask.data()) {
        pixel.0[3] = if *label > 0 { 255 } else { 0 };
    }
    Some(picture)
}

/// How one group of items fared.
#[derive(Debug, Default, Serialize)]
struct Group {
    items: usize,
    sorted: usize,
}

impl Group {
    fn row(&self, name: &str, want_sorted: bool) -> Vec<comfy_table::Cell> {
        let right = if want_sorted { self.sorted } else { self.items - self.sorted };
        let evaluation::Interval { low, high } = evaluation::wilson(right, self.items);
        let share = if self.items == 0 { "–".to_owned() } else { format!("{:.1} %", 100.0 * right as f64 / self.items as f64) };
        let interval = if self.items == 0 { "–".to_owned() } else { format!("{:.1} … {:.1} %", 100.0 * low, 100.0 * high) };
        vec![name.into(), table::number(self.items), table::number(right), table::number(share), table::number(interval)]
    }
}

/// What was decided of one capture: each of its items.
#[derive(Debug, Default)]
struct Decided {
    is_sorted: bool,
    /// Something else than the damage score keeps it from being sorted.
    is_kept: bool,
    damage_score: f32,
}

impl Decided {
    /// Another decision of the same capture: it is sorted when all of its items are.
    fn and(&mut self, line: &serde_json::Value) {
        // What the default policy sorts with, and the score's own reason.
        let scored = ["OK", "NO_REFERENCE", "DESIGN_CHANGE", "EXPLAINED_AWAY", "DAMAGE"];
        self.is_sorted &= line["disposition"] == "SORT";
        let reasons = line["reasons"].as_array().map_or(&[][..], Vec::as_slice);
        self.is_kept |= reasons.is_empty() || reasons.iter().any(|r| !scored.iter().any(|s| r == s));
        match line["damage_score"].as_f64() {
            Some(score) => self.damage_score = self.damage_score.max(score as f32),
            // What was not scored is not sorted at any threshold.
            None => self.is_kept = true,
        }
    }

    fn is_sorted_at(&self, threshold: Option<f32>) -> bool {
        threshold.map_or(self.is_sorted, |t| !self.is_kept && self.damage_score <= t)
    }
}

/// The decisions of every arrival.
fn decided(path: &Path) -> Result<BTreeMap<String, Decided>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut all: BTreeMap<String, Decided> = BTreeMap::new();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        let line: serde_json::Value = serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))?;
        let id = arrival_of(line["item_id"].as_str().context("a decision line has no item_id")?).to_owned();
        all.entry(id).or_insert_with(|| Decided { is_sorted: true, ..Decided::default() }).and(&line);
    }
    Ok(all)
}

fn score(args: &ScoreArgs) -> Result<ExitCode> {
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let truth: SceneTruth =
        serde_json::from_str(&read(&args.truth)?).with_context(|| format!("{} is not a truth file", args.truth.display()))?;
    let decided = decided(&args.decisions)?;
    let missing: BTreeSet<&str> = truth.items.iter().map(|i| i.item_id.as_str()).filter(|id| !decided.contains_key(*id)).collect();
    ensure!(missing.is_empty(), "{} item(s) of the truth were not decided, for example {}", missing.len(), missing.first().unwrap_or(&""));
    let group_at = |threshold: Option<f32>, of: &dyn Fn(&ItemTruth) -> bool| {
        let mut group = Group::default();
        for item in truth.items.iter().filter(|i| of(i)) {
            group.items += 1;
            group.sorted += usize::from(decided.get(&item.item_id).is_some_and(|d| d.is_sorted_at(threshold)));
        }
        group
    };
    let group = |of: &dyn Fn(&ItemTruth) -> bool| group_at(None, of);
    let (intact, gross) = (group(&|i| !i.damaged), group(&|i| i.gross));
    let (lookalike, minor) = (group(&|i| !i.damaged && i.lookalike), group(&|i| i.damaged && !i.gross));
    let at: Vec<(f32, Group, Group)> =
        args.thresholds.iter().map(|t| (*t, group_at(Some(*t), &|i| !i.damaged), group_at(Some(*t), &|i| i.gross))).collect();
    if args.json {
        let at: Vec<_> =
            at.iter().map(|(t, intact, gross)| serde_json::json!({ "threshold": t, "intact": intact, "gross": gross })).collect();
        let groups = serde_json::json!({ "seed": truth.seed, "intact": intact, "lookalike": lookalike, "minor": minor, "gross": gross,
            "thresholds": at });
        say!("{groups}");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = table::table(&["items", "n", "decided right", "share", "95 % interval"]);
    table.add_row(intact.row("intact, sorted", true));
    table.add_row(lookalike.row("of them with printed look-alikes", true));
    table.add_row(gross.row("grossly damaged, not sorted", false));
    table.add_row(minor.row("slightly damaged, not sorted", false));
    for (threshold, intact, gross) in &at {
        table.add_row(intact.row(&format!("at {threshold}: intact, sorted"), true));
        table.add_row(gross.row(&format!("at {threshold}: grossly damaged, not sorted"), false));
    }
    say!("{table}");
    let kinds: BTreeSet<&str> = truth.items.iter().flat_map(|i| &i.damage).map(|(k, _)| k.as_str()).collect();
    let by_kind = kinds.into_iter().map(|kind| {
        let g = group(&|i| i.gross && i.damage.iter().any(|(k, s)| k == kind && s == "major"));
        format!("{kind} {}/{}", g.items - g.sorted, g.items)
    });
    say!("grossly damaged and not sorted, by kind: {}", by_kind.collect::<Vec<_>>().join(", "));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_moves_what_only_the_score_decided() {
        let line = |disposition: &str, reasons: &[&str], score: Option<f32>| serde_json::json!({ "disposition": disposition, "reasons": reasons, "damage_score": score });
        let at = |lines: &[serde_json::Value], threshold: f32| {
            let mut decided = Decided { is_sorted: true, ..Decided::default() };
            lines.iter().for_each(|l| decided.and(l));
            (decided.is_sorted, decided.is_sorted_at(Some(threshold)))
        };
        let sorted = line("SORT", &["OK", "NO_REFERENCE"], Some(0.4));
        assert_eq!((at(std::slice::from_ref(&sorted), 0.3), at(std::slice::from_ref(&sorted), 0.5)), ((true, false), (true, true)));
        assert_eq!(at(&[line("SIDELINE", &["DAMAGE", "NO_REFERENCE"], Some(0.6))], 0.7), (false, true));
        assert_eq!(at(&[line("SIDELINE", &["DAMAGE", "NO_PICK_POSE"], Some(0.6))], 0.7), (false, false), "no pose stays no pose");
        assert_eq!(at(&[line("SIDELINE", &["MISSING_INPUT"], None)], 1.0), (false, false));
        assert_eq!(at(&[sorted, line("SIDELINE", &["DAMAGE"], Some(0.8))], 0.5), (false, false), "one bad item keeps its capture");
    }
}
