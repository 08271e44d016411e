//! The weights that intact brings: one answer from PyTorch, tract and ONNX Runtime, from the same encoded file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use inspection::{EngineKind, Inspection, Inspector, ModelChoice};
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
fn recorded() -> Vec<f64> {
    let text = std::fs::read_to_string(models().join("parity.json")).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    value["scores"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn tract_says_what_pytorch_said_of_the_same_file() {
    let found = inspect(EngineKind::Tract);
    assert_eq!(found.engine, "tract");
    assert!(found.model.starts_with("damage.onnx@"), "{}", found.model);
    let scores: Vec<f64> = found.items.iter().map(|i| f64::from(i.damage_score)).collect();
    let wanted = recorded();
    assert_eq!(scores.len(), wanted.len());
    for (score, wanted) in scores.iter().zip(&wanted) {
        assert!((score - wanted).abs() < TOLERANCE, "{score} is not PyTorch's {wanted}");
    }
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
