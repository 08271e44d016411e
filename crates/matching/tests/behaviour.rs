//! Identification and comparison on pictures whose truth is known.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use matching::{
    ANOMALY_THRESHOLD, Cutout, Discrepancy, Extent, FeatureOptions, FindingKind, Gallery, GalleryOptions, Item, Judgement, MatchError,
    Perceived, Picture, UnitCount,
};
use rand::{Rng, SeedableRng};
use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use vision::{ColorImage, HeatMap, Rect};

/// A print of random patches: rich in features, different for every seed.
fn print(seed: u64) -> ColorImage {
    let (width, height) = (220u32, 170u32);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut picture = ColorImage::new(width, height, vec![190; (width * height * 3) as usize]).unwrap();
    for _ in 0..150 {
        let rect =
            Rect { x: rng.random_range(0..width), y: rng.random_range(0..height), w: rng.random_range(5..30), h: rng.random_range(5..30) };
        paint(&mut picture, rect, rng.random());
    }
    picture
}

fn paint(picture: &mut ColorImage, rect: Rect, rgb: [u8; 3]) {
    let (width, height) = (picture.width(), picture.height());
    for y in rect.y..(rect.y + rect.h).min(height) {
        for x in rect.x..(rect.x + rect.w).min(width) {
            let at = ((y * width + x) * 3) as usize;
            picture.data_mut()[at..at + 3].copy_from_slice(&rgb);
        }
    }
}

/// The picture turned, shrunk and in other light, as a camera would see it.
fn seen(picture: &ColorImage, turn_rad: f64, scale: f64) -> Cutout {
    let (side, sin, cos) = (260i32, turn_rad.sin(), turn_rad.cos());
    let (mut data, mut mask) = (Vec::new(), Vec::new());
    for i in 0..side * side {
        let (x, y) = (f64::from(i % side - side / 2) / scale, f64::from(i / side - side / 2) / scale);
        let (u, v) = (cos * x + sin * y + f64::from(picture.width()) / 2.0, -sin * x + cos * y + f64::from(picture.height()) / 2.0);
        let pixel = if u >= 0.0 && v >= 0.0 { picture.pixel(u as u32, v as u32) } else { None };
        mask.push(pixel.is_some());
        let lit = |p: [u8; 3]| [0.85, 0.8, 0.72].iter().zip(p).map(|(gain, v)| (f64::from(v) * gain + 6.0) as u8).collect();
        data.extend(pixel.map_or_else(|| vec![90; 3], lit));
    }
    Cutout::masked(ColorImage::new(side as u32, side as u32, data).unwrap(), mask).unwrap()
}

fn gallery(seeds: std::ops::Range<u64>) -> Gallery {
    let pictures = seeds.map(|seed| Picture { product: format!("p{seed}"), name: "0.png".into(), cutout: Cutout::whole(print(seed)) });
    let (gallery, rejected) = Gallery::new(pictures, GalleryOptions::default());
    assert!(rejected.is_empty());
    gallery
}

fn compared(gallery: &Gallery, item: &Item) -> Discrepancy {
    gallery.compare(item, "p3").unwrap().expect("the item registers")
}

#[test]
fn impossible_regions_are_explained_by_nothing() {
    let gallery = gallery(3..4);
    let item = gallery.prepare(seen(&print(3), 0.8, 0.95)).unwrap();
    let whole = Rect { x: 0, y: 0, w: item.cutout().color().width(), h: item.cutout().color().height() };
    let found = compared(&gallery, &item);
    let middle = Rect { x: whole.w / 3, y: whole.h / 3, w: whole.w / 3, h: whole.h / 3 };
    assert!(found.explains(middle, whole));
    for (x, w) in [(0, u32::MAX), (1, u32::MAX), (u32::MAX, u32::MAX), (u32::MAX, 1), (0, 0)] {
        assert!(!found.explains(Rect { x, y: x, w, h: w }, whole), "{x} {w}");
    }
}

#[test]
fn recognises_a_product_in_any_turn_among_many() {
    let gallery = gallery(0..12);
    for (turn, scale) in [(0.0, 1.0), (1.1, 0.8), (3.1, 0.9), (4.4, 0.75)] {
        let item = gallery.prepare(seen(&print(3), turn, scale)).unwrap();
        let found = gallery.identify(&item, None);
        assert_eq!(found.product().map(|c| c.product.as_str()), Some("p3"), "turn {turn} scale {scale}");
        assert_eq!(found.ranking.len(), 12, "every product has its place in the ranking");
        assert_eq!(found, gallery.identify(&item, None), "the same answer every time");
    }
}

