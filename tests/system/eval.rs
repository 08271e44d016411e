//! Labelled data sets: what `intact booth generate` writes is judged by `intact eval`, and so are the layouts that users have.

use std::path::Path;
use std::process::Output;

use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{intact, intact_ok};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_generated_set_is_judged_and_reported() {
    let dir = tempdir().unwrap();
    let (set, report, csv) = (dir.path().join("set"), dir.path().join("report"), dir.path().join("submission.csv"));
    intact_ok(&["booth", "generate", "--seed", "11", "--items", "16", "--damaged", "0.5", "--size", "320x240", "--out", text(&set)]);
    let line = intact_ok(&[
        "eval",
        text(&set),
        "--format",
        "booth",
        "--references",
        "auto",
        "--json",
        "--report",
        text(&report),
        "--submission",
        text(&csv),
    ]);
    let figures: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(figures["n"], 16);
    let damaged = figures["n_defect"].as_u64().unwrap();
    assert!((3..=13).contains(&damaged), "{damaged} of 16 are damaged");
    for figure in ["auroc", "ap_any", "recall_at_50p", "recall_at_1fpr", "recall_at_01fpr"] {
        let value = figures[figure].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&value), "{figure}: {value}");
        let interval = &figures["ci95"][figure];
        assert!(interval["low"].as_f64().unwrap() <= interval["high"].as_f64().unwrap(), "{figure}: {interval}");
    }
    for key in
        ["per_type", "per_operator", "per_material", "per_family", "per_lookalike", "recall_by_px", "recall_by_mm", "reliability", "ms"]
    {
        assert!(figures[key].is_object() || figures[key].is_array(), "{key}: {line}");
    }
    for number in
        ["/calibration_error", "/ms/p50", "/ms/p99", "/operation/good_sidelined_per_million", "/operation/bad_shipped_per_million"]
    {
        assert!(figures.pointer(number).is_some_and(Value::is_number), "{number}: {line}");
    }
    let sized: u64 = figures["recall_by_mm"].as_array().unwrap().iter().map(|b| b["n"].as_u64().unwrap()).sum();
    assert_eq!(sized, damaged, "the booth knows the size of every damage");
    assert!(figures["auroc"].as_f64().unwrap() > 0.6, "the scorer is no better than chance: {line}");
    assert!(figures["compared"].as_f64().unwrap() > 0.0, "{line}");
    assert!(figures["rejudged"].is_object() && figures["damage_where_rejudged"].is_object(), "{line}");
    assert!(figures["item_iou"].as_f64().unwrap() > 0.7, "{line}");
    assert!(figures["localisation"]["pixel_auroc"].as_f64().unwrap() > 0.6, "{line}");
    let groups: u64 = figures["per_family"].as_object().unwrap().values().map(|g| g["n"].as_u64().unwrap()).sum();
    assert_eq!(groups, 16);

    let predictions = std::fs::read_to_string(&csv).unwrap();
    assert_eq!(predictions.lines().next(), Some("capture_id,pred"));
    assert_eq!(predictions.lines().count(), 17);
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    for picture in page.split("<img src='").skip(1).map(|rest| rest.split('\'').next().unwrap()) {
        assert!(report.join(picture).is_file(), "{picture}");
    }
    for part in ["Worst misses", "Reliability", "Recall against size", "look-alike: ", "expected calibration error", "<svg"] {
        assert!(page.contains(part), "the page lacks {part}");
    }

    // The same tables are Kaputt's: they are read without depth, too.
    let line = intact_ok(&["eval", text(&set), "--format", "kaputt", "--limit", "5", "--json"]);
    let figures: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(figures["n"], 5);
    // The same seed gives the same captures.
    let again = dir.path().join("again");
    intact_ok(&["booth", "generate", "--seed", "11", "--items", "16", "--damaged", "0.5", "--size", "320x240", "--out", text(&again)]);
    for entry in std::fs::read_dir(set.join("query-image")).unwrap() {
        let name = entry.unwrap().file_name();
        let bytes = |root: &Path| std::fs::read(root.join("query-image").join(&name)).unwrap();
        assert!(bytes(&set) == bytes(&again), "{name:?}");
    }
}

