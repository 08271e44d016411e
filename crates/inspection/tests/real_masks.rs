//! Items in real captures, against the truth that comes with them. `cargo run -p inspection --example evaluate` prints all.
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../examples/evaluate/captures.rs"]
mod captures;
#[path = "../examples/evaluate/iou.rs"]
mod iou;

use captures::{Case, data_dir, mosd, single_items};
use inspection::{EngineKind, Inspector, ItemFinder};
use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`

/// Mean IoU over true items, a miss counts 0.
fn mean_iou(cases: &[Case]) -> f64 {
    let perception = Inspector { finder: Some(ItemFinder::load(EngineKind::Tract).unwrap()), ..Inspector::default() };
    let of = |case: &Case| {
        let found = perception.inspect(&case.frame, case.background.as_ref(), &mut |_| ()).unwrap();
        iou::ious(&case.truth, &found.mask)
    };
    let all: Vec<f64> = cases.iter().flat_map(of).collect();
    all.iter().sum::<f64>() / all.len() as f64
}

#[test]
fn items_of_real_captures_are_found_as_well_as_was_promised() {
    let data = data_dir();
    if !data.is_dir() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: masks of real captures: none at {}; set INTACT_DATA", data.display());
        return;
    }
    for (name, cases, floor) in [("rgbd_single_item", single_items(&data).unwrap(), 0.96), ("rgbd_mosd", mosd(&data).unwrap(), 0.75)] {
        let mean = mean_iou(&cases);
        assert!(mean >= floor, "{name}: mean IoU {mean:.3}, promised {floor}");
    }
}
