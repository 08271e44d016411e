//! What the node learns from items that pass by, and keeps: in a file, and on a server that goes away.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;
// Galleries on a server that the test starts.
#[path = "../../../crates/references/tests/support/mod.rs"]
mod galleries;

use common::*;
use std::path::Path;

use gallery::Gallery;
use intact_msgs::msg::{GalleryReport, ItemArrival};
use intact_msgs::srv::{EnrolReference, EnrolReferenceRequest};
use node_kit::{Mode, NodeOverrides, RunningNode, launch};
use references::{State, Store};
use ros_interfaces::std_msgs::msg::Header;
use transport::{Context, ContextOptions};
use vision::ros::color_to_ros;

#[test]
fn learning_is_off_unless_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (url, tea) = store_with_tea(&dir);
    let cell = Cell::new(Some(Path::new(&url)));
    for n in 0..4 {
        assert!(cell.inspect(&noisy(&tea, n), arrival(&format!("i{n}"))).learned.is_empty());
    }
    let store = Store::open_for_reading(&url.parse().unwrap()).unwrap();
    assert_eq!(store.history(None).unwrap().len(), 1);

    let (folder, ..) = two_products();
    let context = Context::new(ContextOptions::in_process()).unwrap();
    let overrides = NodeOverrides::default().set("references_dir", folder.path().display().to_string()).set("learning", "on".to_owned());
    let error = launch::<Gallery>(&context, overrides, Mode::Live).err().expect("a folder keeps no history");
    assert!(error.to_string().contains("learning") && error.to_string().contains("sqlite:"), "{error}");
}

#[test]
fn learns_from_intact_items_and_notices_a_new_design() {
    let dir = tempfile::tempdir().unwrap();
    let (url, tea) = store_with_tea(&dir);
    let learning = NodeOverrides::default().set("learning", "on".to_owned()).set("learning_sightings", 2).set("design_turn_deg", 0.0);
    let cell = Cell::with(Some(Path::new(&url)), learning);
    let said: Vec<String> = (0..3).map(|n| cell.inspect(&noisy(&tea, n), arrival(&format!("i{n}"))).learned).collect();
    assert_eq!(said, ["proposed"; 3]);
    let mut store = Store::open(&url.parse().unwrap()).unwrap();
    let learned = store.proposals(None, State::Active).unwrap();
    assert!(!learned.is_empty() && learned.iter().all(|p| !p.reference.pristine && p.agreeing.len() >= 2), "{learned:?}");
    let mismatch = ItemArrival { candidate_products: vec!["soap".into(), "tea".into()], barcode: "tea".into(), ..arrival("known") };
    assert_eq!(cell.inspect(&noisy(&tea, 1), mismatch.clone()).learned, "proposed");
    assert!(cell.inspect(&noisy(&tea, 2), mismatch).learned.contains("seen before"), "an item counts once");

    let mut new_design = tea.clone();
    for (x, y) in (0..60 * 50).map(|i| (60 + i % 60, 55 + i / 60)) {
        let at = ((y * ITEM.w + x) * 3) as usize;
        new_design.data_mut()[at..at + 3].copy_from_slice(if y % 20 < 12 { &[200, 30, 60] } else { &[240, 230, 110] });
    }
    let reports: Vec<GalleryReport> =
        (0..30).map(|n| cell.inspect(&noisy(&new_design, 100 + n), arrival(&format!("n{n}")))).take_while(|r| !r.design_change).collect();
    assert!(reports.len() < 30 && reports.iter().all(|r| r.anomaly_score > 0.5 && r.learned.contains("differs")), "{}", reports.len());
    assert_eq!(store.open_designs().unwrap().get("tea"), Some(&2));
    let report = cell.inspect(&noisy(&new_design, 200), arrival("m0"));
    assert!(report.design_change && report.anomaly_score > 0.5, "decision holds it while the design is open");
    assert_eq!(value(&cell, "designs_open"), "tea v2");

    // A person confirms it in another process: the next item is compared with it.
    let act = references::Act { actor: "tester", action: "confirm", at_ns: 2, detail: "" };
    assert!(!store.close_design("tea", 2, State::Active, act).unwrap().is_empty());
    let report = cell.inspect(&noisy(&new_design, 201), arrival("m1"));
    assert!(!report.design_change && report.anomaly_score < 0.3, "{} {}", report.design_change, report.anomaly_score);
    assert!(cell.inspect(&noisy(&tea, 202), arrival("m2")).anomaly_score < 0.3, "the old one is still right");
    assert!(store.check().unwrap().is_empty());
}

