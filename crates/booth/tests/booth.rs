//! The booth keeps its promises: same bytes for a seed, truth that fits the pictures, damage where it says.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use booth::{Booth, BoothSpec, Capture, DamageKind, Family, Severity, Surface};
use nalgebra::Point3;

fn spec() -> BoothSpec {
    BoothSpec { seed: 11, width: 320, height: 240, products: 11, ..BoothSpec::default() }
}

/// Height above the tray floor of a pixel's truth, metres.
fn height_m(booth: &Booth, capture: &Capture, x: u32, y: u32) -> f64 {
    let z = f64::from(capture.truth.depth.at_m(x, y).unwrap());
    let p: Point3<f64> = booth.cell_from_camera() * booth.intrinsics().deproject(f64::from(x), f64::from(y), z);
    p.z
}

fn pixels(capture: &Capture) -> impl Iterator<Item = (u32, u32, usize)> + use<> {
    let (w, h) = (capture.truth.mask.width(), capture.truth.mask.height());
    (0..h).flat_map(move |y| (0..w).map(move |x| (x, y, (y * w + x) as usize)))
}

#[test]
fn a_capture_depends_on_seed_and_index_only() {
    let booth = Booth::new(spec()).unwrap();
    let again = Booth::new(spec()).unwrap();
    // Another order and other threads.
    let late = again.captures(0..6);
    for i in (0..6).rev() {
        let (a, b) = (booth.capture(i), &late[i]);
        assert_eq!(a.item_id, b.item_id);
        assert_eq!(a.frame.color, b.frame.color, "colour of {i}");
        assert_eq!(a.frame.depth, b.frame.depth, "depth of {i}");
        assert_eq!(a.truth.mask, b.truth.mask, "mask of {i}");
        assert_eq!(a.truth.damage.len(), b.truth.damage.len());
    }
    let other = Booth::new(BoothSpec { seed: 12, ..spec() }).unwrap();
    assert_ne!(other.capture(0).frame.color, booth.capture(0).frame.color);
    assert_ne!(booth.capture(1).frame.color, booth.capture(0).frame.color);
}

#[test]
fn items_stand_above_the_tray_and_the_tray_is_flat() {
    let booth = Booth::new(spec()).unwrap();
    for capture in booth.captures(0..8) {
        let mut over = (0u32, 0u32);
        for (x, y, i) in pixels(&capture).filter(|(_, _, i)| capture.truth.mask.data()[*i] == 1) {
            over.1 += 1;
            over.0 += u32::from(height_m(&booth, &capture, x, y) > 0.0003);
            assert!(height_m(&booth, &capture, x, y) > -0.003, "item pixel {i} lies under the tray");
        }
        assert!(over.1 > 150, "{}: only {} item pixels", capture.item_id, over.1);
        assert!(f64::from(over.0) >= 0.9 * f64::from(over.1), "{}: {over:?}", capture.item_id);
    }
}

#[test]
fn measured_depth_is_noisy_holed_and_near_the_truth() {
    let booth = Booth::new(spec()).unwrap();
    let background = booth.background();
    let capture = booth.capture(3);
    for (frame, truth) in [(&background, None), (&capture.frame, Some(&capture.truth.depth))] {
        let depth = frame.depth.as_ref().unwrap();
        let valid = depth.valid_fraction();
        assert!((0.85..1.0).contains(&valid), "valid share {valid}");
        let Some(truth) = truth else { continue };
        let mut error: Vec<f32> = depth.data().iter().zip(truth.data()).filter(|(d, _)| **d > 0.0).map(|(d, t)| (d - t).abs()).collect();
        error.sort_by(f32::total_cmp);
        let median = error[error.len() / 2];
        assert!((0.0004..0.006).contains(&median), "median error {median} m");
        // Millimetres.
        assert!(depth.data().iter().all(|d| (d * 1000.0 - (d * 1000.0).round()).abs() < 1e-2));
    }
    assert_ne!(background.color, capture.frame.color);
}

