//! Measures the classical cues on booth captures and prints them as CSV, one item a line: what `fit_trees` learns from.
//!
//! ```text
//! cargo run -p inspection --example booth_cues -- --seeds 100..110 --items 200 > cues.csv
//! ```
//! Columns: seed, index, family, look-alike (0/1), label (`intact`, `minor`, `gross`), types of the damage (`+`), score
//! of the current scorer, items found, then the cues by name.

use std::error::Error;
use std::io::Write;

use booth::{Booth, BoothSpec};
use inspection::{CUE_NAMES, EmptyTray, InspectionParams, inspect, measure_cues};

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|a| a != name).nth(1)
}

fn main() -> Result<(), Box<dyn Error>> {
    let seeds = argument("--seeds").unwrap_or_else(|| "100..102".to_owned());
    let (from, to) = seeds.split_once("..").ok_or("--seeds FROM..TO")?;
    let items: usize = argument("--items").unwrap_or_else(|| "100".to_owned()).parse()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "seed,index,family,lookalike,label,types,score,found,{}", CUE_NAMES.join(","))?;
    for seed in from.parse::<u64>()?..to.parse::<u64>()? {
        let booth = Booth::new(BoothSpec { seed, damage_fraction: 0.5, ..BoothSpec::default() })?;
        let background = EmptyTray::new(booth.background());
        for index in 0..items {
            let capture = booth.capture(index);
            let mut params = InspectionParams::default();
            params.segmentation.one_item = true;
            let inspection = inspect(&capture.frame, Some(&background), &params)?;
            let cues = measure_cues(&capture.frame, Some(&background), &params.segmentation)?;
            let Some((_, values)) = cues.first() else {
                eprintln!("{}: nothing found", capture.item_id);
                continue;
            };
            let Some(item) = capture.truth.instances.first() else { continue };
            let label = if item.is_gross {
                "gross"
            } else if item.is_damaged {
                "minor"
            } else {
                "intact"
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
        }
    }
    Ok(())
}