/// Whose barcode names another known product does not teach: siblings look alike. A code that names nothing is no contradiction.
#[test]
fn an_item_that_carries_another_products_code_is_not_learned_from() {
    let dir = tempfile::tempdir().unwrap();
    let (url, tea) = store_with_tea(&dir);
    enrol(&mut Store::open(&url.parse().unwrap()).unwrap(), "coffee", &print(2, ITEM.w, ITEM.h));
    let learning = || NodeOverrides::default().set("learning", "on".to_owned());
    let cell = Cell::with(Some(Path::new(&url)), learning().set("barcodes", vec!["4006381333931=coffee".to_owned()]));
    let with = |item: &str, barcode: &str| ItemArrival { barcode: barcode.into(), ..arrival(item) };
    for (n, code) in ["coffee", "4006381333931"].into_iter().enumerate() {
        let report = cell.inspect(&noisy(&tea, n as u64), with(code, code));
        assert!(report.product == "tea" && report.learned.contains("barcode"), "{code}: {} {}", report.product, report.learned);
    }
    for (n, code) in ["", "tea", "9999999999994"].into_iter().enumerate() {
        assert_eq!(cell.inspect(&noisy(&tea, 10 + n as u64), with(&format!("i{n}"), code)).learned, "proposed", "{code}");
    }
}

#[test]
fn what_waits_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (url, tea) = store_with_tea(&dir);
    let learning = || NodeOverrides::default().set("learning", "on".to_owned()).set("learning_sightings", 2);
    let cell = Cell::with(Some(Path::new(&url)), learning());
    cell.inspect(&noisy(&tea, 1), arrival("a"));
    cell.running.shut_down();
    cell.context.shutdown();
    let again = Cell::with(Some(Path::new(&url)), learning());
    assert!(again.inspect(&noisy(&tea, 2), arrival("a")).learned.contains("seen before"), "an item counts once across restarts");
    for n in 3..6 {
        again.inspect(&noisy(&tea, n), arrival(&format!("i{n}")));
    }
    let store = Store::open_for_reading(&url.parse().unwrap()).unwrap();
    let active: Vec<String> = store.proposals(None, State::Active).unwrap().into_iter().map(|p| p.reference.name).collect();
    assert!(active.contains(&"learned-a".to_owned()), "{active:?}");
}

#[test]
fn a_cell_goes_on_without_its_server_and_takes_up_what_changed_there() {
    let Some(server) = galleries::server("a cell without its server") else { return };
    let bench = galleries::Bench::postgres(server);
    let local = bench.dir.path().join("copy.sqlite");
    let url = format!("{}&local={}", bench.text, local.display());
    let (tea, soap) = (print(1, ITEM.w, ITEM.h), print(2, ITEM.w, ITEM.h));
    enrol(&mut bench.open(), "tea", &tea);

    let learning = || NodeOverrides::default().set("learning", "watch".to_owned());
    let cell = Cell::with(Some(Path::new(&url)), learning());
    assert_eq!(cell.inspect(&tea, arrival("a")).product, "tea");
    enrol(&mut bench.open(), "soap", &soap);
    assert_eq!(cell.inspect(&soap, arrival("b")).product, "soap", "what another process enrols counts with the next item");
    assert_eq!(value(&cell, "gallery_server"), "there");

    server.tell("kill");
    let report = cell.inspect(&noisy(&tea, 1), arrival("c"));
    assert!(report.ok && report.product == "tea" && report.anomaly_score < 0.3, "{}", report.error);
    let said = wait_for(&cell, "cannot be reached");
    assert!(said.contains("goes on with its local copy") && said.contains(&local.display().to_string()), "{said}");
    assert_eq!(value(&cell, "gallery_server"), "away");
    let client = cell.line.client::<EnrolReference>("gallery/enrol_reference").unwrap();
    let image = color_to_ros(&print(3, ITEM.w, ITEM.h), Header::default());
    let request = EnrolReferenceRequest { product: "rice".into(), image, ..EnrolReferenceRequest::default() };
    let refused = client.call(request.clone(), WAIT).unwrap();
    assert!(!refused.success && refused.message.contains("cannot be reached"), "{}", refused.message);
    let learned = cell.inspect(&noisy(&soap, 2), arrival("d"));
    assert!(learned.ok && learned.product == "soap" && learned.learned.contains("cannot be reached"), "{}", learned.learned);

    // A cell that starts now finds its copy and says so.
    cell.running.shut_down();
    cell.context.shutdown();
    let cell = Cell::with(Some(Path::new(&url)), learning());
    wait_for(&cell, "cannot be reached");
    assert_eq!(cell.inspect(&soap, arrival("e")).product, "soap");

    server.tell("start");
    enrol(&mut bench.open(), "rice", &print(3, ITEM.w, ITEM.h));
    // The cell may be quicker than the enrolment: what it says then is of two references, and the next item meets the third.
    wait_for(&cell, "is there again");
    assert_eq!(cell.inspect(&print(3, ITEM.w, ITEM.h), arrival("f")).product, "rice");
    assert!(bench.open().check().unwrap().is_empty());
    let copy = Store::open_for_reading(&format!("sqlite:{}", local.display()).parse().unwrap()).unwrap();
    let until = std::time::Instant::now() + WAIT;
    while copy.history(None).unwrap() != bench.open().history(None).unwrap() {
        assert!(std::time::Instant::now() < until, "the copy does not catch up: {:?}", copy.history(None).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