#[test]
fn every_kind_of_damage_is_made_and_moves_what_it_should() {
    for kind in DamageKind::ALL {
        let booth = Booth::new(BoothSpec { damage_fraction: 1.0, damage_kinds: vec![kind], ..spec() }).unwrap();
        let mut seen = 0;
        for capture in booth.captures(0..9) {
            for damage in &capture.truth.damage {
                assert_eq!(damage.kind, kind);
                seen += 1;
                let region = damage.region.data();
                let intact = capture.truth.intact_depth.as_ref().unwrap().data();
                let now = capture.truth.depth.data();
                let changed =
                    |inside: u16| (0..region.len()).filter(|i| region[*i] == inside && (now[*i] - intact[*i]).abs() > 0.0025).count();
                match kind {
                    DamageKind::Scuff | DamageKind::Stain | DamageKind::WetPatch => {
                        assert_eq!(changed(1), 0, "a surface mark moved matter");
                        assert_eq!(damage.depth_mm, 0.0);
                    }
                    DamageKind::Crush | DamageKind::Dent | DamageKind::MissingUnit => {
                        assert!(damage.depth_mm >= 2.0, "{kind:?} moved only {} mm", damage.depth_mm);
                        let (inside, outside) = (changed(1), changed(0));
                        assert!(inside > 0 && outside <= inside / 4 + 6, "{kind:?}: {inside} in, {outside} out");
                    }
                    _ => assert!(damage.area_mm2 > 50.0),
                }
            }
        }
        assert!(seen > 0, "{kind:?} never happened in 9 items");
    }
}

#[test]
fn flags_follow_the_damage_list_and_the_fraction() {
    let booth = Booth::new(BoothSpec { damage_fraction: 0.5, ..spec() }).unwrap();
    let captures = booth.captures(0..40);
    for capture in &captures {
        let truth = &capture.truth;
        assert_eq!(truth.is_damaged, !truth.damage.is_empty());
        assert_eq!(truth.is_gross, truth.damage.iter().any(|d| d.severity == Severity::Major));
        assert_eq!(truth.is_damaged, truth.intact_depth.is_some());
        for damage in &truth.damage {
            assert_eq!(damage.region.extent(1).unwrap().0, damage.bbox);
        }
    }
    let damaged = captures.iter().filter(|c| c.truth.is_damaged).count();
    assert!((10..=30).contains(&damaged), "{damaged} of 40 damaged");
    let clean = Booth::new(BoothSpec { damage_fraction: 0.0, ..spec() }).unwrap();
    assert!(clean.captures(0..6).iter().all(|c| !c.truth.is_damaged));
}

#[test]
fn totes_have_walls_and_belts_have_none_ahead() {
    let highest = |surface| {
        let booth = Booth::new(BoothSpec { surface, damage_fraction: 0.0, ..spec() }).unwrap();
        let capture = booth.capture(0);
        // Along the row through the middle of the picture, beside the item.
        (0..320)
            .filter(|x| capture.truth.mask.data()[(120 * 320 + x) as usize] == 0)
            .map(|x| height_m(&booth, &capture, x, 120))
            .fold(f64::NEG_INFINITY, f64::max)
    };
    let (tray, tote, belt) = (highest(Surface::Tray), highest(Surface::Tote), highest(Surface::Conveyor));
    assert!((0.02..0.05).contains(&tray), "tray rim {tray} m");
    assert!((0.085..0.15).contains(&tote), "tote wall {tote} m");
    assert!(belt < 0.005, "belt {belt} m");
}

#[test]
fn clutter_labels_each_item_and_keeps_them_apart() {
    let booth = Booth::new(BoothSpec { clutter: true, ..spec() }).unwrap();
    let captures = booth.captures(0..6);
    assert!(captures.iter().any(|c| c.truth.instances.len() >= 2));
    for capture in &captures {
        let labels = capture.truth.mask.labels();
        assert_eq!(labels, (1..=capture.truth.instances.len() as u16).collect::<Vec<_>>(), "{}", capture.item_id);
        assert!(capture.truth.damage.iter().all(|d| labels.contains(&d.instance)));
    }
}

