//! Real captures: imported, run, inspected, and held against the truth that comes with them.

use std::collections::BTreeSet;

use intact_msgs::msg::Outcome;

use crate::replay::decisions;
use crate::support::{intact_ok, json_lines, real_data};

/// Folder, options of the run, ids that must be decided.
fn import_and_run(folder: &str, more: &[&str]) -> Option<Vec<serde_json::Value>> {
    let data = real_data(folder, folder)?;
    let dir = tempfile::tempdir().unwrap();
    let bag = dir.path().join("bag").display().to_string();
    intact_ok(&["bag", "import", &data.display().to_string(), "-o", &bag]);
    let mut args = vec!["--bag", &bag, "--lockstep"];
    args.extend(more);
    Some(decisions(dir.path(), &args))
}

fn ids(lines: &[serde_json::Value]) -> BTreeSet<&str> {
    lines.iter().map(|l| l["item_id"].as_str().unwrap()).collect()
}

#[test]
fn single_items_are_found_and_decided() {
    let Some(lines) = import_and_run("rgbd_single_item", &[]) else { return };
    assert_eq!(ids(&lines), BTreeSet::from(["blue_mug", "cheezit", "cylinder", "green_bowl", "mustard"]));
    for line in &lines {
        assert!(line["damage_score"].is_number(), "{line}");
        assert!(!line["reasons"].to_string().contains("MULTIPLE_ITEMS"), "one item is one item: {line}");
    }
}

/// Where the camera stood is not in these captures; with a pose given, sorted items are picked up and laid into their bin.
#[test]
fn sorted_items_of_real_captures_are_carried_out() {
    let Some(data) = real_data("real captures to the robot", "rgbd_single_item") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (bag, record, ledger) = (path("bag"), path("record"), path("ledger.sqlite"));
    intact_ok(&["bag", "import", &data.display().to_string(), "-o", &bag]);
    let pose = "camera:extrinsics.camera:=[0.1, 0.0, 0.65, 0.0, 0.9, 0.0]"; // looks down at the tray, as these captures do
    let run = ["run", "--bag", &bag, "--lockstep", "--json", "--record", &record, "--ledger", &ledger, "--ros-args", "-p", pose];
    let lines = json_lines(&intact_ok(&run));
    let sorted: BTreeSet<&str> = lines.iter().filter(|l| l["disposition"] == "SORT").map(|l| l["item_id"].as_str().unwrap()).collect();
    assert!(!sorted.is_empty(), "{lines:#?}");
    let recorded = bag::Bag::open(std::path::Path::new(&record)).unwrap();
    let outcome = |m: bag::BagMessage| (&*m.topic == "/outcome").then(|| m.decode::<Outcome>().unwrap());
    let diverted = recorded.messages().filter_map(Result::ok).filter_map(outcome).filter(|o| o.result == Outcome::DIVERTED);
    let diverted: BTreeSet<String> = diverted.map(|o| o.item_id).collect();
    assert!(sorted.iter().any(|id| diverted.contains(*id)), "sorted {sorted:?}, diverted {diverted:?}");
}

#[test]
fn desk_scenes_are_decided_as_one_or_item_by_item() {
    let Some(lines) = import_and_run("rgbd_mosd", &[]) else { return };
    assert_eq!(lines.len(), 23);
    assert!(lines.iter().all(|l| l["disposition"] != "SORT"), "several items in view are never sorted as one");
    let Some(each) = import_and_run("rgbd_mosd", &["--clutter"]) else { return };
    assert!(each.len() > 2 * lines.len(), "{} items in {} scenes", each.len(), lines.len());
}

#[test]
fn the_tote_is_seen_by_two_cameras_against_its_background() {
    let Some(lines) = import_and_run("rgbd_tote_bg", &["--clutter"]) else { return };
    assert!(!lines.is_empty());
    assert!(lines.iter().all(|l| l["damage_score"].is_number()), "{lines:#?}");
}

#[test]
fn inspect_writes_what_it_found() {
    let Some(data) = real_data("inspect", "rgbd_single_item") else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| data.join(name).display().to_string();
    let out = dir.path().display().to_string();
    let (color, depth) = (file("cheezit_color.png"), file("cheezit_depth_0.1mm.png"));
    let text = intact_ok(&[
        "inspect",
        &color,
        "--depth",
        &depth,
        "--depth-unit",
        "0.0001",
        "--intrinsics",
        "616.4,616.2,310.3,236.6",
        "--out",
        &out,
        "--json",
    ]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["items"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["items"][0]["bbox"].as_array().unwrap().len(), 4);
    assert!(report["damage_threshold"].as_f64().unwrap() > 0.0 && report["model"].is_string() && report["timings_ms"].is_object());
    let mask = image::open(dir.path().join("mask.png")).unwrap();
    assert_eq!((mask.width(), mask.height()), (640, 480));
    let labelled = mask.to_luma16().pixels().filter(|p| p.0[0] > 0).count();
    assert_eq!(labelled as u64, report["items"][0]["area_px"].as_u64().unwrap(), "the mask holds the item's pixels");
    for name in ["heatmap.png", "overlay.png"] {
        assert!(dir.path().join(name).is_file(), "{name}");
    }
}
