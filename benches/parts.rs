//! The parts of a decision, each alone: `cargo bench --profile dev --bench parts`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use booth::{Booth, BoothSpec};
use criterion::{Criterion, criterion_group, criterion_main};
use frame_sync::{AssemblerOptions, FrameAssembler, Options};
use inspection::{Comparer, EmptyTray, EngineKind, InspectionParams, inspect};
use matching::{Cutout, Gallery, GalleryOptions, Perceived, Picture};
use ros_interfaces::Message;
use ros_interfaces::sensor_msgs::msg::Image;
use transport::{Context, ContextOptions, NodeOptions, Qos};

fn booth(width: u32, height: u32) -> Booth {
    Booth::new(BoothSpec { seed: 5, width, height, products: 4, ..BoothSpec::default() }).unwrap()
}

fn perception(c: &mut Criterion) {
    let booth = booth(1280, 720);
    let (background, frame) = (EmptyTray::new(booth.background()), booth.capture(0).frame);
    let params = InspectionParams::default();
    let mut group = c.benchmark_group("perception");
    group.sample_size(20);
    group.bench_function("inspect_1280x720", |b| b.iter(|| inspect(black_box(&frame), Some(&background), &params).unwrap()));
    group.bench_function("inspect_1280x720_no_background", |b| b.iter(|| inspect(black_box(&frame), None, &params).unwrap()));
    group.finish();
}

/// Products on a large manifest.
const PRODUCTS: usize = 50;
/// References of each.
const VIEWS: usize = 3;

fn gallery(c: &mut Criterion) {
    let booth = Booth::new(BoothSpec { seed: 5, products: PRODUCTS, ..BoothSpec::default() }).unwrap();
    let pictures = booth.products().into_iter().flat_map(|product| {
        let references = booth.references(&product.name, VIEWS).unwrap();
        references.into_iter().take(VIEWS).enumerate().map(move |(n, r)| {
            let inside: Vec<bool> = r.mask.data().iter().map(|l| *l > 0).collect();
            Picture { product: product.name.clone(), name: n.to_string(), cutout: Cutout::masked(r.color, inside).unwrap() }
        })
    });
    let (gallery, _) = Gallery::new(pictures, GalleryOptions::default());
    let tray = EmptyTray::new(booth.background());
    // The first item over which a reference can be laid.
    let (item, cutout, product, perceived) = (0..)
        .find_map(|k| {
            let capture = booth.capture(k);
            let found = inspect(&capture.frame, Some(&tray), &InspectionParams::default()).unwrap();
            let first = found.items.first()?;
            let cutout = Cutout::of_label(&capture.frame.color, &found.mask, first.id, first.bbox).unwrap();
            let item = gallery.prepare(cutout.clone()).unwrap();
            let map = found.heatmap.crop(first.bbox);
            let perceived = Perceived { score: first.damage_score, threshold: found.damage_threshold, map };
            let judgement = gallery.judge(&item, &capture.product).unwrap();
            judgement.discrepancy.is_some().then_some((item, cutout, capture.product, perceived))
        })
        .unwrap();
    let mut group = c.benchmark_group("gallery");
    group.sample_size(20);
    group.bench_function("features", |b| b.iter(|| gallery.prepare(black_box(cutout.clone())).unwrap()));
    group.bench_function("identify_among_50_products", |b| b.iter(|| gallery.identify(black_box(&item), None)));
    group.bench_function("compare_with_3_references", |b| b.iter(|| gallery.judge(black_box(&item), &product).unwrap()));
    for kind in [EngineKind::Tract, EngineKind::Ort] {
        // ONNX Runtime is not everywhere.
        let Ok(comparer) = Comparer::load(kind) else { continue };
        let name = if kind == EngineKind::Tract { "tract" } else { "ort" };
        let judgement = gallery.judge(&item, &product).unwrap();
        let pair = judgement.pair(&perceived).unwrap().unwrap();
        group.bench_function(format!("comparing_network_{name}"), |b| {
            b.iter(|| comparer.judge(black_box(&pair), perceived.told()).unwrap())
        });
        group.bench_function(format!("verify_against_3_references_{name}"), |b| {
            b.iter(|| {
                let mut judgement = gallery.judge(black_box(&item), &product).unwrap();
                let pair = judgement.pair(&perceived).unwrap().unwrap();
                let said = comparer.judge(&pair, perceived.told()).unwrap();
                judgement.settle(&perceived, said.score, &said.map)
            });
        });
    }
    group.finish();
}

fn wire(c: &mut Criterion) {
    let image = Image { width: 1280, height: 720, step: 3840, encoding: "rgb8".into(), data: vec![7; 1280 * 720 * 3], ..Image::default() };
    let bytes = image.to_cdr().unwrap();
    let mut group = c.benchmark_group("wire");
    group.bench_function("copy_2.76_MB", |b| b.iter(|| black_box(image.data.clone())));
    group.bench_function("encode_2.76_MB", |b| b.iter(|| black_box(&image).to_cdr().unwrap()));
    group.bench_function("decode_2.76_MB", |b| b.iter(|| Image::from_cdr(black_box(&bytes)).unwrap()));
    group.finish();
}

/// A frame's three messages through the synchroniser, and one message from publish to callback.
fn plumbing(c: &mut Criterion) {
    let mut group = c.benchmark_group("plumbing");
    let options = AssemblerOptions { cameras: 1, with_depth: true, sync: Options::approximate(10) };
    let mut assembler: FrameAssembler<(), (), ()> = FrameAssembler::new(options).unwrap();
    let (mut stamp_ns, mut frames) = (0, 0);
    group.bench_function("synchronise_a_frame", |b| {
        b.iter(|| {
            stamp_ns += 33_333_333;
            frames += assembler.push_color(0, stamp_ns, ()).unwrap().frames.len();
            frames += assembler.push_depth(0, stamp_ns + 1_000_000, ()).unwrap().frames.len();
            frames += assembler.push_info(0, stamp_ns, ()).unwrap().frames.len();
        });
    });
    // Nothing was asked for where only other benches run.
    assert!(frames > 0 || stamp_ns == 0, "frames were not put together");
    let context = Context::new(ContextOptions::in_process()).unwrap();
    let node = context.node(NodeOptions::new("bench")).unwrap();
    let heard = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&heard);
    let _subscription = node
        .subscribe("image", Qos::sensor(), move |image: Arc<Image>| {
            counter.fetch_add(u64::from(image.width), Ordering::Relaxed);
        })
        .unwrap();
    let publisher = node.publisher::<Image>("image", Qos::sensor()).unwrap();
    let image = Arc::new(Image { width: 1280, height: 720, step: 3840, data: vec![7; 1280 * 720 * 3], ..Image::default() });
    let mut published = 0u64;
    group.bench_function("publish_to_callback_2.76_MB", |b| {
        b.iter(|| {
            published += 1;
            publisher.publish(Arc::clone(&image)).unwrap();
        });
    });
    group.finish();
    // Nothing was published where only other benches run.
    assert!(heard.load(Ordering::Relaxed) > 0 || published == 0, "nothing was heard");
}

criterion_group!(parts, perception, gallery, wire, plumbing);
criterion_main!(parts);