#[test]
fn abstains_on_what_is_not_enrolled() {
    let gallery = gallery(0..8);
    for stranger in 50..58 {
        let item = gallery.prepare(seen(&print(stranger), 0.7, 0.9)).unwrap();
        assert!(!gallery.identify(&item, None).is_match, "stranger {stranger}");
    }
    let item = gallery.prepare(seen(&print(3), 0.7, 0.9)).unwrap();
    let others = ["p1".to_string(), "p5".to_string()];
    let found = gallery.identify(&item, Some(&others));
    assert!(!found.is_match && found.ranking.len() == 2, "a list without the product leaves it unknown");
}

#[test]
fn a_grey_plane_matches_nothing() {
    let plane = ColorImage::new(120, 90, vec![128; 120 * 90 * 3]).unwrap();
    let pictures = [Picture { product: "plane".into(), name: "0.png".into(), cutout: Cutout::whole(plane.clone()) }];
    let (gallery, _) = Gallery::new(pictures, GalleryOptions::default());
    assert_eq!(gallery.featureless(), ["plane/0.png"]);
    let item = gallery.prepare(Cutout::whole(plane)).unwrap();
    assert!(item.features().is_empty() && !gallery.identify(&item, None).is_match);
    assert!(gallery.compare(&item, "plane").unwrap().is_none(), "nothing compared is nothing known");
}

#[test]
fn a_claim_needs_the_picture_on_its_side() {
    let gallery = gallery(0..4);
    let item = gallery.prepare(seen(&print(77), 0.3, 1.0)).unwrap();
    let found = gallery.identify(&item, None);
    assert!(!found.clone().confirmed_by(Some("p2")).is_match);
    let item = gallery.prepare(seen(&print(2), 0.3, 1.0)).unwrap();
    let found = gallery.identify(&item, None).confirmed_by(Some("p0"));
    assert_eq!(found.product().unwrap().product, "p2", "the barcode never overrules the picture");
}

#[test]
fn intact_items_in_other_light_stay_below_the_threshold_and_damage_does_not() {
    let gallery = gallery(2..5);
    let intact = compared(&gallery, &gallery.prepare(seen(&print(3), 0.8, 0.95)).unwrap());
    assert!(intact.score < 0.3 && intact.coverage > 0.6, "{} {}", intact.score, intact.coverage);
    let mut holed = print(3);
    paint(&mut holed, Rect { x: 80, y: 60, w: 45, h: 40 }, [20, 15, 15]);
    let item = gallery.prepare(seen(&holed, 0.8, 0.95)).unwrap();
    let damaged = compared(&gallery, &item);
    assert!(damaged.score > ANOMALY_THRESHOLD, "{}", damaged.score);
    assert_eq!((damaged.map.width(), damaged.map.height()), (260, 260));
    assert_eq!(damaged.map, compared(&gallery, &item).map, "the same map every time");
    // The map points at the hole: its hottest place is where the hole was painted.
    let hottest = (0..).zip(damaged.map.data()).max_by(|a: &(i32, _), b| a.1.total_cmp(b.1)).unwrap().0;
    let (x, y) = (f64::from(hottest % 260 - 130) / 0.95, f64::from(hottest / 260 - 130) / 0.95);
    let (u, v) = (0.8f64.cos() * x + 0.8f64.sin() * y + 110.0, -0.8f64.sin() * x + 0.8f64.cos() * y + 85.0);
    assert!((75.0..130.0).contains(&u) && (55.0..105.0).contains(&v), "{u} {v}");
}

#[test]
fn a_paper_label_is_seen_but_not_alarming_and_what_it_hides_is_uncompared() {
    let mut dark = print(3);
    dark.data_mut().iter_mut().for_each(|v| *v /= 2);
    let enrolled = Picture { product: "p3".into(), name: "0.png".into(), cutout: Cutout::whole(dark.clone()) };
    let (gallery, _) = Gallery::new([enrolled], GalleryOptions::default());
    let without = compared(&gallery, &gallery.prepare(seen(&dark, 0.4, 1.0)).unwrap());
    let mut labelled = dark;
    paint(&mut labelled, Rect { x: 70, y: 50, w: 70, h: 50 }, [252, 252, 250]);
    let with = compared(&gallery, &gallery.prepare(seen(&labelled, 0.4, 1.0)).unwrap());
    assert!(with.score >= 0.4 && with.score < ANOMALY_THRESHOLD, "{}", with.score);
    assert!(with.coverage < without.coverage - 0.05, "{} {}", with.coverage, without.coverage);
    // The label itself is an addition to be seen, so what perception says of it may be taken back.
    let label = |i: usize| {
        let (x, y) = ((i % 260) as f64 - 130.0, (i / 260) as f64 - 130.0);
        let (u, v) = (0.4f64.cos() * x + 0.4f64.sin() * y + 110.0, -0.4f64.sin() * x + 0.4f64.cos() * y + 85.0);
        (80.0..130.0).contains(&u) && (60.0..90.0).contains(&v)
    };
    let uncompared = (0..260 * 260).filter(|i| label(*i) && with.compared[*i] == 0).count();
    assert!(uncompared > 1000, "{uncompared}");
    let item = gallery.prepare(seen(&print(3), 0.4, 1.0)).unwrap();
    assert!(with.beside_reference(&hot(&item, label)) > 0.5);
}

