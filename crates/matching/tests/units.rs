//! Countable units on drawn cards.
#![allow(clippy::unwrap_used)]

use matching::{Cutout, Enrolled, Gallery, GalleryOptions, Picture, Units};
use vision::ColorImage;

const WIDTH: u32 = 300;
const HEIGHT: u32 = 220;

/// A printed card with red domes at the named places of three columns and two rows, seen at a turn.
fn card(turn_rad: f32, present: &[usize], paper_on: Option<usize>) -> Cutout {
    let (c, s) = (turn_rad.cos(), turn_rad.sin());
    let mut mask = Vec::new();
    let mut data = Vec::new();
    for i in 0..WIDTH * HEIGHT {
        let (x, y) = ((i % WIDTH) as f32 - 150.0, (i / WIDTH) as f32 - 110.0);
        let (u, v) = (c * x + s * y, c * y - s * x);
        mask.push(u.abs() < 100.0 && v.abs() < 70.0);
        let at = |n: usize| ((n % 3) as f32 * 60.0 - 60.0, (n / 3) as f32 * 60.0 - 25.0);
        let dome = |n: &usize| (u - at(*n).0).hypot(v - at(*n).1) < 22.0;
        let paper = paper_on.is_some_and(|n| (u - at(n).0).abs() < 28.0 && (v - at(n).1).abs() < 28.0);
        data.extend(match () {
            () if paper => [240, 240, 238],
            () if present.iter().any(dome) => [190, 40, 50],
            () => [60, 90 + (v + 70.0).max(0.0) as u8 / 3, 150],
        });
    }
    Cutout::masked(ColorImage::new(WIDTH, HEIGHT, data).unwrap(), mask).unwrap()
}

fn units() -> Units {
    Units::of(&[card(0.0, &[0, 1, 2, 3, 4, 5], None), card(0.4, &[0, 1, 2, 3, 4, 5], None)]).unwrap()
}

#[test]
fn counts_what_is_there_in_any_turn_and_names_the_place_of_what_is_not() {
    let units = units();
    assert_eq!(units.expected(), Some(6));
    let whole = units.count(&card(2.0, &[0, 1, 2, 3, 4, 5], None)).unwrap().unwrap();
    assert_eq!((whole.seen, whole.hidden, whole.missing.len(), whole.score), (6, 0, 0, 0.0));
    let broken = units.count(&card(0.0, &[0, 1, 2, 4, 5], None)).unwrap().unwrap();
    assert_eq!((broken.expected, broken.seen, broken.hidden, broken.missing.len()), (6, 5, 0, 1));
    let place = broken.missing[0];
    let middle = (place.x + place.w / 2, place.y + place.h / 2);
    assert!(broken.score > 0.5 && middle.0.abs_diff(90) < 8 && middle.1.abs_diff(145) < 8, "{broken:?}");
}

/// Forty pearls on a card, dark or not there: all pairs of places and patches are too many to try to the end.
#[test]
fn many_units_are_counted_at_once() {
    let tray = |turn_rad: f32, absent: Option<usize>| {
        let (c, s) = (turn_rad.cos(), turn_rad.sin());
        let (mut mask, mut data) = (Vec::new(), Vec::new());
        for i in 0..520 * 400 {
            let (x, y) = ((i % 520) as f32 - 260.0, (i / 520) as f32 - 200.0);
            let (u, v) = (c * x + s * y, c * y - s * x);
            mask.push(u.abs() < 195.0 && v.abs() < 130.0);
            let pearl = (0..40).filter(|n| Some(*n) != absent).any(|n| {
                let at = ((n % 8) as f32 * 46.0 - 161.0, (n / 8) as f32 * 46.0 - 100.0);
                (u - at.0).hypot(v - at.1) < 18.0
            });
            data.extend(if pearl { [190, 40, 50] } else { [60, 90 + (v + 130.0).max(0.0) as u8 / 4, 150] });
        }
        Cutout::masked(ColorImage::new(520, 400, data).unwrap(), mask).unwrap()
    };
    let units = Units::of(&[tray(0.0, None), tray(0.5, None), tray(1.1, None), tray(2.0, None)]).unwrap();
    assert_eq!(units.expected(), Some(40));
    let from = std::time::Instant::now();
    let (whole, broken) = (units.count(&tray(0.7, None)).unwrap().unwrap(), units.count(&tray(0.3, Some(13))).unwrap().unwrap());
    assert_eq!((whole.seen, whole.missing.len()), (40, 0));
    assert_eq!((broken.seen, broken.missing.len()), (39, 1));
    // To the end it takes minutes; a loaded machine needs a second for this.
    assert!(from.elapsed().as_secs() < 20, "{:?}", from.elapsed());
}

