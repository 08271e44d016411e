//! The node as the cell sees it: messages in, one report an item out, whatever happens.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

// Galleries on a server that the test starts.
#[path = "../../../crates/references/tests/support/mod.rs"]
mod galleries;

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use gallery::Gallery;
use intact_msgs::msg::{DefectScore, GalleryFinding, GalleryReport, Inspection, ItemArrival, ItemInstance};
use intact_msgs::srv::{EnrolReference, EnrolReferenceRequest, ListProducts, ListProductsRequest};
use node_kit::{Component, Mode, NodeOverrides, Running, RunningNode, launch};
use rand::{Rng, SeedableRng};
use references::{State, Store};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::{Image, RegionOfInterest};
use ros_interfaces::std_msgs::msg::Header;
use transport::{Context, ContextOptions, Node, NodeOptions, Publisher, Qos, Subscription};
use vision::ros::{color_to_ros, mask_to_ros};
use vision::{ColorImage, LabelMask, Rect};

const WAIT: Duration = Duration::from_secs(30);
const ITEM: Rect = Rect { x: 70, y: 40, w: 180, h: 160 };
const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;

/// A print of random patches: rich in features, different for every seed.
fn print(seed: u64, width: u32, height: u32) -> ColorImage {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut data = vec![200u8; (width * height * 3) as usize];
    for _ in 0..160 {
        let (w, h) = (rng.random_range(5..30), rng.random_range(5..30));
        let (x0, y0) = (rng.random_range(0..width), rng.random_range(0..height));
        let rgb: [u8; 3] = rng.random();
        for y in y0..(y0 + h).min(height) {
            for x in x0..(x0 + w).min(width) {
                let at = ((y * width + x) * 3) as usize;
                data[at..at + 3].copy_from_slice(&rgb);
            }
        }
    }
    ColorImage::new(width, height, data).unwrap()
}

/// A grey tray with `item` on it, and the item's mask.
fn scene(item: &ColorImage) -> (ColorImage, LabelMask) {
    let mut data = vec![90u8; (WIDTH * HEIGHT * 3) as usize];
    let mut mask = vec![0u16; (WIDTH * HEIGHT) as usize];
    for y in 0..ITEM.h {
        for x in 0..ITEM.w {
            let at = ((ITEM.y + y) * WIDTH + ITEM.x + x) as usize;
            data[3 * at..3 * at + 3].copy_from_slice(&item.pixel(x, y).unwrap());
            mask[at] = 1;
        }
    }
    (ColorImage::new(WIDTH, HEIGHT, data).unwrap(), LabelMask::new(WIDTH, HEIGHT, mask).unwrap())
}

fn save(dir: &Path, product: &str, picture: &ColorImage) {
    std::fs::create_dir_all(dir.join(product)).unwrap();
    let picture = image::RgbImage::from_raw(picture.width(), picture.height(), picture.data().to_vec()).unwrap();
    picture.save(dir.join(product).join("0000.png")).unwrap();
}

/// The node among stand-ins for camera, line and perception.
struct Cell {
    context: Context,
    line: Node,
    images: Publisher<Image>,
    arrivals: Publisher<ItemArrival>,
    inspections: Publisher<Inspection>,
    reports: Receiver<GalleryReport>,
    _reading: Subscription,
    running: Running<Gallery>,
    /// Each picture has its own stamp.
    shown: std::cell::Cell<i64>,
}

impl Cell {
    fn new(references: Option<&Path>) -> Cell {
        Self::with(references, NodeOverrides::default())
    }

    fn with(references: Option<&Path>, overrides: NodeOverrides) -> Cell {
        let context = Context::new(ContextOptions::in_process()).unwrap();
        let line = context.node(NodeOptions::new("line")).unwrap();
        let overrides =
            overrides.set("references_dir", references.map_or(String::new(), |d| d.display().to_string())).set("input_wait_s", 1.0);
        let running = launch::<Gallery>(&context, overrides, Mode::Live).unwrap();
        context.start().unwrap();
        running.activate().unwrap();
        let (send, reports) = channel();
        let reading = line
            .subscribe("gallery_report", Qos::event(), move |r: std::sync::Arc<GalleryReport>| send.send((*r).clone()).unwrap())
            .unwrap();
        Cell {
            images: line.publisher("camera/color/image_raw", Qos::sensor()).unwrap(),
            arrivals: line.publisher("item_arrival", Qos::event()).unwrap(),
            inspections: line.publisher("inspection", Qos::event()).unwrap(),
            context,
            line,
            reports,
            _reading: reading,
            running,
            shown: std::cell::Cell::new(0),
        }
    }

    fn inspect(&self, item: &ColorImage, arrival: ItemArrival) -> GalleryReport {
        self.inspect_seen(item, arrival, Vec::new())
    }

    /// Sends an item through with what perception said of it, its messages in the least convenient order.
    fn inspect_seen(&self, item: &ColorImage, arrival: ItemArrival, defects: Vec<DefectScore>) -> GalleryReport {
        self.shown.set(self.shown.get() + 1);
        let header = Header { stamp: Time::from_nanos(1_000_000_007 * self.shown.get()), frame_id: "camera_color_optical_frame".into() };
        let (frame, mask) = scene(item);
        let region = RegionOfInterest { x_offset: ITEM.x, y_offset: ITEM.y, width: ITEM.w, height: ITEM.h, ..RegionOfInterest::default() };
        let inspection = Inspection {
            header: header.clone(),
            item_id: arrival.item_id.clone(),
            camera: "camera".into(),
            ok: true,
            instances: vec![ItemInstance { instance_id: 1, region, area_px: ITEM.w * ITEM.h, defects, ..ItemInstance::default() }],
            mask: mask_to_ros(&mask, header.clone()),
            damage_threshold: 0.5,
            ..Inspection::default()
        };
        self.inspections.publish(inspection).unwrap();
        self.images.publish(color_to_ros(&frame, header)).unwrap();
        self.arrivals.publish(arrival).unwrap();
        self.report()
    }