/// Perception's map of a cutout, hot where `place` says.
fn hot(item: &Item, place: impl Fn(usize) -> bool) -> HeatMap {
    let color = item.cutout().color();
    let n = color.width() as usize * color.height() as usize;
    HeatMap::new(color.width(), color.height(), (0..n).map(|i| if place(i) { 0.9 } else { 0.1 }).collect()).unwrap()
}

/// What was not compared is unknown: an alarm there stands, whatever a network says of the rest.
#[test]
fn an_alarm_is_taken_back_only_where_the_item_was_compared() {
    let gallery = gallery(2..5);
    let item = gallery.prepare(seen(&print(3), 0.8, 0.95)).unwrap();
    let found = compared(&gallery, &item);
    let is_compared = |i: usize| found.compared[i] > 0;
    let (on, beside) = (hot(&item, is_compared), hot(&item, |i| !is_compared(i)));
    assert!(found.beside_reference(&on) > 0.99 && found.beside_reference(&beside) < 0.01);
    assert_eq!(found.beside_reference(&HeatMap::new(260, 260, vec![0.0; 260 * 260]).unwrap()), 0.0, "a score without a place");
    let harmless = HeatMap::new(64, 64, vec![0.0; 64 * 64]).unwrap();
    let settled = |score: f32, map: Option<&HeatMap>, units: Option<UnitCount>| {
        let mut judgement = Judgement { discrepancy: Some(found.clone()), units };
        let perceived = Perceived { score, threshold: 0.5, map: map.cloned() };
        assert_eq!(perceived.told().is_some(), map.is_some());
        assert!(judgement.pair(&perceived).unwrap().is_some());
        judgement.settle(&perceived, 0.2, &harmless)
    };
    assert_eq!(settled(0.9, Some(&on), None), 0.2);
    assert_eq!(settled(0.9, Some(&beside), None), 0.9);
    assert_eq!(settled(0.9, None, None), 0.9, "perception's map was not seen");
    assert_eq!(settled(0.4, Some(&beside), None), 0.2, "nothing alarmed");
    let faint = HeatMap::new(260, 260, on.data().iter().map(|v| v * 0.2).collect()).unwrap();
    assert_eq!(settled(0.9, Some(&faint), None), 0.9, "the map does not show what the score is about");
    let (compared_px, other_px): (Vec<usize>, Vec<usize>) = (0..260 * 260).partition(|i| is_compared(*i));
    let partly = |share: usize| {
        let places = [&compared_px[..share * 10], &other_px[..(100 - share) * 10]].concat();
        hot(&item, |i| places.contains(&i))
    };
    assert!((found.beside_reference(&partly(20)) - 0.2).abs() < 0.01);
    assert_eq!((settled(0.9, Some(&partly(20)), None), settled(0.9, Some(&partly(30)), None)), (0.9, 0.2), "a quarter of the place");
    let short = UnitCount { expected: 2, seen: 1, hidden: 0, missing: vec![Rect { x: 1, y: 1, w: 5, h: 5 }], score: 0.9 };
    assert_eq!(settled(0.9, Some(&on), Some(short)), 0.9, "what is missing is not explained away");
}

#[test]
fn a_change_in_which_a_network_sees_no_damage_is_an_addition() {
    let gallery = gallery(2..5);
    let mut taped = print(3);
    paint(&mut taped, Rect { x: 80, y: 60, w: 45, h: 40 }, [20, 15, 15]);
    let item = gallery.prepare(seen(&taped, 0.8, 0.95)).unwrap();
    let kinds = |said: f32| {
        let mut judgement = gallery.judge(&item, "p3").unwrap();
        let map = HeatMap::new(64, 64, vec![said; 64 * 64]).unwrap();
        judgement.settle(&Perceived { score: 0.0, threshold: 0.5, map: None }, said, &map);
        judgement.findings().map(|f| f.kind).collect::<Vec<_>>()
    };
    assert!(kinds(0.9).contains(&FindingKind::ChangedRegion) && !kinds(0.9).contains(&FindingKind::Addition));
    assert!(kinds(0.1).contains(&FindingKind::Addition) && !kinds(0.1).contains(&FindingKind::ChangedRegion));
}