#[test]
fn what_lies_under_a_label_is_hidden_and_not_missing() {
    let count = units().count(&card(0.3, &[0, 1, 2, 3, 4, 5], Some(4))).unwrap().unwrap();
    assert_eq!((count.seen, count.hidden, count.missing.len(), count.score), (5, 1, 0, 0.0));
}

#[test]
fn nothing_is_said_of_the_back_of_a_card_or_of_things_without_units() {
    assert_eq!(units().count(&card(0.0, &[], None)).unwrap(), None, "no unit in view: it may lie on its back");
    let plain = Units::of(&[card(0.0, &[], None), card(0.4, &[], None)]).unwrap();
    assert_eq!((plain.expected(), plain.count(&card(0.0, &[0, 1], None)).unwrap()), (None, None));
    // Views that do not agree say nothing.
    let odd = Units::of(&[card(0.0, &[0, 1, 2], None), card(0.0, &[0, 1, 2, 3], None)]).unwrap();
    assert_eq!(odd.expected(), None);
}

#[test]
fn pictures_of_a_part_do_not_outvote_those_of_the_whole() {
    let whole = [card(0.0, &[0, 1, 2, 3, 4, 5], None), card(0.4, &[0, 1, 2, 3, 4, 5], None)];
    // What was learned shows the middle of the card, where four units are.
    let parts = [0.1, 0.8, 1.2].map(|turn| card(turn, &[0, 1, 3, 4], None));
    let enrolled = |n: usize, cutout: &Cutout, is_partial: bool| {
        let picture = Picture { product: "pills".into(), name: format!("{n}.png"), cutout: cutout.clone() };
        Enrolled { is_partial, ..picture.into() }
    };
    let pictures = whole.iter().map(|c| (c, false)).chain(parts.iter().map(|c| (c, true))).enumerate();
    let (gallery, _) = Gallery::new(pictures.map(|(n, (c, part))| enrolled(n, c, part)), GalleryOptions::default());
    let item = gallery.prepare(card(0.0, &[0, 1, 2, 3, 4], None)).unwrap();
    let count = gallery.count_units(&item, "pills").unwrap().unwrap();
    assert_eq!((count.expected, count.seen, count.missing.len()), (6, 5, 1));
    let (width, height) = (item.cutout().color().width(), item.cutout().color().height());
    assert!(count.missing.iter().all(|r| r.x + r.w <= width && r.y + r.h <= height), "{count:?}");
}

/// Dark beads somewhere in a pale bag; beads may touch.
fn bag(places: &[(f32, f32)], label: bool) -> Cutout {
    let (mut mask, mut data) = (Vec::new(), Vec::new());
    for i in 0..300 * 240 {
        let (x, y) = ((i % 300) as f32, (i / 300) as f32);
        mask.push((20.0..280.0).contains(&x) && (20.0..220.0).contains(&y));
        let bead = places.iter().any(|(u, v)| (x - u).hypot(y - v) < 18.0);
        let paper = label && (30.0..110.0).contains(&x) && (130.0..210.0).contains(&y);
        data.extend(match () {
            () if paper => [240, 240, 238],
            () if bead => [30, 60, 150],
            () => [200, 180, 110],
        });
    }
    Cutout::masked(ColorImage::new(300, 240, data).unwrap(), mask).unwrap()
}

