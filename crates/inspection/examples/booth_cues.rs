//! Measures the classical cues on booth captures and prints them as CSV, one item a line: what `fit_trees` learns from.
//!
//! ```text
//! cargo run -p inspection --example booth_cues -- --seeds 100..110 --items 200 [--products N] [--split train|validation|test] > cues.csv
//! ```
//! `--products`: how many to draw from in each booth [default: one for eight items, and eight].
//! With `--bare` every third capture is also measured without the picture of the empty tray, unless something is spilt.
//! Without `--split` the booth of `intact booth bag`: every family, every way of damaging.
//! Columns: seed, index, family, look-alike (0/1), label (`intact`, `minor`, `gross`), types of the damage (`+`), score
//! of the current scorer, items found, then the cues by name.

use std::error::Error;
use std::io::Write;

use booth::{Booth, BoothSpec, Capture, KaputtType, Part};
use inspection::{CUE_NAMES, EmptyTray, InspectionParams, inspect, measure_cues};

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
    let mut out = std::io::stdout().lock();
    writeln!(out, "seed,index,family,lookalike,label,types,score,found,{}", CUE_NAMES.join(","))?;
    for seed in from.parse::<u64>()?..to.parse::<u64>()? {
        let spec = part.map_or_else(|| BoothSpec { seed, ..BoothSpec::default() }, |part| part.spec(seed));
        let booth = Booth::new(BoothSpec { damage_fraction: 0.5, products, ..spec })?;
        let background = EmptyTray::new(booth.background());
        for index in 0..items {
            let capture = booth.capture(index);
            print_item(&mut out, seed, index, &capture, Some(&background))?;
            // Matter beside the item is seen against the empty tray only.
            if bare && index.is_multiple_of(3) && capture.truth.damage.iter().all(|d| d.kaputt != KaputtType::Spillage) {
                print_item(&mut out, seed, index, &capture, None)?;
            }
        }
    }
    Ok(())
}

fn print_item(
    out: &mut impl Write,
    seed: u64,
    index: usize,
    capture: &Capture,
    background: Option<&EmptyTray>,
) -> Result<(), Box<dyn Error>> {
    let mut params = InspectionParams::default();
    params.segmentation.one_item = true;
    let inspection = inspect(&capture.frame, background, &params)?;
    let cues = measure_cues(&capture.frame, background, &params.segmentation)?;
    let Some((_, values)) = cues.first() else {
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
