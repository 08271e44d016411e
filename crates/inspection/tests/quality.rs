//! Each quality flag on booth captures that are made to show it, and on clean ones.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use booth::{Booth, BoothSpec, Capture};
use inspection::{EmptyTray, InspectionParams, Quality, inspect, is_depth_unit_suspect};
use vision::{ColorImage, DepthImage, RgbdFrame};

/// Captures that each spoilt case is tried on.
const CAPTURES: usize = 6;

struct Line {
    tray: EmptyTray,
    captures: Vec<Capture>,
}

fn line() -> Line {
    let spec = BoothSpec { seed: 77, products: 12, damage_fraction: 0.0, ..BoothSpec::default() };
    let booth = Booth::new(spec).unwrap();
    Line { tray: EmptyTray::new(booth.background()), captures: booth.captures(0..CAPTURES) }
}

/// Flags of every item found.
fn flags(frame: &RgbdFrame, tray: Option<&EmptyTray>) -> Vec<Quality> {
    let mut params = InspectionParams::default();
    params.segmentation.one_item = true;
    inspect(frame, tray, &params).unwrap().items.iter().map(|i| i.quality).collect()
}

fn recolored(frame: &RgbdFrame, of: impl Fn(usize, usize, [u8; 3]) -> [u8; 3]) -> RgbdFrame {
    let w = frame.color.width() as usize;
    let data = frame.color.data().as_chunks::<3>().0.iter().enumerate().flat_map(|(i, p)| of(i % w, i / w, *p)).collect();
    RgbdFrame { color: Arc::new(ColorImage::new(frame.color.width(), frame.color.height(), data).unwrap()), ..frame.clone() }
}

fn redepthed(frame: &RgbdFrame, of: impl Fn(usize, usize, f32) -> f32) -> RgbdFrame {
    let depth = frame.depth.as_ref().unwrap();
    let w = depth.width() as usize;
    let data = depth.data().iter().enumerate().map(|(i, z)| of(i % w, i / w, *z)).collect();
    RgbdFrame { depth: Some(Arc::new(DepthImage::new(depth.width(), depth.height(), data).unwrap())), ..frame.clone() }
}

/// Mean over a box of `2 r + 1` pixels a side, as a lens out of focus gives it.
fn blurred(frame: &RgbdFrame, r: usize) -> RgbdFrame {
    let (w, h) = (frame.color.width() as usize, frame.color.height() as usize);
    let mut pixels: Vec<[u32; 3]> = frame.color.data().as_chunks::<3>().0.iter().map(|p| p.map(u32::from)).collect();
    for (step, n) in [(1, w), (w, h)] {
        let from = pixels.clone();
        for (i, out) in pixels.iter_mut().enumerate() {
            let at = i / step % n;
            let (low, high) = (at.saturating_sub(r), (at + r).min(n - 1));
            let sum = (low..=high).fold([0; 3], |s: [u32; 3], k| std::array::from_fn(|c| s[c] + from[i + k * step - at * step][c]));
            *out = sum.map(|v| v / (high - low + 1) as u32);
        }
    }
    recolored(frame, |x, y, _| pixels[y * w + x].map(|v| v as u8))
}

/// How many captures have an item with the flag.
fn flagged(line: &Line, spoil: impl Fn(&Capture) -> RgbdFrame, flag: impl Fn(&Quality) -> bool) -> usize {
    line.captures.iter().filter(|c| flags(&spoil(c), Some(&line.tray)).iter().any(&flag)).count()
}

#[test]
fn clean_captures_raise_no_flag() {
    let line = line();
    for capture in &line.captures {
        let found = flags(&capture.frame, Some(&line.tray));
        assert_eq!(found.len(), 1, "{}", capture.item_id);
        for q in found {
            let doubts = [q.blurred, q.clipped, q.occluded, q.overexposed, q.underexposed, q.depth_missing, q.depth_unit_suspect];
            assert_eq!(doubts, [false; 7], "{}: {q:?}", capture.item_id);
        }
    }
}

#[test]
fn a_lens_out_of_focus_is_blurred() {
    let n = flagged(&line(), |c| blurred(&c.frame, 7), |q| q.blurred);
    assert!(n + 1 >= CAPTURES, "{n} of {CAPTURES}");
}