    fn report(&self) -> GalleryReport {
        self.reports.recv_timeout(WAIT).expect("every inspection has a report")
    }
}

fn arrival(id: &str) -> ItemArrival {
    ItemArrival { item_id: id.into(), ..ItemArrival::default() }
}

fn two_products() -> (tempfile::TempDir, ColorImage, ColorImage) {
    let dir = tempfile::tempdir().unwrap();
    let (tea, soap) = (print(1, ITEM.w, ITEM.h), print(2, ITEM.w, ITEM.h));
    save(dir.path(), "tea", &tea);
    save(dir.path(), "soap", &soap);
    (dir, tea, soap)
}

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

/// The same print with the noise of another picture.
fn noisy(picture: &ColorImage, seed: u64) -> ColorImage {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let data = picture.data().iter().map(|v| v.saturating_add(rng.random_range(0..4))).collect();
    ColorImage::new(picture.width(), picture.height(), data).unwrap()
}

/// A store with one product, its print, and its URL.
fn store_with_tea(dir: &tempfile::TempDir) -> (String, ColorImage) {
    let url = format!("sqlite:{}", dir.path().join("g.sqlite").display());
    let tea = print(1, ITEM.w, ITEM.h);
    enrol(&mut Store::open(&url.parse().unwrap()).unwrap(), "tea", &tea);
    (url, tea)
}

fn enrol(store: &mut Store, product: &str, picture: &ColorImage) {
    let new = references::NewReference {
        product: product.into(),
        name: None,
        cutout: matching::Cutout::whole(picture.clone()),
        camera: String::new(),
        provenance: "a test".into(),
        version: 1,
        state: State::Active,
        origin: references::Origin::Enrolled,
        added_by: "tester".into(),
        added_ns: 1,
    };
    store.enrol(&new, &matching::FeatureOptions::default()).unwrap();
}

fn value(cell: &Cell, key: &str) -> String {
    let values = cell.running.ports().diagnostics.status().values;
    values.into_iter().find(|v| v.key == key).map(|v| v.value).unwrap_or_default()
}

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
    let seen = || vec![defect("superficial", 0.9, &at), defect("spillage", 0.2, &RegionOfInterest::default())];
    let whole = cell.inspect_seen(&tea, arrival("whole"), seen());
    assert_eq!((whole.explained_away, whole.damage_rejudged), (1, 0.2), "{} {}", whole.anomaly_score, whole.coverage);
    assert!(whole.findings.is_empty(), "{:?}", whole.findings);

    let mut torn = tea.clone();
    for (x, y) in (0..40 * 30).map(|i| (60 + i % 40, 55 + i / 40)) {
        let i = ((y * ITEM.w + x) * 3) as usize;
        torn.data_mut()[i..i + 3].copy_from_slice(if (x + y) % 7 < 3 { &[25, 20, 15] } else { &[120, 95, 60] });
    }
    let hurt = cell.inspect_seen(&torn, arrival("hurt"), seen());
    assert_eq!((hurt.explained_away, hurt.damage_rejudged), (0, 0.9), "a torn print is no print");
    let worst = &hurt.findings[0];
    let middle = (worst.region.x_offset + worst.region.width / 2, worst.region.y_offset + worst.region.height / 2);
    assert!(
        worst.kind == GalleryFinding::CHANGED_REGION && middle.0.abs_diff(ITEM.x + 80) < 15 && middle.1.abs_diff(ITEM.y + 70) < 15,
        "{worst:?}"
    );

    let stranger = cell.inspect_seen(&print(9, ITEM.w, ITEM.h), arrival("stranger"), seen());
    assert!(stranger.damage_rejudged.is_nan() && stranger.explained_away == 0, "what was not compared is not judged again");
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
fn an_empty_gallery_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("mistyped.sqlite").display());
    let cell = Cell::new(Some(Path::new(&url)));
    assert!(wait_for(&cell, "holds no references").contains("mistyped.sqlite"));
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

/// Waits until the diagnostics say so.
fn wait_for(cell: &Cell, what: &str) -> String {
    let until = std::time::Instant::now() + WAIT;
    loop {
        let status = cell.running.ports().diagnostics.status();
        if status.message.contains(what) {
            return status.message;
        }
        assert!(std::time::Instant::now() < until, "{what}: {}", status.message);
        std::thread::sleep(Duration::from_millis(50));
    }
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
    wait_for(&cell, "is there again: 3 references of 3 products");
    assert_eq!(cell.inspect(&print(3, ITEM.w, ITEM.h), arrival("f")).product, "rice");
    assert!(bench.open().check().unwrap().is_empty());
    let copy = Store::open_for_reading(&format!("sqlite:{}", local.display()).parse().unwrap()).unwrap();
    assert_eq!(copy.history(None).unwrap(), bench.open().history(None).unwrap(), "the copy has caught up");
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
