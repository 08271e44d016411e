//! The parts of a decision, each alone: `cargo bench --profile dev --bench parts`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use booth::{Booth, BoothSpec};
use criterion::{Criterion, criterion_group, criterion_main};
use frame_sync::{AssemblerOptions, FrameAssembler, Options};
use inspection::{EmptyTray, InspectionParams, inspect};
use matching::{Cutout, Gallery, GalleryOptions, Picture};
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

fn gallery(c: &mut Criterion) {
    let booth = booth(640, 480);
    let pictures = booth.products().into_iter().flat_map(|product| {
        let references = booth.references(&product.name).unwrap();
        references.into_iter().enumerate().map(move |(n, r)| {
            let inside: Vec<bool> = r.mask.data().iter().map(|l| *l > 0).collect();
            Picture { product: product.name.clone(), name: n.to_string(), cutout: Cutout::masked(r.color, inside).unwrap() }
        })
    });
    let (gallery, _) = Gallery::new(pictures, GalleryOptions::default());
    let capture = booth.capture(0);
    let found = inspect(&capture.frame, Some(&EmptyTray::new(booth.background())), &InspectionParams::default()).unwrap();
    let first = &found.items[0];
    let cutout = Cutout::of_label(&capture.frame.color, &found.mask, first.id, first.bbox).unwrap();
    let item = gallery.prepare(cutout.clone()).unwrap();
    let mut group = c.benchmark_group("gallery");
    group.sample_size(20);
    group.bench_function("features", |b| b.iter(|| gallery.prepare(black_box(cutout.clone())).unwrap()));
    group.bench_function("identify_among_4_products", |b| b.iter(|| gallery.identify(black_box(&item), None)));
    group.bench_function("compare", |b| b.iter(|| gallery.compare(black_box(&item), &capture.product).unwrap()));
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
    assert!(frames > 0, "frames were not put together");
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
    group.bench_function("publish_to_callback_2.76_MB", |b| b.iter(|| publisher.publish(Arc::clone(&image)).unwrap()));
    assert!(heard.load(Ordering::Relaxed) > 0, "nothing was heard");
    group.finish();
}

criterion_group!(parts, perception, gallery, wire, plumbing);
criterion_main!(parts);