#[test]
fn damage_put_into_listed_captures_is_an_exam_with_shams() {
    let dir = tempdir().unwrap();
    let (set, list, out, sheet) =
        (dir.path().join("set"), dir.path().join("real.jsonl"), dir.path().join("injected"), dir.path().join("sheet.png"));
    intact_ok(&["booth", "generate", "--seed", "5", "--items", "3", "--damaged", "0", "--size", "320x240", "--out", text(&set)]);
    let shared: Value = serde_json::from_str(&std::fs::read_to_string(set.join("booth.json")).unwrap()).unwrap();
    let camera = &shared["cameras"][0]["intrinsics"].as_array().unwrap()[..4];
    let lines: String = (0..3)
        .map(|n| {
            let file = |folder: &str, kind: &str| set.join(folder).join(format!("booth-{}-{n:06}.{kind}", seed_of(&set)));
            let row = serde_json::json!({ "id": format!("booth/a{n}"), "item": format!("booth/a{n}"), "color": file("query-image", "jpg"),
                "depth": file("query-depth", "png"), "depth_unit_m": 0.001, "camera": camera, "one_item": true });
            format!("{row}\n")
        })
        .collect();
    std::fs::write(&list, lines).unwrap();
    let splits = dir.path().join("splits.csv");
    std::fs::write(&splits, "# parts\nitem,part\nbooth/a0,test\nbooth/a1,train\nbooth/a2,test\n").unwrap();
    let inject = |out: &Path, part: &str| {
        let copies = ["--copies", "9", "--splits", text(&splits), "--part", part];
        intact(&[&["booth", "inject", text(&list), "--out", text(out), "--sheet", text(&sheet)][..], &copies].concat())
    };
    let output = inject(&out, "test");
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(image::open(&sheet).unwrap().width() > 600);
    let figures: Value = serde_json::from_str(&intact_ok(&["eval", text(&out), "--format", "booth", "--json"])).unwrap();
    let (n, bad) = (figures["n"].as_u64().unwrap(), figures["n_defect"].as_u64().unwrap());
    assert!(bad >= 9 && n == 2 * bad, "each damaged capture has its sham: {bad} of {n}");
    let operators = figures["per_operator"].as_object().unwrap();
    assert!(operators.len() >= 7 && operators["hole"]["n_defect"].as_u64().unwrap() <= 2, "{operators:?}");
    for unit in ["recall_by_px", "recall_by_mm"] {
        let sized: u64 = figures[unit].as_array().unwrap().iter().map(|b| b["n"].as_u64().unwrap()).sum();
        assert_eq!(sized, bad, "{unit}");
    }
    assert!(figures["localisation"]["pixel_auroc"].is_number(), "{figures}");
    assert!(figures["per_family"]["booth, depth"]["n"].as_u64() == Some(n));
    let again = inject(&out, "test");
    assert!(complaint(&again).contains("nothing is overwritten"), "{}", complaint(&again));
    let none = inject(&dir.path().join("other"), "tune");
    assert!(complaint(&none).contains("no capture of the part `tune`"), "{}", complaint(&none));
}

