//! The ONNX path, with models that a few lines of protobuf write: no Python, no binary in the repository.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::sync::Arc;

use inspection::{DefectType, Engine, InspectionError, Inspector, TractModel};
use vision::{ColorImage, DepthImage, Intrinsics, RgbdFrame};

/// Protobuf, as far as ONNX needs it.
mod proto {
    pub fn varint(mut v: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while v >= 0x80 {
            out.push(v as u8 | 0x80);
            v >>= 7;
        }
        out.push(v as u8);
        out
    }

    pub fn number(field: u64, v: u64) -> Vec<u8> {
        [varint(field << 3), varint(v)].concat()
    }

    pub fn bytes(field: u64, v: &[u8]) -> Vec<u8> {
        [varint(field << 3 | 2), varint(v.len() as u64), v.to_vec()].concat()
    }

    pub fn text(field: u64, v: &str) -> Vec<u8> {
        bytes(field, v.as_bytes())
    }
}

use proto::{bytes, number, text};

fn value_info(field: u64, name: &str, shape: &[u64]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|d| bytes(1, &number(1, *d))).collect();
    let tensor = [number(1, 1), bytes(2, &dims)].concat();
    bytes(field, &[text(1, name), bytes(2, &bytes(1, &tensor))].concat())
}

fn tensor(name: &str, dims: &[u64], data: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
    let dims: Vec<u8> = dims.iter().flat_map(|d| number(1, *d)).collect();
    bytes(5, &[dims, number(2, 1), text(8, name), bytes(9, &raw)].concat())
}

fn node(op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|i| text(1, i)).collect();
    bytes(1, &[inputs, text(2, output), text(3, output), text(4, op)].concat())
}

fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    let graph = [graph.concat(), text(2, "fixture")].concat();
    [number(1, 8), bytes(8, &[text(1, ""), number(2, 13)].concat()), bytes(7, &graph)].concat()
}

/// `damage[k] = sigmoid(gain · (red − 0.5))` a pixel, the same for all seven types but half as steep for the odd ones.
fn red_segmenter(side: u64, channels: u64, input: &str, sigmoid: bool) -> Vec<u8> {
    let weights: Vec<f32> =
        (0..7).flat_map(|k| (0..channels).map(move |c| if c == 0 { if k % 2 == 0 { 20.0 } else { 10.0 } } else { 0.0 })).collect();
    let bias: Vec<f32> = (0..7).map(|k| if k % 2 == 0 { -10.0 } else { -5.0 }).collect();
    let (conv, last) = if sigmoid { ("logits", "Sigmoid") } else { ("logits", "Relu") };
    model(&[
        node("Conv", &[input, "w", "b"], conv),
        node(last, &[conv], "damage"),
        tensor("w", &[7, channels, 1, 1], &weights),
        tensor("b", &[7], &bias),
        value_info(11, input, &[1, channels, side, side]),
        value_info(12, "damage", &[1, 7, side, side]),
    ])
}

/// One score from the mean of the picture.
fn mean_classifier(side: u64) -> Vec<u8> {
    model(&[
        node("GlobalAveragePool", &["image"], "pooled"),
        node("Flatten", &["pooled"], "flat"),
        node("MatMul", &["flat", "w"], "logit"),
        node("Sigmoid", &["logit"], "damage"),
        tensor("w", &[3, 1], &[4.0, 4.0, 4.0]),
        value_info(11, "image", &[1, 3, side, side]),
        value_info(12, "damage", &[1, 1]),
    ])
}

/// A file that is gone with the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &[u8]) -> File {
        let path = std::env::temp_dir().join(format!("intact-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        File(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A grey box, 8 cm high, on a dark tray 0.8 m below the camera; the box has a red spot.
fn frame() -> RgbdFrame {
    let (w, h) = (320u32, 240u32);
    let inside = |i: u32| (120..200).contains(&(i % w)) && (80..160).contains(&(i / w));
    let spot = |i: u32| (150..170).contains(&(i % w)) && (100..120).contains(&(i / w));
    let color = (0..w * h).flat_map(|i| {
        if spot(i) {
            [250, 20, 20]
        } else if inside(i) {
            [90, 90, 90]
        } else {
            [30, 30, 30]
        }
    });
    let depth = (0..w * h).map(|i| if inside(i) { 0.72 } else { 0.8 });
    RgbdFrame {
        color: Arc::new(ColorImage::new(w, h, color.collect()).unwrap()),
        depth: Some(Arc::new(DepthImage::new(w, h, depth.collect()).unwrap())),
        intrinsics: Some(Intrinsics { fx: 300.0, fy: 300.0, cx: 159.5, cy: 119.5, width: w, height: h }),
    }
}

#[test]
fn a_segmenter_scores_types_and_places() {
    let file = File::new("segmenter.onnx", &red_segmenter(64, 3, "image", true));
    let model = TractModel::load(&file.0).unwrap();
    assert_eq!(model.contract().map, Some((64, 64)));
    assert!(model.model().contains("segmenter.onnx@"), "{}", model.model());
    let inspector = Inspector { models: model.into(), ..Inspector::default() };
    let found = inspector.inspect(&frame(), None, &mut |_| ()).unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.engine, "tract");
    assert!(found.damage_score > 0.95, "{}", found.damage_score);
    let place = found.items[0].defects[0].bbox.unwrap();
    assert!(place.x.abs_diff(150) < 5 && place.y.abs_diff(100) < 5 && place.w.abs_diff(20) < 8, "{place:?}");
    let heat = |x: usize, y: usize| found.heatmap.data()[y * 320 + x];
    assert!(heat(160, 110) > 0.9 && heat(130, 150) < 0.2);
}

#[test]
fn depth_is_the_fourth_channel() {
    let file = File::new("four.onnx", &red_segmenter(32, 4, "image", true));
    let inspector = Inspector { models: TractModel::load(&file.0).unwrap().into(), ..Inspector::default() };
    assert!(inspector.inspect(&frame(), None, &mut |_| ()).unwrap().damage_score > 0.9);
}

#[test]
fn a_classifier_scores_damage_of_any_type() {
    let file = File::new("classifier.onnx", &mean_classifier(32));
    let inspector = Inspector { models: TractModel::load(&file.0).unwrap().into(), ..Inspector::default() };
    let found = inspector.inspect(&frame(), None, &mut |_| ()).unwrap();
    let scored: Vec<DefectType> = found.items[0].defects.iter().filter(|d| d.score > 0.5).map(|d| d.kind).collect();
    assert_eq!(scored, [DefectType::Superficial]);
}

#[test]
fn what_is_no_model_of_ours_is_refused_with_a_reason() {
    let missing = TractModel::load(std::path::Path::new("/no/such/model.onnx")).unwrap_err();
    assert!(matches!(missing, InspectionError::ModelFile { .. }), "{missing}");
    for (name, content, says) in [
        ("garbage.onnx", b"this is no protobuf at all".to_vec(), "not a readable ONNX model"),
        ("empty.onnx", Vec::new(), "contract"),
        ("input.onnx", red_segmenter(64, 3, "picture", true), "expected `image`"),
        ("channels.onnx", red_segmenter(64, 2, "image", true), "expected [1, 3 or 4 or 6, H, W]"),
        ("small.onnx", red_segmenter(8, 3, "image", true), "sides of 32 to 1024"),
        ("logits.onnx", red_segmenter(64, 3, "image", false), "sigmoid"),
    ] {
        let file = File::new(name, &content);
        let error = TractModel::load(&file.0).expect_err(name);
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
}