#[test]
fn an_item_at_the_pictures_border_is_clipped() {
    let line = line();
    for capture in &line.captures {
        // The picture ends in the middle of the item.
        let (rect, _) = capture.truth.mask.extent(1).unwrap();
        let cut = vision::Rect { x: 0, y: 0, w: rect.x + rect.w / 2, h: capture.frame.color.height() };
        let part = |f: &RgbdFrame| RgbdFrame {
            color: Arc::new(f.color.crop(cut).unwrap()),
            depth: f.depth.as_ref().map(|d| Arc::new(d.crop(cut).unwrap())),
            intrinsics: f.intrinsics.map(|k| vision::Intrinsics { width: cut.w, ..k }),
        };
        let found = flags(&part(&capture.frame), None);
        assert!(found.iter().any(|q| q.clipped), "{}: {found:?}", capture.item_id);
    }
}

#[test]
fn what_stands_before_an_item_hides_it() {
    let line = line();
    let bar = |c: &Capture| {
        // An arm across the picture, 15 cm above the item.
        let (rect, _) = c.truth.mask.extent(1).unwrap();
        let (from, to) = ((rect.x + rect.w / 2) as usize, (rect.x + rect.w / 2 + rect.w / 4).max(rect.x + rect.w / 2 + 12) as usize);
        let nearest = c.truth.depth.data().iter().copied().fold(f32::INFINITY, f32::min);
        let arm = move |x: usize| (from..to).contains(&x);
        let color = recolored(&c.frame, |x, y, p| if arm(x) { [70, 75, 70 + (x * 7 + y * 3) as u8 % 9] } else { p });
        redepthed(&color, |x, _, z| if arm(x) { nearest - 0.15 } else { z })
    };
    for capture in &line.captures {
        let several = inspect(&bar(capture), Some(&line.tray), &InspectionParams::default()).unwrap();
        assert!(several.items.iter().any(|i| i.quality.occluded), "{}", capture.item_id);
        // Where one item is expected the arm is taken for a part of it; then it is seen to leave the picture.
        assert!(flags(&bar(capture), Some(&line.tray)).iter().any(|q| q.occluded || q.clipped), "{}", capture.item_id);
    }
    let none = flagged(&line, |c| RgbdFrame { depth: None, ..bar(c) }, |q| q.occluded);
    assert_eq!(none, 0, "without depth nobody knows");
}

#[test]
fn exposure_that_failed_is_named() {
    let line = line();
    // Without the tray's picture, which was taken in better light.
    let flagged = |of: fn(u8) -> u8, flag: fn(&Quality) -> bool| {
        line.captures.iter().filter(|c| flags(&recolored(&c.frame, |_, _, p| p.map(of)), None).iter().any(flag)).count()
    };
    let bright = flagged(|v| v.saturating_mul(9), |q| q.overexposed);
    let dark = flagged(|v| v / 40, |q| q.underexposed);
    assert!(bright * 2 > CAPTURES && dark + 1 >= CAPTURES, "{bright} bright and {dark} dark of {CAPTURES}");
}

#[test]
fn depth_that_is_missing_or_in_another_unit_is_named() {
    let line = line();
    let none = flagged(&line, |c| RgbdFrame { depth: None, ..c.frame.clone() }, |q| q.depth_missing);
    assert!(none + 1 >= CAPTURES, "{none} of {CAPTURES} without depth");
    let holes = |c: &Capture| {
        let mask = c.truth.mask.clone();
        let w = mask.width() as usize;
        // Three quarters of the item give no depth, as glossy film does.
        redepthed(&c.frame, move |x, y, z| if mask.data()[y * w + x] == 1 && x % 4 != 0 { 0.0 } else { z })
    };
    let holed = flagged(&line, holes, |q| q.depth_missing);
    assert!(holed + 1 >= CAPTURES, "{holed} of {CAPTURES} with holes");
    for capture in &line.captures {
        assert!(is_depth_unit_suspect(&redepthed(&capture.frame, |_, _, z| z * 1000.0)), "{}", capture.item_id);
        assert!(!is_depth_unit_suspect(&capture.frame), "{}", capture.item_id);
        // A camera half as high whose tenths of a millimetre are read as millimetres, and the other way round.
        assert!(is_depth_unit_suspect(&redepthed(&capture.frame, |_, _, z| z / 2.0 * 10.0)), "{}", capture.item_id);
        assert!(is_depth_unit_suspect(&redepthed(&capture.frame, |_, _, z| z / 10.0)), "{}", capture.item_id);
    }
}

#[test]
fn depth_without_any_ground_in_it_is_missing() {
    let line = line();
    for capture in &line.captures {
        // Pixels with depth all over the picture, none of which makes a surface with its neighbours.
        let noise = redepthed(&capture.frame, |x, y, _| 0.4 + ((x * 7919 + y * 104_729 + x * y * 31) % 997) as f32 * 0.003);
        let found = flags(&noise, None);
        assert!(!found.is_empty() && found.iter().all(|q| q.depth_missing && q.depth_valid_fraction > 0.9), "{found:?}");
    }
}
