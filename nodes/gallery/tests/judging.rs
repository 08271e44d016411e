//! The node as the cell sees it: messages in, one report an item out, whatever happens.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use common::*;
use std::path::Path;

use gallery::Gallery;
use intact_msgs::msg::{DefectScore, GalleryFinding, GalleryReport, Inspection, ItemArrival, ItemInstance};
use intact_msgs::srv::{EnrolReference, EnrolReferenceRequest, ListProducts, ListProductsRequest};
use node_kit::{Component, Mode, NodeOverrides, RunningNode, launch};
use references::Store;
use ros_interfaces::sensor_msgs::msg::RegionOfInterest;
use ros_interfaces::std_msgs::msg::Header;
use transport::{Context, ContextOptions};
use vision::ros::{color_to_ros, heights_to_ros};
use vision::{ColorImage, HeightMap};

#[test]
fn recognises_and_compares() {
    let (dir, tea, _) = two_products();
    let cell = Cell::new(Some(dir.path()));
    let whole = cell.inspect(&tea, arrival("a"));
    assert!(whole.ok && whole.has_reference, "{}", whole.error);
    assert_eq!((whole.item_id.as_str(), whole.product.as_str(), whole.reference.as_str()), ("a", "tea", "tea/0000.png"));
    assert!(whole.anomaly_score < 0.2 && whole.coverage > 0.6, "{} {}", whole.anomaly_score, whole.coverage);
    assert_eq!((whole.discrepancy.width, whole.discrepancy.height), (WIDTH, HEIGHT));
    assert!(whole.reference_image.width >= ITEM.w && !whole.gallery_version.is_empty());

    let mut torn = tea;
    for y in 60..100 {
        for x in 60..110 {
            let at = ((y * ITEM.w + x) * 3) as usize;
            torn.data_mut()[at..at + 3].copy_from_slice(&[25, 20, 20]);
        }
    }
    let damaged = cell.inspect(&torn, arrival("b"));
    assert_eq!(damaged.product, "tea");
    assert!(damaged.anomaly_score > 0.6, "{}", damaged.anomaly_score);
}

/// A reference that was enrolled with its heights, as from a bag: what is pressed in shows although the print does not change.
#[test]
fn a_dent_shows_in_the_heights_alone() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("g.sqlite").display());
    let flat = |mm: u16| HeightMap::new(ITEM.w, ITEM.h, vec![mm; (ITEM.w * ITEM.h) as usize]).unwrap();
    let (color, mask) = scene(&print(1, ITEM.w, ITEM.h));
    let rect = ITEM.with_margin(0.04, WIDTH, HEIGHT);
    let cutout = matching::Cutout::of_label(&color, &mask, 1, rect).unwrap();
    let cutout = cutout.with_heights(Some(flat(50).placed(ITEM, rect).unwrap())).unwrap();
    enrol_cutout(&mut Store::open(&url.parse().unwrap()).unwrap(), "tea", cutout);
    let cell = Cell::new(Some(Path::new(&url)));
    let tea = print(1, ITEM.w, ITEM.h);
    let seen = |id: &str, heights: &HeightMap| {
        *cell.heights.borrow_mut() = heights_to_ros(heights, Header::default());
        cell.inspect(&tea, arrival(id))
    };
    let shape = |r: &GalleryReport| r.findings.iter().filter(|f| f.kind == "changed_shape").map(|f| f.score).fold(0.0, f32::max);
    let whole = seen("a", &flat(51));
    assert!(whole.ok && whole.product == "tea" && shape(&whole) == 0.0 && whole.anomaly_score < 0.2, "{whole:?}");
    let mut dented = flat(50);
    for (i, mm) in dented.data_mut().iter_mut().enumerate() {
        let (x, y) = (i as u32 % ITEM.w, i as u32 / ITEM.w);
        if (60..120).contains(&x) && (50..110).contains(&y) {
            *mm = 35;
        }
    }
    let dent = seen("b", &dented);
    assert!(shape(&dent) > 0.5 && dent.anomaly_score > 0.5, "{} {}", shape(&dent), dent.anomaly_score);
    let odd = seen("c", &HeightMap::new(3, 2, vec![50; 6]).unwrap());
    assert!(!odd.ok && odd.error.contains("heights are 3x2") && odd.error.contains("180x160"), "{}", odd.error);
}

#[test]
fn a_wrong_barcode_is_told_beside_what_the_picture_says() {
    let (dir, tea, _) = two_products();
    let cell = Cell::new(Some(dir.path()));
    let report = cell.inspect(&tea, ItemArrival { barcode: "soap".into(), candidate_products: vec!["tea".into()], ..arrival("a") });
    assert_eq!(report.product, "tea");
    assert!(report.ranking.iter().any(|r| r.product == "soap"), "the scanned product stays in the ranking");
}

