//! The network that finds items: what PyTorch, tract and ONNX Runtime say of one encoded file; and items where there is neither depth nor a
//! picture of the empty tray.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use booth::{Booth, BoothSpec};
use inspection::{EngineKind, Inspector, ItemFinder, ModelChoice};
use vision::{ColorImage, LabelMask, RgbdFrame};

const TOLERANCE: f32 = 1e-3;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/items")
}

/// `parity.png`: four channels, one below the other; and every so many numbers of what PyTorch said of them (`training/items.py`).
fn says_what_pytorch_said(kind: EngineKind) {
    let finder = ItemFinder::load(kind).unwrap();
    assert!(finder.model().starts_with("items.onnx@"), "{}", finder.model());
    let told: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(models().join("parity.json")).unwrap()).unwrap();
    let recorded: Vec<f32> = told["items"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    let every = told["every"].as_u64().unwrap() as usize;
    let picture = image::open(models().join("parity.png")).unwrap().into_luma8();
    let (w, h) = (picture.width() as usize / 2, picture.height() as usize / 8);
    let maps = finder.run(&picture.into_raw()).unwrap();
    assert_eq!(maps.len(), 2 * w * h);
    let some = (0..2).flat_map(|m| (0..h).step_by(every).flat_map(move |y| (0..w).step_by(every).map(move |x| (m * h + y) * w + x)));
    let said: Vec<f32> = some.map(|i| maps[i]).collect();
    assert_eq!(said.len(), recorded.len());
    let off = said.iter().zip(&recorded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < TOLERANCE, "{off}");
    assert!(said.iter().any(|v| *v > 0.9) && said.iter().any(|v| *v < 0.1), "it shows an item and ground");
}

#[test]
fn tract_says_what_pytorch_said_of_the_same_file() {
    says_what_pytorch_said(EngineKind::Tract);
}

#[test]
fn onnx_runtime_says_what_pytorch_said_of_the_same_file() {
    if !common::has_onnxruntime("items by ONNX Runtime") {
        return;
    }
    says_what_pytorch_said(EngineKind::Ort);
}

fn iou(found: &LabelMask, truth: &LabelMask) -> f64 {
    let both = found.data().iter().zip(truth.data()).filter(|(f, t)| **f > 0 && **t > 0).count();
    let any = found.data().iter().zip(truth.data()).filter(|(f, t)| **f > 0 || **t > 0).count();
    both as f64 / any.max(1) as f64
}

/// A tray that differs from the table was the item for colours alone; booths of the part `test` show what training never saw.
#[test]
fn items_in_trays_are_found_by_colour_alone() {
    let network = Inspector { finder: ModelChoice::BuiltIn.finder(EngineKind::Tract).unwrap(), ..Inspector::default() };
    let (mut by_network, mut by_contrast, mut n) = (0.0, 0.0, 0.0);
    for seed in [801, 802, 803] {
        let booth = Booth::new(BoothSpec { seed, width: 320, height: 240, ..BoothSpec::default() }).unwrap();
        for capture in (0..6).map(|i| booth.capture(i)) {
            let frame = RgbdFrame { depth: None, ..capture.frame.clone() };
            let mean = |inspector: &Inspector| iou(&inspector.inspect(&frame, None, &mut |_| ()).unwrap().mask, &capture.truth.mask);
            (by_network, by_contrast, n) = (by_network + mean(&network), by_contrast + mean(&Inspector::default()), n + 1.0);
        }
    }
    let (by_network, by_contrast) = (by_network / n, by_contrast / n);
    assert!(by_network > 0.75 && by_network > by_contrast, "network {by_network:.3}, contrast {by_contrast:.3}");
}

#[test]
fn pictures_of_nothing_of_one_row_and_of_any_shape_are_looked_at() {
    let network = Inspector { finder: ModelChoice::BuiltIn.finder(EngineKind::Tract).unwrap(), ..Inspector::default() };
    for (w, h, grey) in [(320, 240, 128), (64, 900, 0), (900, 64, 255), (640, 1, 90)] {
        let color = ColorImage::new(w, h, vec![grey; (3 * w * h) as usize]).unwrap();
        let frame = RgbdFrame { color: Arc::new(color), depth: None, intrinsics: None };
        let found = network.inspect(&frame, None, &mut |_| ()).unwrap_or_else(|e| panic!("{w}x{h}: {e}"));
        assert!(found.items.is_empty(), "{w}x{h} of {grey}: {:?}", found.items);
    }
}

#[test]
fn it_is_no_damage_model() {
    let file = ModelChoice::File(models().join("items.onnx"));
    let error = file.load(EngineKind::Tract).err().expect("it is no damage model").to_string();
    assert!(error.contains("`items`") && error.contains("damage"), "{error}");
}
