//! A barcode that disagrees with the picture is told, and never decided by either alone.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::replay::{decisions, scene};

/// Two products whose items the scene's gallery knows for sure.
const SWAPPED: [&str; 2] = ["P0003", "P0023"];

#[test]
fn an_item_under_another_products_barcode_is_sidelined_as_a_mismatch() {
    let dir = tempfile::tempdir().unwrap();
    scene(dir.path(), 90_001, 12, &["--damaged", "0"]);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let run = |more: &[&str]| -> BTreeMap<String, Value> {
        let (bag, references) = (path("scene"), path("references"));
        let lines = decisions(dir.path(), &[&["--bag", &bag, "--references", &references, "--lockstep"], more].concat());
        lines.into_iter().map(|line| (line["item_id"].as_str().unwrap().to_owned(), line)).collect()
    };
    let before = run(&[]);
    // As if somebody had filed each under the other's name: pictures say one product, barcodes the other.
    let [a, b] = SWAPPED.map(|p| dir.path().join("references").join(p));
    let aside = dir.path().join("aside");
    for (from, to) in [(&a, &aside), (&b, &a), (&aside, &b)] {
        std::fs::rename(from, to).unwrap();
    }
    let after = run(&[]);
    // The default policy leaves an item whose print is not known to perception alone; a site may ask for more.
    let strict = run(&["--ros-args", "-p", "decision:on_unknown_product:=sideline"]);
    let mut mismatches = 0;
    for (id, was) in &before {
        let is = &after[id];
        let Some(k) = SWAPPED.iter().position(|p| was["product"] == *p) else {
            assert_eq!(is["product"], was["product"], "another product's item: {is}");
            continue;
        };
        assert_ne!(strict[id]["disposition"], "SORT", "{}", strict[id]);
        // Where the print was not sure enough to be a match, no mismatch can be told.
        let reasons = is["reasons"].as_array().unwrap();
        if reasons.contains(&Value::from("IDENTITY_MISMATCH")) {
            mismatches += 1;
            assert_eq!((&is["product"], &is["disposition"]), (&Value::from(SWAPPED[1 - k]), &Value::from("SIDELINE")), "{is}");
        } else {
            assert!(reasons.contains(&Value::from("UNKNOWN_PRODUCT")), "{is}");
        }
    }
    assert!(mismatches >= 2, "{after:?}");
}
