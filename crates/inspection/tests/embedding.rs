//! The embedding network: one vector from PyTorch, tract and ONNX Runtime, from the same encoded file; and near itself in another turn.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};

use inspection::{EMBEDDING_CHANNELS, EmbeddingNet, EngineKind, ModelChoice};
use vision::ColorImage;

const TOLERANCE: f32 = 1e-3;
const SIDE: usize = 128;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/embedding")
}

/// `parity.png`: four channels, one below the other.
fn look() -> Vec<u8> {
    image::open(models().join("parity.png")).unwrap().into_luma8().into_raw()
}

/// What PyTorch said of the same file (`training/embedding.py`).
fn recorded() -> Vec<f32> {
    let text = std::fs::read_to_string(models().join("parity.json")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    told["embedding"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn says_what_pytorch_said(kind: EngineKind) {
    let net = EmbeddingNet::load(kind).unwrap();
    assert!(net.model().starts_with("embedding.onnx@"), "{}", net.model());
    assert_eq!(look().len(), EMBEDDING_CHANNELS * SIDE * SIDE);
    let told = net.embed_input(&look()).unwrap();
    let off = told.iter().zip(recorded()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(told.len() == recorded().len() && off < TOLERANCE, "{off}");
    assert!((cosine(&told, &told) - 1.0).abs() < 1e-4);
}

#[test]
fn tract_says_what_pytorch_said_of_the_same_file() {
    says_what_pytorch_said(EngineKind::Tract);
}

#[test]
fn onnx_runtime_says_what_pytorch_said_of_the_same_file() {
    if !common::has_onnxruntime("embedding by ONNX Runtime") {
        return;
    }
    says_what_pytorch_said(EngineKind::Ort);
}

/// What is cut out of the same picture once more is what was cut out, but for a pixel at the rim.
#[test]
fn a_look_that_is_cut_out_again_stays_where_it_is() {
    let planes = look();
    let colors = (0..SIDE * SIDE).flat_map(|i| [0, 1, 2].map(|c| planes[c * SIDE * SIDE + i])).collect();
    let color = ColorImage::new(SIDE as u32, SIDE as u32, colors).unwrap();
    let net = EmbeddingNet::load(EngineKind::Tract).unwrap();
    let again = net.embed(&color, &planes[3 * SIDE * SIDE..]).unwrap();
    assert!(cosine(&again, &recorded()) > 0.95, "{}", cosine(&again, &recorded()));
}

/// A print turned by a quarter stays near itself, another print does not come as near.
#[test]
fn a_turned_print_is_nearer_than_another_one() {
    let net = EmbeddingNet::load(EngineKind::Tract).unwrap();
    let of = |seed: u32, turned: bool| {
        let colors = [[200, 40, 30], [240, 235, 220], [30, 90, 60], [30, 40, 120]];
        let pixel = |i: u32| {
            let (x, y) = if turned { (i / 96, 95 - i % 96) } else { (i % 96, i / 96) };
            let block = (x / 16 * 7 + y / 24 * 13 + seed * 5).wrapping_mul(2_654_435_761) >> 20;
            colors[((block + seed) % (2 + seed % 3)) as usize]
        };
        let picture = ColorImage::new(96, 96, (0..96 * 96).flat_map(pixel).collect()).unwrap();
        net.embed(&picture, &[1; 96 * 96]).unwrap()
    };
    for seed in 0..4 {
        let (own, turned) = (of(seed, false), of(seed, true));
        let others = (0..4).filter(|s| *s != seed).map(|s| cosine(&own, &of(s, true)));
        let nearest = others.fold(-1.0, f32::max);
        assert!(cosine(&own, &turned) > nearest, "{seed}: {} {nearest}", cosine(&own, &turned));
    }
}

#[test]
fn it_is_no_damage_model() {
    let file = ModelChoice::File(models().join("embedding.onnx"));
    let error = file.load(EngineKind::Tract).err().expect("it is no damage model").to_string();
    assert!(error.contains("embedding") && error.contains("damage"), "{error}");
}
