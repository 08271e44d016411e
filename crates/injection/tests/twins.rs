//! Pairs of damage and sham on a made-up box: printed, on a table, seen from above with depth.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use injection::{InjectionError, Operator, Twins, inject};
use vision::{ColorImage, DepthImage, Intrinsics, LabelMask, RgbdFrame};

const SIZE: (u32, u32) = (320, 240);
const STEP_M: f32 = 0.001;

fn on_box(x: u32, y: u32) -> bool {
    (90..230).contains(&x) && (70..170).contains(&y)
}

/// A box 60 mm high, 0.8 m below the camera, 2 mm a pixel; noise in colour and depth.
fn scene() -> (RgbdFrame, LabelMask) {
    let pixels = || (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (x, y)));
    let noise = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(2_246_822_519) >> 28;
    let color = pixels().flat_map(|(x, y)| {
        let n = noise(x, y) as u8 / 2;
        match (on_box(x, y), x / 20 % 2) {
            (true, 0) => [180 + n, 120 + n, 60 + n],
            (true, _) => [60 + n, 90 + n, 160 + n],
            _ => [110 + n, 112 + n, 115 + n],
        }
    });
    let depth = pixels().map(|(x, y)| if on_box(x, y) { 0.8 } else { 0.86 } + (noise(y, x) % 3) as f32 * STEP_M);
    let frame = RgbdFrame {
        color: Arc::new(ColorImage::new(SIZE.0, SIZE.1, color.collect()).unwrap()),
        depth: Some(Arc::new(DepthImage::new(SIZE.0, SIZE.1, depth.collect()).unwrap())),
        intrinsics: Some(Intrinsics { fx: 400.0, fy: 400.0, cx: 159.5, cy: 119.5, width: SIZE.0, height: SIZE.1 }),
    };
    let mask = LabelMask::new(SIZE.0, SIZE.1, pixels().map(|(x, y)| u16::from(on_box(x, y))).collect()).unwrap();
    (frame, mask)
}

fn twins(operator: Operator, seed: u64) -> Twins {
    let (frame, mask) = scene();
    inject(&frame, &mask, 1, operator, STEP_M, seed).unwrap()
}

/// Mean absolute change of colour where `of` holds, grey levels; and how many pixels changed.
fn change(a: &RgbdFrame, b: &RgbdFrame, of: impl Fn(usize) -> bool) -> (f64, usize) {
    let (mut sum, mut n, mut changed) = (0.0, 0, 0);
    for (_, (p, q)) in a.color.data().as_chunks::<3>().0.iter().zip(b.color.data().as_chunks::<3>().0).enumerate().filter(|(i, _)| of(*i)) {
        sum += p.iter().zip(q).map(|(p, q)| f64::from(p.abs_diff(*q))).sum::<f64>() / 3.0;
        n += 1;
        changed += usize::from(p != q);
    }
    (sum / f64::from(n.max(1)), changed)
}

