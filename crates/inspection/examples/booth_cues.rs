//! Measures the classical cues on booth captures and prints them as CSV, one item a line: what `fit_trees` learns from.
//!
//! ```text
//! cargo run -p inspection --example booth_cues -- --seeds 100..110 --items 200 [--products N] [--split train|validation|test]
//!     [--bare] [--oblique] > cues.csv
//! ```
//! `--products`: how many to draw from in each booth [default: one for eight items, and eight].
//! With `--bare` every third capture is also measured without the picture of the empty tray, unless something is spilt.
//! With `--oblique` what a camera beside the tray sees is measured instead, with and without the picture of its empty tray; items whose
//! damage it does not see are left out.
//! Without `--split` the booth of `intact booth bag`: every family, every way of damaging.
//! Columns: seed, index, family, look-alike (0/1), label (`intact`, `minor`, `gross`), types of the damage (`+`), score
//! of the current scorer, items found, then the cues by name.

use std::error::Error;
use std::io::Write;

use booth::{Booth, BoothSpec, Capture, KaputtType, Part, Truth};
use inspection::{CUE_NAMES, EmptyTray, InspectionParams, inspect, measure_cues};
use vision::{LabelMask, RgbdFrame};

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|a| a != name).nth(1)
}

fn main() -> Result<(), Box<dyn Error>> {
    let seeds = argument("--seeds").unwrap_or_else(|| "100..102".to_owned());
    let (from, to) = seeds.split_once("..").ok_or("--seeds FROM..TO")?;
    let items: usize = argument("--items").unwrap_or_else(|| "100".to_owned()).parse()?;
    let part = match argument("--split").as_deref() {
        None => None,
        Some("train") => Some(Part::Train),
        Some("validation") => Some(Part::Validation),
        Some("test") => Some(Part::Test),
        Some(other) => return Err(format!("--split {other}: train, validation or test").into()),
    };
    let products: usize = argument("--products").map_or(Ok(items / 8 + 8), |n| n.parse())?;
    let bare = std::env::args().any(|a| a == "--bare");
    let oblique = std::env::args().any(|a| a == "--oblique");
    let mut out = std::io::stdout().lock();
    writeln!(out, "seed,index,family,lookalike,label,types,score,found,{}", CUE_NAMES.join(","))?;
    for seed in from.parse::<u64>()?..to.parse::<u64>()? {
        let spec = part.map_or_else(|| BoothSpec { seed, ..BoothSpec::default() }, |part| part.spec(seed));
        // The camera beside stands somewhere else in each booth.
        let cameras = if oblique { 2 + seed as usize % 3 } else { 1 };
        let booth = Booth::new(BoothSpec { damage_fraction: 0.5, products, cameras, ..spec })?;
        let background = EmptyTray::new(booth.background_of(cameras - 1).ok_or("no such camera")?);
        for index in 0..items {
            let Capture { item_id, mut frame, mut truth, mut beside, .. } = booth.capture(index);
            if let Some(view) = beside.pop() {
                (frame, truth) = (view.frame, view.truth);
            }
            let capture = View { seed, index, item_id, frame, truth, oblique };
            if capture.hides_damage() {
                continue;
            }
            print_item(&mut out, &capture, Some(&background))?;
            // Matter beside the item is seen against the empty tray only.
            if (oblique || bare && index.is_multiple_of(3)) && capture.truth.damage.iter().all(|d| d.kaputt != KaputtType::Spillage) {
                print_item(&mut out, &capture, None)?;
            }
        }
    }
    Ok(())
}

/// What one camera saw of a capture.
struct View {
    seed: u64,
    index: usize,
    item_id: String,
    frame: RgbdFrame,
    truth: Truth,
    oblique: bool,
}

impl View {
    /// Overlap of a found item with the true one, over their union.
    fn iou(&self, found: &LabelMask, id: u16) -> f32 {
        let pairs = found.data().iter().zip(self.truth.mask.data()).map(|(f, t)| (*f == id, *t == 1));
        let (both, any) = pairs.fold((0, 0), |(both, any), (f, t)| (both + u32::from(f && t), any + u32::from(f || t)));
        both as f32 / any.max(1) as f32
    }

    /// The item is damaged where this camera does not look.
    fn hides_damage(&self) -> bool {
        self.truth.damage.is_empty() && self.truth.instances.iter().any(|i| i.is_damaged)
    }
}

fn print_item(out: &mut impl Write, capture: &View, background: Option<&EmptyTray>) -> Result<(), Box<dyn Error>> {
    let (seed, index) = (capture.seed, capture.index);
    let mut params = InspectionParams::default();
    params.segmentation.one_item = true;
    let inspection = inspect(&capture.frame, background, &params)?;
    let cues = measure_cues(&capture.frame, background, &params.segmentation)?;
    // Walls of the tray, seen from the side, are no item to learn from.
    let Some((_, values)) = cues.iter().find(|(id, _)| !capture.oblique || capture.iou(&inspection.mask, *id) > 0.5) else {
        eprintln!("{}: nothing found", capture.item_id);
        return Ok(());
    };
    let Some(item) = capture.truth.instances.first() else { return Ok(()) };
    let label = match (item.is_gross, item.is_damaged) {
        (true, _) => "gross",
        (false, true) => "minor",
        (false, false) => "intact",
    };
    let mut types: Vec<&str> = capture.truth.damage.iter().map(|d| d.kaputt.name()).collect();
    types.sort_unstable();
    types.dedup();
    write!(
        out,
        "{seed},{index},{},{},{label},{},{:.3},{}",
        item.family,
        u8::from(item.lookalike.is_some()),
        types.join("+"),
        inspection.damage_score,
        inspection.items.len()
    )?;
    for v in values {
        write!(out, ",{v:.4}")?;
    }
    writeln!(out)?;
    Ok(())
}