#[test]
fn unknown_products_are_called_unknown() {
    let (dir, ..) = two_products();
    let cell = Cell::new(Some(dir.path()));
    let report = cell.inspect(&print(77, ITEM.w, ITEM.h), arrival("a"));
    assert!(report.ok && report.has_reference && report.product.is_empty() && report.coverage == 0.0);
    let plain = ColorImage::new(ITEM.w, ITEM.h, vec![128; (ITEM.w * ITEM.h * 3) as usize]).unwrap();
    let report = cell.inspect(&plain, arrival("b"));
    assert!(report.ok && report.product.is_empty());
}

#[test]
fn without_references_perception_decides_alone() {
    let cell = Cell::new(None);
    let report = cell.inspect(&print(1, ITEM.w, ITEM.h), arrival("a"));
    assert!(report.ok && !report.has_reference && report.product.is_empty());
    // A manifest of products that are not enrolled is the same case.
    let (dir, tea, _) = two_products();
    let cell = Cell::new(Some(dir.path()));
    let report = cell.inspect(&tea, ItemArrival { candidate_products: vec!["rice".into()], ..arrival("a") });
    assert!(report.ok && !report.has_reference);
}

#[test]
fn every_failure_is_a_report() {
    let (dir, ..) = two_products();
    let cell = Cell::new(Some(dir.path()));
    cell.inspections.publish(Inspection { item_id: "a".into(), error: "lens cap on".into(), ..Inspection::default() }).unwrap();
    let report = cell.report();
    assert!(!report.ok && report.error.contains("lens cap on"));

    cell.inspections.publish(Inspection { item_id: "b".into(), ok: true, ..Inspection::default() }).unwrap();
    assert!(cell.report().error.contains("no item is in view"));

    let lost = ItemInstance { instance_id: 4, ..ItemInstance::default() };
    cell.inspections
        .publish(Inspection { item_id: "c".into(), ok: true, camera: "camera".into(), instances: vec![lost], ..Inspection::default() })
        .unwrap();
    assert!(cell.report().error.contains("did not reach the gallery"));
}

#[test]
fn clutter_has_a_report_for_each_instance() {
    let cell = Cell::new(None);
    cell.arrivals.publish(ItemArrival { clutter: true, ..arrival("a") }).unwrap();
    let instance = |id| ItemInstance { instance_id: id, ..ItemInstance::default() };
    cell.inspections
        .publish(Inspection { item_id: "a".into(), ok: true, instances: vec![instance(2), instance(1)], ..Inspection::default() })
        .unwrap();
    assert_eq!([cell.report().item_id, cell.report().item_id], ["a#2", "a#1"]);
}

#[test]
fn enrolled_references_count_at_once_and_survive_a_restart() {
    let (dir, ..) = two_products();
    let rice = print(3, ITEM.w, ITEM.h);
    let cell = Cell::new(Some(dir.path()));
    assert_eq!(cell.inspect(&rice, arrival("a")).product, "");
    let client = cell.line.client::<EnrolReference>("gallery/enrol_reference").unwrap();
    let request = EnrolReferenceRequest {
        product: "rice".into(),
        image: color_to_ros(&rice, Header::default()),
        provenance: "a test".into(),
        ..EnrolReferenceRequest::default()
    };
    let answer = client.call(request.clone(), WAIT).unwrap();
    assert!(answer.success, "{}", answer.message);
    assert_eq!(answer.reference, "rice/0000.png");
    let report = cell.inspect(&rice, arrival("b"));
    assert_eq!((report.product.as_str(), &report.gallery_version), ("rice", &answer.gallery_version));

    let refused = client.call(EnrolReferenceRequest { product: "../rice".into(), ..request }, WAIT).unwrap();
    assert!(!refused.success && refused.message.contains("not a product name"));
    cell.running.shut_down();
    cell.context.shutdown();

    let again = Cell::new(Some(dir.path()));
    let list = again.line.client::<ListProducts>("gallery/list_products").unwrap();
    let listed = list.call(ListProductsRequest { prefix: "r".into() }, WAIT).unwrap();
    assert_eq!((listed.products, listed.references), (vec!["rice".to_string()], vec![1]));
    assert_eq!(listed.gallery_version, answer.gallery_version, "what is on disk is what was enrolled");
}

#[test]
fn a_store_keeps_references_as_a_folder_does() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("g.sqlite").display());
    let rice = print(3, ITEM.w, ITEM.h);
    let cell = Cell::new(Some(Path::new(&url)));
    let client = cell.line.client::<EnrolReference>("gallery/enrol_reference").unwrap();
    let image = color_to_ros(&rice, Header::default());
    let request = EnrolReferenceRequest { product: "rice".into(), image, ..EnrolReferenceRequest::default() };
    let answer = client.call(request.clone(), WAIT).unwrap();
    assert!(answer.success, "{}", answer.message);
    assert_eq!(cell.inspect(&rice, arrival("a")).product, "rice");
    assert!(client.call(request, WAIT).unwrap().message.contains("enrolled already"));
    cell.running.shut_down();
    cell.context.shutdown();
    let again = Cell::new(Some(Path::new(&url)));
    let report = again.inspect(&rice, arrival("b"));
    assert_eq!((report.product.as_str(), &report.gallery_version), ("rice", &answer.gallery_version));
}