/// Normalised histogram of the item's colours: 4 × 4 × 4 bins.
fn histogram(rgb: impl Iterator<Item = [u8; 3]>) -> [f32; 64] {
    let (mut bins, mut n) = ([0.0f32; 64], 0.0);
    for [r, g, b] in rgb {
        bins[usize::from(r / 64) * 16 + usize::from(g / 64) * 4 + usize::from(b / 64)] += 1.0;
        n += 1.0;
    }
    bins.map(|v| v / n)
}

#[test]
fn references_show_the_same_product() {
    let families = vec![Family::Book, Family::Can, Family::Pouch];
    let booth = Booth::new(BoothSpec { families, damage_fraction: 0.0, products: 6, ..spec() }).unwrap();
    let products = booth.products();
    let galleries: Vec<Vec<[f32; 64]>> = products
        .iter()
        .map(|p| {
            let views = booth.references(&p.name, 0).unwrap();
            assert!(views.len() >= 3);
            views
                .iter()
                .map(|v| {
                    assert_eq!((v.color.width(), v.color.height()), (v.mask.width(), v.mask.height()));
                    let item = v.color.data().chunks_exact(3).zip(v.mask.data()).filter(|(_, m)| **m == 1);
                    histogram(item.map(|(c, _)| [c[0], c[1], c[2]]))
                })
                .collect()
        })
        .collect();
    let overlap = |a: &[f32; 64], b: &[f32; 64]| a.iter().zip(b).map(|(x, y)| x.min(*y)).sum::<f32>();
    let mut right = 0;
    for capture in booth.captures(0..18) {
        let item = capture.frame.color.data().chunks_exact(3).zip(capture.truth.mask.data()).filter(|(_, m)| **m == 1);
        let seen = histogram(item.map(|(c, _)| [c[0], c[1], c[2]]));
        let best = (0..products.len())
            .max_by(|a, b| {
                let score = |p: usize| galleries[p].iter().map(|h| overlap(h, &seen)).fold(0.0, f32::max);
                score(*a).total_cmp(&score(*b))
            })
            .unwrap();
        right += usize::from(products[best].name == capture.product);
    }
    assert!(right >= 12, "colours alone find {right} of 18 items among 6 products");
    assert!(booth.references("P9999", 0).is_err());
}

