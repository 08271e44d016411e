//! The gallery node among stand-ins for camera, line and perception.
#![allow(dead_code)]

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use gallery::Gallery;
use intact_msgs::msg::{DefectScore, GalleryReport, Inspection, ItemArrival, ItemInstance};
use node_kit::{Mode, NodeOverrides, Running, RunningNode, launch};
use rand::{Rng, SeedableRng};
use references::{State, Store};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::sensor_msgs::msg::{Image, RegionOfInterest};
use ros_interfaces::std_msgs::msg::Header;
use transport::{Context, ContextOptions, Node, NodeOptions, Publisher, Qos, Subscription};
use vision::ros::{color_to_ros, heatmap_to_ros, mask_to_ros};
use vision::{ColorImage, HeatMap, LabelMask, Rect};

pub const WAIT: Duration = Duration::from_secs(30);
pub const ITEM: Rect = Rect { x: 70, y: 40, w: 180, h: 160 };
pub const WIDTH: u32 = 320;
pub const HEIGHT: u32 = 240;

/// A print of random patches: rich in features, different for every seed.
pub fn print(seed: u64, width: u32, height: u32) -> ColorImage {
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
pub fn scene(item: &ColorImage) -> (ColorImage, LabelMask) {
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

pub fn save(dir: &Path, product: &str, picture: &ColorImage) {
    std::fs::create_dir_all(dir.join(product)).unwrap();
    let picture = image::RgbImage::from_raw(picture.width(), picture.height(), picture.data().to_vec()).unwrap();
    picture.save(dir.join(product).join("0000.png")).unwrap();
}

/// The node among stand-ins for camera, line and perception.
pub struct Cell {
    pub context: Context,
    pub line: Node,
    pub images: Publisher<Image>,
    pub arrivals: Publisher<ItemArrival>,
    pub inspections: Publisher<Inspection>,
    pub reports: Receiver<GalleryReport>,
    pub _reading: Subscription,
    pub running: Running<Gallery>,
    /// Each picture has its own stamp.
    pub shown: std::cell::Cell<i64>,
    /// What perception says of each item's heights; empty: nothing.
    pub heights: std::cell::RefCell<Image>,
}

impl Cell {
    pub fn new(references: Option<&Path>) -> Cell {
        Self::with(references, NodeOverrides::default())
    }

    pub fn with(references: Option<&Path>, overrides: NodeOverrides) -> Cell {
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
            heights: std::cell::RefCell::default(),
        }
    }

    pub fn inspect(&self, item: &ColorImage, arrival: ItemArrival) -> GalleryReport {
        self.inspect_seen(item, arrival, Vec::new())
    }

    /// Sends an item through with what perception said of it, its messages in the least convenient order.
    pub fn inspect_seen(&self, item: &ColorImage, arrival: ItemArrival, defects: Vec<DefectScore>) -> GalleryReport {
        self.shown.set(self.shown.get() + 1);
        let header = Header { stamp: Time::from_nanos(1_000_000_007 * self.shown.get()), frame_id: "camera_color_optical_frame".into() };
        let (frame, mask) = scene(item);
        let region = RegionOfInterest { x_offset: ITEM.x, y_offset: ITEM.y, width: ITEM.w, height: ITEM.h, ..RegionOfInterest::default() };
        // Perception's score and map: as high as its worst finding, and hot where that lies.
        let worst = defects.iter().filter(|d| d.region.width > 0).max_by(|a, b| a.score.total_cmp(&b.score)).cloned();
        let damage_score = worst.as_ref().map_or(0.0, |d| d.score);
        let heatmap = worst.map_or_else(Image::default, |d| heatmap_to_ros(&hot(frame.width(), frame.height(), &d), header.clone()));
        let inspection = Inspection {
            damage_score,
            heatmap,
            header: header.clone(),
            item_id: arrival.item_id.clone(),
            camera: "camera".into(),
            ok: true,
            instances: vec![ItemInstance {
                instance_id: 1,
                region,
                area_px: ITEM.w * ITEM.h,
                damage_score,
                defects,
                height: self.heights.borrow().clone(),
                ..ItemInstance::default()
            }],
            mask: mask_to_ros(&mask, header.clone()),
            damage_threshold: 0.5,
            ..Inspection::default()
        };
        self.inspections.publish(inspection).unwrap();
        self.images.publish(color_to_ros(&frame, header)).unwrap();
        self.arrivals.publish(arrival).unwrap();
        self.report()
    }

    pub fn report(&self) -> GalleryReport {
        self.reports.recv_timeout(WAIT).expect("every inspection has a report")
    }
}

fn hot(width: u32, height: u32, defect: &DefectScore) -> HeatMap {
    let r = &defect.region;
    let (columns, rows) = (r.x_offset..r.x_offset + r.width, r.y_offset..r.y_offset + r.height);
    let place = |i: u32| columns.contains(&(i % width)) && rows.contains(&(i / width));
    HeatMap::new(width, height, (0..width * height).map(|i| if place(i) { defect.score } else { 0.0 }).collect()).unwrap()
}

pub fn arrival(id: &str) -> ItemArrival {
    ItemArrival { item_id: id.into(), ..ItemArrival::default() }
}

pub fn two_products() -> (tempfile::TempDir, ColorImage, ColorImage) {
    let dir = tempfile::tempdir().unwrap();
    let (tea, soap) = (print(1, ITEM.w, ITEM.h), print(2, ITEM.w, ITEM.h));
    save(dir.path(), "tea", &tea);
    save(dir.path(), "soap", &soap);
    (dir, tea, soap)
}

/// The same print with the noise of another picture.
pub fn noisy(picture: &ColorImage, seed: u64) -> ColorImage {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let data = picture.data().iter().map(|v| v.saturating_add(rng.random_range(0..4))).collect();
    ColorImage::new(picture.width(), picture.height(), data).unwrap()
}

/// A store with one product, its print, and its URL.
pub fn store_with_tea(dir: &tempfile::TempDir) -> (String, ColorImage) {
    let url = format!("sqlite:{}", dir.path().join("g.sqlite").display());
    let tea = print(1, ITEM.w, ITEM.h);
    enrol(&mut Store::open(&url.parse().unwrap()).unwrap(), "tea", &tea);
    (url, tea)
}

pub fn enrol(store: &mut Store, product: &str, picture: &ColorImage) {
    enrol_cutout(store, product, matching::Cutout::whole(picture.clone()));
}

pub fn enrol_cutout(store: &mut Store, product: &str, cutout: matching::Cutout) {
    let new = references::NewReference {
        product: product.into(),
        name: None,
        cutout,
        camera: String::new(),
        light: String::new(),
        provenance: "a test".into(),
        version: 1,
        state: State::Active,
        origin: references::Origin::Enrolled,
        added_by: "tester".into(),
        added_ns: 1,
    };
    store.enrol(&new, &matching::FeatureOptions::default()).unwrap();
}

pub fn value(cell: &Cell, key: &str) -> String {
    let values = cell.running.ports().diagnostics.status().values;
    values.into_iter().find(|v| v.key == key).map(|v| v.value).unwrap_or_default()
}

/// Waits until the diagnostics say so.
pub fn wait_for(cell: &Cell, what: &str) -> String {
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