#[test]
fn loose_units_are_counted_wherever_they_lie() {
    let a = [(60.0, 60.0), (120.0, 90.0), (200.0, 60.0), (240.0, 150.0), (150.0, 180.0)];
    let b = [(50.0, 180.0), (90.0, 60.0), (150.0, 120.0), (180.0, 50.0), (250.0, 190.0)];
    let c = [(60.0, 100.0), (110.0, 150.0), (170.0, 190.0), (200.0, 110.0), (250.0, 60.0)];
    let units = Units::of(&[bag(&a, false), bag(&b, false), bag(&c, false)]).unwrap();
    assert!(units.are_loose() && units.expected() == Some(5));
    let other = [(80.0, 160.0), (130.0, 60.0), (170.0, 140.0), (220.0, 180.0), (240.0, 80.0)];
    let whole = units.count(&bag(&other, false)).unwrap().unwrap();
    assert_eq!((whole.seen, whole.hidden, whole.missing.len(), whole.score), (5, 0, 0, 0.0));
    let short = units.count(&bag(&other[1..], false)).unwrap().unwrap();
    assert_eq!((short.expected, short.seen, short.missing.len()), (5, 4, 1));
    assert!(short.score > 0.5);
    // Two that touch are two, and what lies under a label is hidden.
    let touching = [(80.0, 160.0), (130.0, 60.0), (165.0, 60.0), (220.0, 180.0), (240.0, 80.0)];
    assert_eq!(units.count(&bag(&touching, false)).unwrap().unwrap().seen, 5);
    let short = units.count(&bag(&touching[1..], false)).unwrap().unwrap();
    assert_eq!((short.seen, short.missing.len()), (4, 1));
    let labelled = units.count(&bag(&other, true)).unwrap().unwrap();
    assert_eq!((labelled.seen, labelled.hidden, labelled.missing.len()), (4, 1, 0));
    // An empty bag says nothing, and a card with places is not loose.
    assert_eq!(units.count(&bag(&[], false)).unwrap(), None);
    assert!(!self::units().are_loose());
}

#[test]
fn pieces_that_touch_on_a_reference_are_counted_there_too() {
    let a = [(60.0, 60.0), (120.0, 90.0), (200.0, 60.0), (240.0, 150.0), (150.0, 180.0)];
    let b = [(50.0, 180.0), (90.0, 60.0), (150.0, 120.0), (180.0, 50.0), (250.0, 190.0)];
    let touching = [(60.0, 100.0), (110.0, 150.0), (145.0, 150.0), (200.0, 110.0), (250.0, 60.0)];
    let units = Units::of(&[bag(&a, false), bag(&b, false), bag(&touching, false)]).unwrap();
    assert!(units.are_loose() && units.expected() == Some(5));
}

#[test]
fn places_that_no_two_views_share_are_texture_unless_three_agree_on_the_number() {
    let a = [(60.0, 60.0), (120.0, 90.0), (200.0, 60.0), (240.0, 150.0), (150.0, 180.0)];
    let b = [(50.0, 180.0), (90.0, 60.0), (150.0, 120.0), (180.0, 50.0), (250.0, 190.0)];
    let units = Units::of(&[bag(&a, false), bag(&b, false)]).unwrap();
    assert_eq!((units.expected(), units.count(&bag(&a[1..], false)).unwrap()), (None, None));
}

/// Beads in a row of three that touch, in the same places of every bag: places stay places where some views show fewer patches.
#[test]
fn a_fixed_layout_whose_units_touch_in_some_views_is_not_loose() {
    let apart = [(60.0, 60.0), (120.0, 90.0), (200.0, 60.0), (240.0, 150.0), (150.0, 180.0)];
    let touching = [(60.0, 60.0), (95.0, 60.0), (200.0, 60.0), (240.0, 150.0), (150.0, 180.0)];
    let other = [(60.0, 60.0), (120.0, 90.0), (200.0, 60.0), (235.0, 60.0), (150.0, 180.0)];
    let views = [bag(&apart, false), bag(&apart, false), bag(&touching, false), bag(&other, false), bag(&touching, true)];
    let units = Units::of(&views).unwrap();
    assert!(!units.are_loose() && units.expected() == Some(5));
    let short = units.count(&bag(&apart[..4], false)).unwrap().unwrap();
    assert!(short.missing.len() == 1 && short.missing[0].w < 100, "a place, not the whole bag: {short:?}");
}