#[test]
fn every_damage_is_seen_where_it_is_marked_and_its_sham_elsewhere_than_nowhere() {
    let (frame, _) = scene();
    for operator in Operator::ALL {
        for seed in 0..6 {
            let t = twins(operator, seed);
            let marked = |i: usize| t.region.data()[i] == 1;
            assert!(t.extent.area_px >= 9, "{operator:?} {seed}: {:?}", t.extent);
            let (inside, _) = change(&frame, &t.damaged, marked);
            let (outside, _) = change(&frame, &t.damaged, |i| !marked(i));
            assert!(inside > 2.0 && inside > 4.0 * outside, "{operator:?} {seed}: {inside:.2} levels inside, {outside:.2} outside");
            let (_, changed) = change(&frame, &t.sham, |_| true);
            assert!(changed > 20, "{operator:?} {seed}: the sham changes {changed} pixels");
            assert!(t.extent.is_measured);
            // 2 mm a pixel, and 3 % more where the depth is noisy.
            let mm2 = f64::from(t.extent.area_mm2) / f64::from(t.extent.area_px);
            assert!((3.9..4.3).contains(&mm2), "{operator:?} {seed}: {mm2} mm² a pixel");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_another_damage() {
    for operator in Operator::ALL {
        let (a, b, c) = (twins(operator, 5), twins(operator, 5), twins(operator, 6));
        assert_eq!(a.damaged.color, b.damaged.color);
        assert_eq!((&a.sham.color, &a.sham.depth), (&b.sham.color, &b.sham.depth));
        assert_ne!(a.region, c.region, "{operator:?}");
    }
}

#[test]
fn depth_moves_with_dents_and_holes_and_stays_on_the_files_steps() {
    let (frame, _) = scene();
    let before = frame.depth.as_ref().unwrap();
    for (operator, least_mm) in [(Operator::Dent, 2.0), (Operator::Crush, 2.0), (Operator::Hole, 4.0), (Operator::Tear, 4.0)] {
        let t = twins(operator, 3);
        let after = t.damaged.depth.as_ref().unwrap();
        let moved: Vec<f32> = (0..before.data().len())
            .filter(|i| t.region.data()[*i] == 1 && on_box(*i as u32 % SIZE.0, *i as u32 / SIZE.0))
            .filter(|i| after.data()[*i] > 0.0)
            .map(|i| 1000.0 * (after.data()[i] - before.data()[i]))
            .collect();
        let deepest = moved.iter().copied().fold(0.0, f32::max);
        assert!(deepest > least_mm, "{operator:?}: {deepest} mm");
        for side in [after, t.sham.depth.as_ref().unwrap()] {
            let off = side.data().iter().map(|z| (z / STEP_M - (z / STEP_M).round()).abs()).fold(0.0, f32::max);
            assert!(off < 1e-3, "{operator:?}: a depth lies {off} steps between two steps");
        }
    }
    let t = twins(Operator::Stain, 3);
    let after = t.damaged.depth.as_ref().unwrap();
    assert!(before.data().iter().zip(after.data()).all(|(a, b)| (a - b).abs() < 1e-4), "a stain moves nothing");
}

#[test]
fn a_sham_changes_about_as_much_as_its_damage() {
    let (frame, _) = scene();
    for operator in Operator::ALL {
        let (mut damage, mut sham) = (0.0, 0.0);
        for seed in 0..12 {
            let t = twins(operator, seed);
            damage += change(&frame, &t.damaged, |_| true).0;
            sham += change(&frame, &t.sham, |_| true).0;
        }
        assert!((0.3..3.0).contains(&(sham / damage)), "{operator:?}: {sham:.2} against {damage:.2} grey levels");
    }
}

#[test]
fn colour_alone_is_edited_too_and_bad_input_is_refused() {
    let (frame, mask) = scene();
    let bare = RgbdFrame { depth: None, intrinsics: None, ..frame.clone() };
    let t = inject(&bare, &mask, 1, Operator::Dent, STEP_M, 1).unwrap();
    assert!(t.damaged.depth.is_none() && !t.extent.is_measured && t.extent.area_px > 0);
    assert_eq!(inject(&bare, &mask, 2, Operator::Dent, STEP_M, 1).unwrap_err(), InjectionError::NoItem(2));
    let small =
        LabelMask::new(SIZE.0, SIZE.1, mask.data().iter().enumerate().map(|(i, l)| if i % 60 == 0 { *l } else { 0 }).collect()).unwrap();
    assert!(matches!(inject(&bare, &small, 1, Operator::Dent, STEP_M, 1), Err(InjectionError::Small(_))));
    let other = LabelMask::new(2, 2, vec![1; 4]).unwrap();
    assert_eq!(inject(&bare, &other, 1, Operator::Dent, STEP_M, 1).unwrap_err(), InjectionError::Sizes);
    // An item that fills the picture has no outline of its own.
    let full = LabelMask::new(SIZE.0, SIZE.1, vec![1; mask.data().len()]).unwrap();
    assert_eq!(inject(&bare, &full, 1, Operator::OpenedFlap, STEP_M, 1).unwrap_err(), InjectionError::NoPlace);
}