/// What perception takes for damage is on the pristine print too, or it is not: the report says which, and what the score is then.
#[test]
fn perceptions_damage_is_judged_again_beside_the_reference() {
    let (dir, tea, _) = two_products();
    let cell = Cell::new(Some(dir.path()));
    let at = RegionOfInterest { x_offset: ITEM.x + 60, y_offset: ITEM.y + 55, width: 40, height: 30, ..RegionOfInterest::default() };
    let defect = |kind: &str, score: f32, region: &RegionOfInterest| DefectScore {
        r#type: kind.into(),
        score,
        region: region.clone(),
        ..Default::default()
    };
    let seen = || vec![defect("superficial", 0.6, &at), defect("spillage", 0.2, &RegionOfInterest::default())];
    let whole = cell.inspect_seen(&tea, arrival("whole"), seen());
    assert_eq!(whole.explained_away, 1, "{} {}", whole.anomaly_score, whole.coverage);
    assert!(whole.is_rejudged && whole.damage_rejudged < 0.5, "{}", whole.damage_rejudged);
    assert!(whole.findings.is_empty(), "{:?}", whole.findings);
    assert!(whole.model.starts_with("comparison.onnx@"), "{}", whole.model);
    // The same alarm beside the item was compared with nothing: it stands.
    let outside = RegionOfInterest { x_offset: ITEM.x + ITEM.w, y_offset: ITEM.y, width: 3, height: ITEM.h, ..RegionOfInterest::default() };
    let beside = cell.inspect_seen(&tea, arrival("beside"), vec![defect("spillage", 0.9, &outside)]);
    assert!(beside.is_rejudged && beside.damage_rejudged >= 0.9, "{}", beside.damage_rejudged);

    let mut torn = tea.clone();
    for (x, y) in (0..40 * 30).map(|i| (60 + i % 40, 55 + i / 40)) {
        let i = ((y * ITEM.w + x) * 3) as usize;
        torn.data_mut()[i..i + 3].copy_from_slice(if (x + y) % 7 < 3 { &[25, 20, 15] } else { &[120, 95, 60] });
    }
    let hurt = cell.inspect_seen(&torn, arrival("hurt"), seen());
    assert_eq!(hurt.explained_away, 0, "a torn print is no print");
    assert!(hurt.is_rejudged && hurt.damage_rejudged > whole.damage_rejudged + 0.2, "{} {}", whole.damage_rejudged, hurt.damage_rejudged);
    let worst = &hurt.findings[0];
    let middle = (worst.region.x_offset + worst.region.width / 2, worst.region.y_offset + worst.region.height / 2);
    assert!(
        worst.kind == GalleryFinding::CHANGED_REGION && middle.0.abs_diff(ITEM.x + 80) < 15 && middle.1.abs_diff(ITEM.y + 70) < 15,
        "{worst:?}"
    );

    let stranger = cell.inspect_seen(&print(9, ITEM.w, ITEM.h), arrival("stranger"), seen());
    assert!(
        !stranger.is_rejudged && stranger.damage_rejudged.is_nan() && stranger.explained_away == 0,
        "what was not compared is not judged again"
    );
}

#[test]
fn an_empty_gallery_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("mistyped.sqlite").display());
    let cell = Cell::new(Some(Path::new(&url)));
    assert!(wait_for(&cell, "holds no references").contains("mistyped.sqlite"));
}

#[test]
fn bad_pictures_are_named_and_a_missing_folder_is_an_error() {
    let (dir, tea, _) = two_products();
    std::fs::write(dir.path().join("tea").join("broken.png"), b"no picture").unwrap();
    let cell = Cell::new(Some(dir.path()));
    let status = cell.running.ports().diagnostics.status();
    assert!(status.message.contains("tea/broken.png"), "{}", status.message);
    assert!(status.values.iter().any(|v| v.key == "references_skipped" && v.value == "1"));
    assert_eq!(cell.inspect(&tea, arrival("a")).product, "tea");

    let context = Context::new(ContextOptions::in_process()).unwrap();
    let overrides = NodeOverrides::default().set("references_dir", dir.path().join("nowhere").display().to_string());
    let error = launch::<Gallery>(&context, overrides, Mode::Live).err().expect("a missing folder is an error");
    assert!(error.to_string().contains("references_dir") && error.to_string().contains("nowhere"), "{error}");
    assert_eq!(Gallery::NAME, "gallery");
}