#[test]
fn impossible_booths_are_refused() {
    for wrong in [
        BoothSpec { width: 100, ..spec() },
        BoothSpec { height: 1080, ..spec() },
        BoothSpec { damage_fraction: 1.5, ..spec() },
        BoothSpec { lookalike_fraction: f64::NAN, ..spec() },
        BoothSpec { families: vec![], ..spec() },
        BoothSpec { products: 0, ..spec() },
        BoothSpec { cameras: 0, ..spec() },
        BoothSpec { cameras: 9, ..spec() },
    ] {
        assert!(Booth::new(wrong.clone()).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_capture_is_fast_enough_for_hundreds_a_minute() {
    let booth = Booth::new(BoothSpec { width: 640, height: 480, ..spec() }).unwrap();
    // Prints are painted on first sight; measure after that. The limit leaves room for a busy machine.
    let warm: Vec<Capture> = (0..8).map(|i| booth.capture(i)).collect();
    assert_eq!(warm.len(), 8);
    let started = std::time::Instant::now();
    for i in 0..8 {
        assert!(!booth.capture(i).item_id.is_empty());
    }
    let each_ms = started.elapsed().as_secs_f64() * 1000.0 / 8.0;
    println!("{each_ms:.0} ms a capture");
    assert!(each_ms < 900.0, "{each_ms:.0} ms a capture");
}

#[test]
fn a_spill_is_marked_where_it_lies_and_not_around_it() {
    let booth = Booth::new(BoothSpec { damage_fraction: 1.0, damage_kinds: vec![DamageKind::Spillage], ..spec() }).unwrap();
    let mut seen = 0;
    for capture in booth.captures(0..8) {
        for damage in &capture.truth.damage {
            let marked: Vec<(u32, u32)> =
                pixels(&capture).filter(|(_, _, i)| damage.region.data()[*i] == 1).map(|(x, y, _)| (x, y)).collect();
            // Spilt matter has some height everywhere; the tray's floor has none.
            let floor = marked.iter().filter(|(x, y)| height_m(&booth, &capture, *x, *y) < 0.0003).count();
            assert!(floor * 10 <= marked.len(), "{}: {floor} of {} marked pixels show bare tray", capture.item_id, marked.len());
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen} spills seen");
}

#[test]
fn further_cameras_see_the_same_scene_and_leave_the_first_as_it_is() {
    let spec = BoothSpec { damage_fraction: 0.7, ..spec() };
    let (one, three) = (Booth::new(spec.clone()).unwrap(), Booth::new(BoothSpec { cameras: 3, ..spec }).unwrap());
    assert_eq!((one.cameras(), three.cameras(), three.intrinsics_of(3), three.background_of(3).is_none()), (1, 3, None, true));
    let (mut damaged, mut shown) = (0, 0);
    for (alone, capture) in one.captures(0..8).into_iter().zip(three.captures(0..8)) {
        assert!(alone.frame.color == capture.frame.color && alone.frame.depth == capture.frame.depth, "{}", capture.item_id);
        assert_eq!((alone.beside.len(), capture.beside.len()), (0, 2));
        for (k, side) in capture.beside.iter().enumerate() {
            let (pose, lens) = (three.cell_from_camera_of(k + 1).unwrap(), three.intrinsics_of(k + 1).unwrap());
            assert_eq!(side.frame.intrinsics, Some(lens));
            assert_ne!(side.frame.color, capture.frame.color);
            // The item stands where the first camera saw it: each camera's item pixels, carried into the cell, have the same middle.
            let middle = |mask: &vision::LabelMask,
                          depth: &vision::DepthImage,
                          pose: &nalgebra::Isometry3<f64>,
                          lens: &vision::Intrinsics| {
                let w = mask.width();
                let points: Vec<Point3<f64>> = (0..mask.data().len() as u32)
                    .filter(|i| mask.data()[*i as usize] == 1)
                    .filter_map(|i| Some(pose * lens.deproject(f64::from(i % w), f64::from(i / w), f64::from(depth.at_m(i % w, i / w)?))))
                    .collect();
                assert!(points.len() > 100, "{} camera {k}: {} item pixels", capture.item_id, points.len());
                let sum = points.iter().fold(nalgebra::Vector3::zeros(), |s, p| s + p.coords);
                (sum / points.len() as f64).xy()
            };
            let first = middle(&capture.truth.mask, &capture.truth.depth, &three.cell_from_camera(), &three.intrinsics());
            let other = middle(&side.truth.mask, &side.truth.depth, &pose, &lens);
            assert!((first - other).norm() < 0.035, "{} camera {k}: {first} against {other}", capture.item_id);
            assert_eq!((side.truth.is_damaged, side.truth.is_gross), (capture.truth.is_damaged, capture.truth.is_gross));
            assert_eq!(side.truth.instances, capture.truth.instances);
            damaged += capture.truth.damage.len();
            shown += side.truth.damage.len();
            for d in &side.truth.damage {
                assert!(capture.truth.damage.iter().any(|known| (known.kind, known.severity) == (d.kind, d.severity)));
                assert!(d.region.extent(1).is_some() && d.area_mm2 > 0.0);
            }
        }
    }
    assert!(damaged >= 6 && shown * 2 > damaged && shown <= damaged, "{shown} of {damaged} damages are seen from the side");
}