#[test]
fn the_best_reference_counts_not_the_average() {
    let mut worn = print(3);
    paint(&mut worn, Rect { x: 60, y: 40, w: 70, h: 60 }, [10, 200, 10]);
    let worn = Picture { product: "p3".into(), name: "worn.png".into(), cutout: Cutout::whole(worn) };
    let gallery = gallery(2..5);
    let item = gallery.prepare(seen(&print(3), 0.2, 1.0)).unwrap();
    let (alone, both) = (compared(&gallery, &item), compared(&gallery.with(worn).unwrap(), &item));
    assert!(both.score <= alone.score + 1e-6, "{} {}", both.score, alone.score);
}

/// A small and a large pack with one print: only the size tells them apart, and without it nobody does.
#[test]
fn of_two_packs_with_one_print_the_size_decides() {
    let size = |of: f32| Extent::of_m([0.2 * of, 0.1 * of, 0.05 * of]);
    let pack = |product: &str, of: f32| Picture {
        product: product.into(),
        name: "0.png".into(),
        cutout: Cutout::whole(print(3)).with_extent(size(of)),
    };
    let (gallery, _) = Gallery::new([pack("large", 1.5), pack("small", 1.0)], GalleryOptions::default());
    let found = |extent: Option<Extent>| {
        let item = gallery.prepare(seen(&print(3), 0.4, 0.95).with_extent(extent)).unwrap();
        gallery.identify(&item, None).product().map(|c| c.product.clone())
    };
    assert_eq!(found(size(1.04)).as_deref(), Some("small"));
    assert_eq!(found(size(1.45)).as_deref(), Some("large"));
    assert_eq!(found(None), None);
    // An item of which nothing is measured is found where there is no doubt.
    let (one, _) = Gallery::new([pack("small", 1.0), picture(4)], GalleryOptions::default());
    let item = one.prepare(seen(&print(3), 0.4, 0.95)).unwrap();
    assert_eq!(one.identify(&item, None).product().map(|c| c.product.as_str()), Some("small"));
}

#[test]
fn the_version_says_what_is_enrolled_not_when() {
    let (forward, _) = Gallery::new([picture(1), picture(2)], GalleryOptions::default());
    let (backward, _) = Gallery::new([picture(2), picture(1)], GalleryOptions::default());
    assert_eq!(forward.version(), backward.version());
    assert_ne!(forward.version(), forward.with(picture(3)).unwrap().version());
    assert_eq!(forward.with(picture(2)).unwrap().version(), forward.version());
}

fn picture(seed: u64) -> Picture {
    Picture { product: format!("p{seed}"), name: "0.png".into(), cutout: Cutout::whole(print(seed)) }
}

/// `top.jpg` of retail_arc2017 enrolled, photographs of the same things on a table recognised among all of them.
#[test]
fn real_things_are_recognised_on_a_table() {
    let data = std::env::var_os("INTACT_DATA")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into(), std::path::PathBuf::from)
        .join("retail_arc2017");
    if !data.is_dir() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no real captures at {}", data.display());
        return;
    }
    let things = ["epsom_salts", "tennis_ball_container", "speed_stick", "crayons", "irish_spring_soap"];
    let features = FeatureOptions { max_upscale: 2.5, work_px: 640, max_features: 900 };
    let pictures = things.iter().map(|name| Picture {
        product: name.to_string(),
        name: "top.jpg".into(),
        cutout: references::folder::read(&data.join(name).join("top.jpg")).unwrap(),
    });
    let (gallery, rejected) = Gallery::new(pictures, GalleryOptions { features, ..GalleryOptions::default() });
    assert!(rejected.is_empty());
    for name in ["epsom_salts", "tennis_ball_container"] {
        let frame = image::open(data.join(name).join("capture_0.jpg")).unwrap().into_rgb8();
        let frame = ColorImage::new(frame.width(), frame.height(), frame.into_raw()).unwrap();
        let middle = frame.crop(Rect { x: 200, y: 140, w: 320, h: 220 }).unwrap();
        let found = gallery.identify(&gallery.prepare(Cutout::whole(middle)).unwrap(), None);
        assert_eq!(found.product().map(|c| c.product.as_str()), Some(name), "{:?}", found.ranking);
    }
}

#[test]
fn a_mask_of_nothing_is_no_picture() {
    assert!(matches!(Cutout::masked(print(1), std::iter::repeat_n(false, 220 * 170)), Err(MatchError::Empty)));
}