#[test]
fn a_booth_of_three_cameras_gives_three_captures_an_item_and_eval_fuses_them() {
    let dir = tempdir().unwrap();
    let (one, three) = (dir.path().join("one"), dir.path().join("three"));
    let generate = |cameras: &str, out: &Path| {
        let what = ["--seed", "13", "--items", "6", "--damaged", "0.7", "--size", "320x240", "--no-references", "--cameras", cameras];
        intact_ok(&[&["booth", "generate"][..], &what, &["--out", text(out)]].concat());
    };
    generate("1", &one);
    generate("3", &three);
    let shared: Value = serde_json::from_str(&std::fs::read_to_string(three.join("booth.json")).unwrap()).unwrap();
    let cameras = shared["cameras"].as_array().unwrap();
    assert_eq!(cameras.iter().map(|c| c["name"].as_str().unwrap()).collect::<Vec<_>>(), ["camera", "camera_1", "camera_2"]);
    for camera in cameras {
        let pose: Vec<f64> = camera["cell_from_camera"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert!(pose.len() == 7 && pose[2] > 0.6, "every camera hangs above the tray: {pose:?}");
        assert!((pose[3..].iter().map(|q| q * q).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(three.join(camera["background"].as_str().unwrap()).is_file());
    }
    // The first camera sees what it sees alone.
    for n in 0..6 {
        let bytes = |root: &Path, camera: &str| {
            std::fs::read(root.join(format!("query-image/booth-{}-{n:06}{camera}.jpg", seed_of(&one)))).unwrap()
        };
        assert!(bytes(&one, "") == bytes(&three, "-camera"), "capture {n}");
    }
    let eval = |extra: &[&str]| -> Value {
        serde_json::from_str(&intact_ok(&[&["eval", text(&three), "--format", "booth", "--json"], extra].concat())).unwrap()
    };
    let (single, fused) = (eval(&[]), eval(&["--fuse"]));
    assert_eq!((single["n"].as_u64(), fused["n"].as_u64()), (Some(18), Some(6)));
    assert_eq!(single["n_defect"].as_u64().unwrap(), 3 * fused["n_defect"].as_u64().unwrap());
    assert!(single["item_iou"].as_f64().unwrap() > 0.6, "items are found from the side, too: {}", single["item_iou"]);
    let bag = dir.path().join("bag");
    intact_ok(&["booth", "bag", "--seed", "3", "--items", "2", "--size", "320x240", "--cameras", "2", "--out", text(&bag)]);
    let log = dir.path().join("log.db");
    let lines = intact_ok(&["run", "--bag", text(&bag), "--lockstep", "--json", "--ledger", text(&log)]);
    let decided = lines.lines().filter(|l| l.contains("disposition")).count();
    assert_eq!(decided, 2, "{lines}");
}

/// The seed in a set's capture names.
fn seed_of(set: &Path) -> String {
    let first = std::fs::read_dir(set.join("query-image")).unwrap().next().unwrap().unwrap().file_name();
    first.to_str().unwrap().split('-').nth(1).unwrap().to_owned()
}

#[test]
fn a_category_of_mvtec_is_judged_against_its_good_pictures() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("print");
    let picture = |seed: u32, stain: bool| {
        RgbImage::from_fn(256, 256, |x, y| {
            if stain && (90..150).contains(&x) && (100..160).contains(&y) {
                return Rgb([20, 20, 20]);
            }
            // A print with many corners; a little noise that differs a picture.
            let block = ((x / 16 * 7919) ^ (y / 16 * 104_729)) % 200;
            let noise = (x * 31 + y * 17 + seed * 101) % 9;
            Rgb([(block + noise) as u8, (block / 2 + 60 + noise) as u8, (220 - block + noise) as u8])
        })
    };
    for (folder, count, stain) in [("train/good", 3, false), ("test/good", 3, false), ("test/stain", 3, true)] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
        for n in 0..count {
            picture(n + 10 * u32::from(stain), stain).save(root.join(folder).join(format!("{n}.png"))).unwrap();
        }
    }
    let line = intact_ok(&["eval", text(&root), "--format", "mvtec", "--references", "auto", "--json"]);
    let figures: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((figures["n"].as_u64(), figures["n_defect"].as_u64()), (Some(6), Some(3)));
    assert_eq!(figures["auroc"], 1.0, "stains on a known print are found: {line}");
}

#[test]
fn a_surface_that_cannot_be_registered_is_learnt_from_good_pictures() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("sheet");
    // Grain that differs from picture to picture; a scratch across it.
    let picture = |seed: u32, scratch: bool| {
        RgbImage::from_fn(96, 96, |x, y| {
            let mut v = (y * 96 + x).wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503)).wrapping_mul(2_246_822_519);
            v ^= v >> 15;
            let level = 110 + (v % 40) as u8;
            Rgb([if scratch && x.abs_diff(y) < 2 && (20..76).contains(&x) { level - 60 } else { level }; 3])
        })
    };
    for (folder, count, scratch, first) in [("train/good", 10, false, 0), ("test/good", 6, false, 20), ("test/scratch", 6, true, 40)] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
        for n in 0..count {
            picture(first + n, scratch).save(root.join(folder).join(format!("{n}.png"))).unwrap();
        }
    }
    let line = intact_ok(&["eval", text(&root), "--format", "mvtec", "--json"]);
    let figures: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(figures["auroc"], 1.0, "scratches stand out of the grain: {line}");
}

