//! The network that judges an item beside its reference: one answer from PyTorch, tract and ONNX Runtime, from the same encoded file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};

use inspection::{Comparer, EngineKind, InspectionError, ModelChoice};
use serde_json::Value;

const TOLERANCE: f64 = 1e-3;
const SIDE: usize = 256;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/comparison")
}

/// `parity.png`: nine channels, one below the other.
fn pair() -> Vec<u8> {
    image::open(models().join("parity.png")).unwrap().into_luma8().into_raw()
}

/// What PyTorch said of the same file (`training/pairs.py`).
fn recorded(name: &str) -> f64 {
    let text = std::fs::read_to_string(models().join("parity.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[name].as_f64().unwrap()
}

fn says_what_pytorch_said(kind: EngineKind) {
    let comparer = Comparer::load(kind).unwrap();
    assert!(comparer.model().starts_with("comparison.onnx@"), "{}", comparer.model());
    let told = comparer.judge(&pair(), Some(recorded("damage_score") as f32)).unwrap();
    let near = |found: f64, name: &str| assert!((found - recorded(name)).abs() < TOLERANCE, "{name}: {found} is not {}", recorded(name));
    near(f64::from(told.score), "score");
    let map = told.map.data();
    near(map.iter().map(|v| f64::from(*v)).sum::<f64>() / map.len() as f64, "map_mean");
    near(map.iter().copied().fold(0.0, f32::max).into(), "map_max");
    assert_eq!(told.map.width(), told.map.height());
    let mut silent = pair();
    silent[8 * SIDE * SIDE..].fill(0);
    near(f64::from(comparer.judge(&silent, None).unwrap().score), "score_without_perception");
}

#[test]
fn tract_says_what_pytorch_said_of_the_same_file() {
    says_what_pytorch_said(EngineKind::Tract);
}

#[test]
fn onnx_runtime_says_what_pytorch_said_of_the_same_file() {
    if !common::has_onnxruntime("comparison by ONNX Runtime") {
        return;
    }
    says_what_pytorch_said(EngineKind::Ort);
}

/// An item that looks like its reference is whole, and what print and reference share is no damage, whatever perception feared.
#[test]
fn what_the_reference_shows_too_is_no_damage_and_a_hole_is() {
    let comparer = Comparer::load(EngineKind::Tract).unwrap();
    let print = |x: usize, y: usize, c: usize| if (x / 9 + y / 7 + c).is_multiple_of(3) { 60 } else { 190 };
    let inside = |i: usize| (40..216).contains(&(i % SIDE)) && (40..216).contains(&(i / SIDE));
    let picture = |hole: bool| -> Vec<u8> {
        let torn = |i: usize| hole && (100..150).contains(&(i % SIDE)) && (110..150).contains(&(i / SIDE));
        let color = |c: usize, torn: &dyn Fn(usize) -> bool| -> Vec<u8> {
            let value = |i: usize| {
                if !inside(i) {
                    0
                } else if torn(i) {
                    15
                } else {
                    print(i % SIDE, i / SIDE, c)
                }
            };
            (0..SIDE * SIDE).map(value).collect()
        };
        let difference = (0..SIDE * SIDE).map(|i| if torn(i) { 230 } else { 0 }).collect::<Vec<u8>>();
        let compared = (0..SIDE * SIDE).map(|i| if inside(i) { 255 } else { 0 }).collect::<Vec<u8>>();
        let item: Vec<u8> = (0..3).flat_map(|c| color(c, &torn)).collect();
        let reference: Vec<u8> = (0..3).flat_map(|c| color(c, &|_| false)).collect();
        [item, reference, difference, compared, vec![0; SIDE * SIDE]].concat()
    };
    let score = |hole: bool| comparer.judge(&picture(hole), None).unwrap().score;
    let (whole, torn) = (score(false), score(true));
    assert!(whole < 0.5 && torn > whole + 0.3, "{whole} {torn}");
}

#[test]
fn a_wrong_input_and_a_wrong_place_for_the_network_are_told() {
    let comparer = Comparer::load(EngineKind::Tract).unwrap();
    assert!(matches!(comparer.judge(&[0; 10], None), Err(InspectionError::ModelRun(_))));
    let file = ModelChoice::File(models().join("comparison.onnx"));
    let error = file.load(EngineKind::Tract).err().expect("it is no damage model").to_string();
    assert!(error.contains("10 channels") && error.contains("beside its reference"), "{error}");
}
