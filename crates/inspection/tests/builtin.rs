//! The weights that intact brings: one answer from PyTorch, tract and ONNX Runtime, from the same encoded file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use booth::{Booth, BoothSpec};
use inspection::{EmptyTray, EngineKind, Inspection, Inspector, ModelChoice};
use rayon::prelude::*;
use serde_json::Value;
use vision::{ColorImage, RgbdFrame};

const TOLERANCE: f64 = 1e-3;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/damage")
}

/// `parity.png`, colour alone.
fn frame() -> RgbdFrame {
    let picture = image::open(models().join("parity.png")).unwrap().into_rgb8();
    let color = ColorImage::new(picture.width(), picture.height(), picture.into_raw()).unwrap();
    RgbdFrame { color: Arc::new(color), depth: None, intrinsics: None }
}

fn inspect(kind: EngineKind) -> Inspection {
    let (models, finder) = (ModelChoice::BuiltIn.load(kind).unwrap(), ModelChoice::BuiltIn.finder(kind).unwrap());
    Inspector { models, finder, ..Inspector::default() }.inspect(&frame(), None, &mut |_| ()).unwrap()
}

/// What PyTorch said of the same file (`training/check.py --record`).
fn recorded(file: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(models().join(file)).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    value["scores"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn tract_says_what_pytorch_said_of_the_same_file() {
    let found = inspect(EngineKind::Tract);
    assert_eq!(found.engine, "tract");
    assert!(found.model.starts_with("damage.onnx@"), "{}", found.model);
    let scores: Vec<f64> = found.items.iter().map(|i| f64::from(i.damage_score)).collect();
    let wanted = recorded("parity.json");
    assert_eq!(scores.len(), wanted.len());
    for (score, wanted) in scores.iter().zip(&wanted) {
        assert!((score - wanted).abs() < TOLERANCE, "{score} is not PyTorch's {wanted}");
    }
}

/// The network that is asked beside the trees, alone.
#[test]
fn tract_says_what_pytorch_said_of_the_network_with_depth() {
    let models = ModelChoice::File(models().join("damage-depth.onnx")).load(EngineKind::Tract).unwrap();
    let finder = ModelChoice::BuiltIn.finder(EngineKind::Tract).unwrap();
    let found = Inspector { models, finder, ..Inspector::default() }.inspect(&frame(), None, &mut |_| ()).unwrap();
    let wanted = recorded("parity-depth.json");
    assert_eq!(found.items.len(), wanted.len());
    for (item, wanted) in found.items.iter().zip(&wanted) {
        assert!((f64::from(item.damage_score) - wanted).abs() < TOLERANCE, "{} is not PyTorch's {wanted}", item.damage_score);
    }
}

/// A booth's captures with depth, by the classical scorer, and by it and the network together.
#[test]
fn with_depth_two_opinions_are_told_as_one() {
    let booth = Booth::new(BoothSpec { seed: 31, products: 6, damage_fraction: 0.5, ..BoothSpec::default() }).unwrap();
    let tray = EmptyTray::new(booth.background());
    let engines = [Some(EngineKind::Tract), common::has_onnxruntime("with_depth_two_opinions_are_told_as_one").then_some(EngineKind::Ort)];
    let inspectors: Vec<Inspector> = (engines.into_iter().flatten())
        .map(|kind| Inspector { models: ModelChoice::BuiltIn.load(kind).unwrap(), ..Inspector::default() })
        .collect();
    let classical = Inspector::default();
    let mut moved = 0;
    for capture in booth.captures(0..12) {
        let alone = classical.inspect(&capture.frame, Some(&tray), &mut |_| ()).unwrap();
        let told: Vec<Inspection> = inspectors.iter().map(|i| i.inspect(&capture.frame, Some(&tray), &mut |_| ()).unwrap()).collect();
        for found in &told {
            assert!(found.model.starts_with("classical+damage-depth.onnx@"), "{}", found.model);
            assert!((found.damage_score - told[0].damage_score).abs() < TOLERANCE as f32, "{}: engines differ", capture.item_id);
        }
        moved += usize::from((told[0].damage_score - alone.damage_score).abs() > 0.05);
    }
    assert!(moved > 3, "the second opinion changed {moved} of 12 scores");
}

#[test]
fn many_frames_at_once_are_scored_alike() {
    let models = ModelChoice::BuiltIn.load(EngineKind::Tract).unwrap();
    let inspector = Inspector { models, ..Inspector::default() };
    let frame = frame();
    let score = |_: usize| inspector.inspect(&frame, None, &mut |_| ()).unwrap().damage_score;
    let alone = score(0);
    // Workers that wait take up other frames: nothing of one run may be in the way of another.
    let together: Vec<f32> = (0..12).into_par_iter().map(score).collect();
    assert!(together.iter().all(|s| *s == alone), "{alone}: {together:?}");
}

#[test]
fn onnx_runtime_says_what_tract_says() {
    if !common::has_onnxruntime("onnx_runtime_says_what_tract_says") {
        return;
    }
    let (tract, ort) = (inspect(EngineKind::Tract), inspect(EngineKind::Ort));
    assert_eq!(ort.engine, "ort");
    assert_eq!(tract.items.len(), ort.items.len());
    for (a, b) in tract.items.iter().zip(&ort.items) {
        assert!(f64::from(a.damage_score - b.damage_score).abs() < TOLERANCE, "{} {}", a.damage_score, b.damage_score);
        for (x, y) in a.defects.iter().zip(&b.defects) {
            assert!(f64::from(x.score - y.score).abs() < TOLERANCE, "{:?}: {} {}", x.kind, x.score, y.score);
        }
    }
    let worst = tract.heatmap.data().iter().zip(ort.heatmap.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(f64::from(worst) < TOLERANCE, "{worst}");
}