#[test]
fn one_broken_picture_is_named_and_left_out() {
    let dir = tempdir().unwrap();
    let set = dir.path().join("set");
    intact_ok(&["booth", "generate", "--seed", "14", "--items", "4", "--damaged", "0.5", "--no-references", "--out", text(&set)]);
    let broken = std::fs::read_dir(set.join("query-image")).unwrap().next().unwrap().unwrap().path();
    std::fs::File::options().write(true).open(&broken).unwrap().set_len(2000).unwrap();
    let output = intact(&["eval", text(&set), "--format", "booth", "--json"]);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("is left out") && said.contains("1 of 4 samples could not be read"), "{said}");
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&figures["n"], &figures["unread"]), (&Value::from(3), &Value::from(1)));
    // Of nothing there is nothing to tell.
    for picture in std::fs::read_dir(set.join("query-image")).unwrap() {
        std::fs::write(picture.unwrap().path(), "no picture").unwrap();
    }
    let output = intact(&["eval", text(&set), "--format", "booth"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no sample of the split `test` could be read"));
}

#[test]
fn a_wrong_folder_gets_one_sentence() {
    let dir = tempdir().unwrap();
    for (format, words) in [("kaputt", "query-test.parquet"), ("booth", "booth.json"), ("mvtec", "test/<type>")] {
        let output = intact(&["eval", text(dir.path()), "--format", format]);
        let said = complaint(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{format}: {said}");
    }
    let output = intact(&["booth", "generate", "--out", text(dir.path())]);
    assert!(complaint(&output).contains("nothing is overwritten"), "{}", complaint(&output));
}

#[test]
fn an_inspected_capture_is_told_in_the_keys_that_scripts_know() {
    let dir = tempdir().unwrap();
    let set = dir.path().join("set");
    let made = ["booth", "generate", "--seed", "13", "--items", "1", "--damaged", "1", "--no-references", "--out", text(&set)];
    intact_ok(&made);
    let shared: Value = serde_json::from_str(&std::fs::read_to_string(set.join("booth.json")).unwrap()).unwrap();
    let camera: Vec<String> = shared["cameras"][0]["intrinsics"].as_array().unwrap()[..4].iter().map(ToString::to_string).collect();
    let only = |folder: &str| std::fs::read_dir(set.join(folder)).unwrap().next().unwrap().unwrap().path();
    let (color, depth) = (only("query-image"), only("query-depth"));
    let background = format!("{},{}", text(&set.join("background.jpg")), text(&set.join("background-depth.png")));
    let out = dir.path().join("out");
    // The background before the picture: one option does not swallow the other.
    let line = intact_ok(&[
        "inspect",
        "--background",
        &background,
        text(&color),
        "--depth",
        text(&depth),
        "--depth-unit",
        "0.001",
        "--intrinsics",
        &camera.join(","),
        "--out",
        text(&out),
        "--json",
    ]);
    let report: Value = serde_json::from_str(&line).unwrap();
    for key in ["items", "timings_ms", "model", "damage_threshold"] {
        assert!(report.get(key).is_some(), "{key}: {line}");
    }
    let item = &report["items"][0];
    assert_eq!(item["bbox"].as_array().map(Vec::len), Some(4), "{line}");
    assert!(item["area_px"].as_u64().unwrap() > 500 && item["damage_score"].is_number(), "{line}");
    for defect in item["defects"].as_array().unwrap() {
        assert!(defect["type"].is_string() && defect["score"].is_number() && defect["severity"].is_string(), "{defect}");
        assert!(defect.get("bbox").is_some(), "{defect}");
    }
    for picture in ["mask.png", "heatmap.png", "overlay.png"] {
        assert!(out.join(picture).is_file(), "{picture}");
    }
}

/// Shape of an `.npy` file of bytes, and its numbers.
fn npy(path: &Path) -> (Vec<usize>, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let about = std::str::from_utf8(&bytes[10..end]).unwrap();
    assert!(about.contains("'descr': '|u1'") && about.ends_with('\n'), "{about}");
    let shape = about.split("'shape': (").nth(1).unwrap().split(')').next().unwrap();
    (shape.split(", ").map(|n| n.parse().unwrap()).collect(), bytes[end..].to_vec())
}

#[test]
fn a_set_is_cut_into_what_a_model_sees() {
    let dir = tempdir().unwrap();
    let (set, out) = (dir.path().join("set"), dir.path().join("crops"));
    intact_ok(&[
        "booth",
        "generate",
        "--seed",
        "12",
        "--items",
        "6",
        "--damaged",
        "1",
        "--size",
        "320x240",
        "--split",
        "train",
        "--no-references",
        "--out",
        text(&set),
    ]);
    intact_ok(&["crops", text(&set), "--format", "booth", "--split", "train", "--side", "64", "--out", text(&out)]);
    let table = std::fs::read_to_string(out.join("crops.csv")).unwrap();
    let n = table.lines().count() - 1;
    assert!((4..=6).contains(&n), "{n} of 6 items are found");
    let (shape, inputs) = npy(&out.join("inputs.npy"));
    assert_eq!(shape, [n, 6, 64, 64]);
    assert_eq!(inputs.len(), n * 6 * 64 * 64);
    let (shape, damage) = npy(&out.join("damage.npy"));
    assert_eq!((shape, damage.len()), (vec![n, 64, 64], n * 64 * 64));
    for (k, row) in table.lines().skip(1).enumerate() {
        // The item is in the picture, and so is its damage.
        let place = &inputs[(k * 6 + 5) * 4096..][..4096];
        assert!(place.iter().filter(|p| **p == 255).count() > 400, "{row}");
        let marked = damage[k * 4096..][..4096].iter().any(|b| *b != 0);
        assert_eq!(marked, row.split(',').nth(6) == Some("1"), "{row}");
        assert!(!row.ends_with(','), "the classical score, of depth: {row}");
    }
    let colour = dir.path().join("colour");
    let of_set = ["crops", text(&set), "--format", "booth", "--split", "train", "--side", "64"];
    intact_ok(&[&of_set[..], &["--colour-alone", "--out", text(&colour)]].concat());
    let table = std::fs::read_to_string(colour.join("crops.csv")).unwrap();
    let (shape, inputs) = npy(&colour.join("inputs.npy"));
    assert!(shape[0] >= 4 && table.lines().skip(1).all(|row| row.ends_with(',')), "{table}");
    for item in inputs.chunks_exact(6 * 4096) {
        let shown = |c: usize| item[c * 4096..][..4096].iter().filter(|v| **v > 0).count();
        assert!(shown(3) + shown(4) == 0 && shown(5) > 400, "{} {} {}", shown(3), shown(4), shown(5));
    }
}

/// Items beside their references, of a generated set and of a list of photographs.
#[test]
fn a_set_is_laid_beside_its_references() {
    const SIDE: usize = 256 * 256;
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let made = ["--seed", "15", "--items", "8", "--products", "2", "--damaged", "0.6", "--split", "train", "--out"];
    intact_ok(&[&["booth", "generate"], &made[..], &[text(&path("set"))]].concat());
    intact_ok(&["pairs", text(&path("set")), "--format", "booth", "--split", "train", "--out", text(&path("pairs"))]);
    let table = std::fs::read_to_string(path("pairs").join("pairs.csv")).unwrap();
    let n = table.lines().count() - 1;
    assert!((2..=8).contains(&n), "a reference lies over {n} of 8 items");
    let (shape, inputs) = npy(&path("pairs").join("inputs.npy"));
    assert_eq!((shape, inputs.len()), (vec![n, 9, 256, 256], n * 9 * SIDE));
    let (shape, damage) = npy(&path("pairs").join("damage.npy"));
    assert_eq!(shape, [n, 256, 256]);
    for (k, row) in table.lines().skip(1).enumerate() {
        let channel = |c: usize| &inputs[(k * 9 + c) * SIDE..][..SIDE];
        let compared = channel(7).iter().filter(|v| **v == 255).count();
        assert!(compared > 500 && channel(7).iter().all(|v| matches!(v, 0 | 255)), "{row}");
        // Where the two can be compared they show nearly the same in the same light.
        let differs = |i: &usize| channel(1)[*i].abs_diff(channel(4)[*i]) > 60;
        let different = (0..SIDE).filter(|i| channel(7)[*i] == 255).filter(differs).count();
        assert!(different * 2 < compared, "{different} of {compared} differ: {row}");
        let is_damaged = row.split(',').nth(5) == Some("1");
        assert!(is_damaged || damage[k * SIDE..][..SIDE].iter().all(|b| *b == 0), "{row}");
    }

    let reference = std::fs::read_dir(path("set").join("reference-image")).unwrap().next().unwrap().unwrap().path();
    let line = serde_json::json!({"id": "a", "item": "a", "color": reference, "references": [reference]});
    std::fs::write(path("photographs.jsonl"), line.to_string()).unwrap();
    let said = intact_ok(&["pairs", text(&path("photographs.jsonl")), "--out", text(&path("own"))]);
    assert!(said.contains("1 of 1 items laid over a reference"), "{said}");
    let again = intact(&["pairs", text(&path("photographs.jsonl")), "--out", text(&path("own"))]);
    assert!(again.status.code() == Some(2) && complaint(&again).contains("nothing is overwritten"), "{}", complaint(&again));
    let none = intact(&["pairs", text(&path("set")), "--format", "booth", "--split", "test", "--out", text(&path("none"))]);
    assert!(none.status.code() == Some(2) && complaint(&none).lines().count() == 1, "{}", complaint(&none));
}

#[test]
fn a_list_of_captures_says_which_line_is_wrong() {
    let dir = tempdir().unwrap();
    let list = dir.path().join("goods.jsonl");
    let out = dir.path().join("crops");
    for (content, words) in [
        ("{\"id\":\"a\",\"item\":\"a\",\"color\":\"/no/such.png\",\"deph\":\"x\"}\n", "line 1"),
        ("{\"id\":\"a\",\"item\":\"a\",\"color\":\"a.png\",\"depth\":\"b.png\"}\n", "`depth` needs `depth_unit_m`"),
        ("\n", "it lists no capture"),
    ] {
        std::fs::write(&list, content).unwrap();
        let output = intact(&["crops", text(&list), "--out", text(&out)]);
        let said = complaint(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{said}");
        assert!(!out.exists(), "nothing is made of a broken list");
    }
}
