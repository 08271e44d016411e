//! What is learned from items that pass by, and what is not, on pictures whose truth is known.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use matching::learning::{Damage, Learner, Lesson, Restored, Rules, Sample, Screened, Shelf, Sighting, Step};
use matching::{Cutout, Gallery, GalleryOptions, Picture};
use rand::{Rng, SeedableRng};
use vision::{ColorImage, Rect};

const SIZE: (u32, u32) = (220, 170);

/// A print of random patches: rich in features, different for every seed.
fn print(seed: u64) -> ColorImage {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut picture = ColorImage::new(SIZE.0, SIZE.1, vec![190; (SIZE.0 * SIZE.1 * 3) as usize]).unwrap();
    for _ in 0..150 {
        let (x, y) = (rng.random_range(0..SIZE.0), rng.random_range(0..SIZE.1));
        let rect = Rect { x, y, w: rng.random_range(5..30), h: rng.random_range(5..30) };
        paint(&mut picture, rect, rng.random());
    }
    picture
}

fn paint(picture: &mut ColorImage, rect: Rect, rgb: [u8; 3]) {
    for y in rect.y..(rect.y + rect.h).min(SIZE.1) {
        for x in rect.x..(rect.x + rect.w).min(SIZE.0) {
            let at = ((y * SIZE.0 + x) * 3) as usize;
            picture.data_mut()[at..at + 3].copy_from_slice(&rgb);
        }
    }
}

/// The print of a new design: a block with a bar in the middle.
fn redesigned(seed: u64) -> ColorImage {
    let mut picture = print(seed);
    paint(&mut picture, Rect { x: 75, y: 55, w: 70, h: 55 }, [200, 40, 60]);
    paint(&mut picture, Rect { x: 85, y: 75, w: 50, h: 14 }, [240, 230, 120]);
    picture
}

/// A corner pushed in: dark folds where print was. The same on every item.
fn crushed(seed: u64) -> ColorImage {
    let mut picture = print(seed);
    for n in 0..46 {
        let shade = if n % 9 < 4 { [40, 35, 30] } else { [120, 95, 70] };
        paint(&mut picture, Rect { x: 0, y: n, w: 58 - n, h: 1 }, shade);
    }
    picture
}

/// How the camera sees it: turned, in its own light, with noise. `dent`: a hollow in the middle whose shade is the lamp's.
fn seen(picture: &ColorImage, turn_rad: f64, noise: u64, dent: bool) -> Cutout {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(noise);
    let (side, sin, cos) = (280i32, turn_rad.sin(), turn_rad.cos());
    let (mut data, mut mask) = (Vec::new(), Vec::new());
    for i in 0..side * side {
        let (x, y) = (f64::from(i % side - side / 2), f64::from(i / side - side / 2));
        let (u, v) = (cos * x + sin * y + f64::from(SIZE.0) / 2.0, -sin * x + cos * y + f64::from(SIZE.1) / 2.0);
        let pixel = if u >= 0.0 && v >= 0.0 { picture.pixel(u as u32, v as u32) } else { None };
        mask.push(pixel.is_some());
        // The lamp stands to the left: the hollow's right side is lit, its left side is dark, however the item lies.
        let deep = (1.0 - (x * x + y * y) / 900.0).max(0.0);
        let shade = if dent && deep > 0.0 { 1.0 + 0.9 * (x / 30.0).clamp(-1.0, 1.0) } else { 1.0 };
        let mut lit = |p: [u8; 3]| -> Vec<u8> {
            let gains = [0.85, 0.8, 0.72];
            p.iter()
                .zip(gains)
                .map(|(v, g)| (f64::from(*v) * g * shade + 6.0 + rng.random_range(-3.0..3.0)).clamp(0.0, 255.0) as u8)
                .collect()
        };
        data.extend(pixel.map_or_else(|| vec![90; 3], &mut lit));
    }
    Cutout::masked(ColorImage::new(side as u32, side as u32, data).unwrap(), mask).unwrap()
}

fn gallery_of(pictures: &[ColorImage]) -> Gallery {
    let pictures = pictures.iter().enumerate().map(|(n, p)| Picture {
        product: "tea".into(),
        name: format!("{n}.png"),
        cutout: Cutout::whole(p.clone()),
    });
    Gallery::new(pictures, GalleryOptions::default()).0
}

fn shelf() -> Shelf {
    Shelf::from([(1, gallery_of(&[print(3)]))])
}

/// A line of items before one learner.
struct Line {
    learner: Learner,
    shelf: Shelf,
    passed: u32,
}

impl Line {
    fn new(rules: Rules) -> Self {
        Self { learner: Learner::new(rules), shelf: shelf(), passed: 0 }
    }

    /// The next item, turned on by 40 degrees.
    fn pass(&mut self, picture: &ColorImage, dent: bool, damage: f32) -> Lesson {
        self.passed += 1;
        let cutout = seen(picture, f64::from(self.passed) * 0.7, u64::from(self.passed), dent);
        let id = format!("item-{}", self.passed);
        self.show(&id, &id, cutout, damage)
    }

    fn show(&mut self, item: &str, capture: &str, cutout: Cutout, damage: f32) -> Lesson {
        let prepared = self.shelf.values().next().unwrap().prepare(cutout).unwrap();
        let damage = Damage { score: damage, threshold: 0.5, model: "", map: &[] };
        let sighting = Sighting { item, capture, identity: 0.95, picture: &prepared, doubt: None, damage };
        self.learner.see("tea", &self.shelf, &sighting).unwrap()
    }
}

fn promoted(lesson: &Lesson) -> Vec<&str> {
    lesson.steps.iter().filter_map(|s| if let Step::Promote { proposal } = s { Some(proposal.as_str()) } else { None }).collect()
}

fn opens(lesson: &Lesson) -> bool {
    lesson.steps.iter().any(|s| matches!(s, Step::OpenDesign { .. }))
}

#[test]
fn a_proposal_waits_for_independent_items() {
    let mut line = Line::new(Rules { sightings: 2, ..Rules::default() });
    let first = line.pass(&print(3), false, 0.03);
    assert!(first.screened.is_none() && matches!(first.steps.as_slice(), [Step::Propose { version: 1, .. }]), "{first:?}");
    // The same item, and the same picture, say nothing new.
    let again = seen(&print(3), 1.9, 9, false);
    for (item, capture) in [("item-1", "another"), ("another", "item-1")] {
        let lesson = line.show(item, capture, again.clone(), 0.03);
        assert!(lesson.steps.is_empty() && lesson.screened == Some(Screened::SeenBefore));
    }
    assert!(promoted(&line.pass(&print(3), false, 0.03)).is_empty(), "one other item is not enough");
    let third = line.pass(&print(3), false, 0.03);
    assert!(promoted(&third).contains(&"item-1"), "two others agree: {third:?}");
}

#[test]
fn an_item_too_doubtful_to_be_learned_may_speak_for_another() {
    let mut line = Line::new(Rules { sightings: 2, ..Rules::default() });
    // What usually comes: half of it below 0.15, three of four below 0.20.
    for n in 0..20u8 {
        let id = format!("before-{n}");
        let prepared = line.shelf[&1].prepare(seen(&print(3), 0.3, u64::from(n), false)).unwrap();
        let damage = Damage { score: 0.06 + 0.01 * f32::from(n), threshold: 0.5, model: "", map: &[] };
        let sighting = Sighting { item: &id, capture: &id, identity: 0.95, picture: &prepared, doubt: Some("not read"), damage };
        assert!(line.learner.see("tea", &line.shelf, &sighting).unwrap().steps.is_empty());
    }
    assert!(line.pass(&print(3), false, 0.03).screened.is_none());
    for damage in [0.24, 0.24, 0.18] {
        let lesson = line.pass(&print(3), false, damage);
        assert!(matches!(lesson.screened, Some(Screened::Damaged(..))) && promoted(&lesson).is_empty(), "{lesson:?}");
    }
    let second = line.pass(&print(3), false, 0.18);
    assert!(matches!(second.screened, Some(Screened::Damaged(..))));
    assert_eq!(promoted(&second), ["item-1"], "two agree that are no more doubtful than most: {second:?}");
    assert!(line.learner.waiting() == 0, "and none of them is proposed");
}

#[test]
fn votes_beyond_what_a_proposal_needs_are_not_counted() {
    let mut line = Line::new(Rules { sightings: 0, max_waiting: 1, ..Rules::default() });
    let agree = |lesson: &Lesson| lesson.steps.iter().any(|s| matches!(s, Step::Agree { .. }));
    line.pass(&print(3), false, 0.03);
    let votes = (0..24).filter(|_| agree(&line.pass(&print(3), false, 0.03))).count();
    assert_eq!(votes, 16, "where only people may confirm, a proposal would grow for ever");
}

#[test]
fn without_a_person_nothing_is_used_when_only_people_may_confirm() {
    let mut line = Line::new(Rules { sightings: 0, ..Rules::default() });
    assert!((0..8).all(|_| promoted(&line.pass(&print(3), false, 0.03)).is_empty()));
    assert!(line.learner.waiting() == 8);
}

#[test]
fn the_same_crushed_corner_is_never_learned_however_often_it_comes() {
    // Perception, at its worst, sees nothing at all.
    let mut line = Line::new(Rules { sightings: 2, ..Rules::default() });
    let mut differ = 0;
    for n in 0..30 {
        let lesson = line.pass(&crushed(3), false, 0.0);
        assert!(promoted(&lesson).is_empty() && !opens(&lesson), "item {n}: {lesson:?}");
        differ += usize::from(matches!(lesson.screened, Some(Screened::Differs(_) | Screened::DiffersInPlace(_))));
        for step in &lesson.steps {
            // What is proposed at all must not hold the corner: the part that was compared fits the pristine print.
            let Step::Propose { cutout, .. } = step else { continue };
            let dark = cutout.color().data().chunks_exact(3).zip(cutout.foreground()).filter(|(p, f)| **f > 0 && p[0] < 45).count();
            assert!(dark < 40, "item {n} is proposed with its crushed corner");
        }
    }
    assert!(differ >= 25, "the corner was seen on {differ} of 30: else this test would show nothing");
}

#[test]
fn the_same_dent_is_no_new_design_since_its_shade_is_the_lamps() {
    let mut line = Line::new(Rules::default());
    let (mut differ, mut looked) = (0, 0);
    for n in 0..30 {
        let lesson = line.pass(&print(3), true, 0.0);
        assert!(promoted(&lesson).is_empty() && !opens(&lesson), "item {n}: {lesson:?}");
        looked += usize::from(lesson.alike > 0);
        differ += usize::from(matches!(lesson.screened, Some(Screened::Differs(_) | Screened::DiffersInPlace(_))));
    }
    assert!(looked >= 10, "the design watch looked at {looked} of 30 dents");
    assert!(differ >= 25, "the dent was seen on {differ} of 30: else this test would show nothing");
}

#[test]
fn damage_that_perception_sees_is_neither_proposed_nor_a_design() {
    let mut line = Line::new(Rules::default());
    for _ in 0..30 {
        let lesson = line.pass(&redesigned(3), false, 0.8);
        assert!(lesson.steps.is_empty() && matches!(lesson.screened, Some(Screened::Damaged(..))), "{lesson:?}");
    }
    let lesson = line.pass(&print(3), false, f32::NAN);
    assert!(matches!(lesson.screened, Some(Screened::Damaged(..))), "an impossible score is no low score");
}

#[test]
fn a_scorer_that_doubts_everything_a_little_keeps_nothing_from_being_learned() {
    let mut line = Line::new(Rules::default());
    let proposed: Vec<bool> = (0..20).map(|_| line.pass(&print(3), false, 0.2).screened.is_none()).collect();
    assert!(!proposed[0] && proposed[12..].iter().any(|p| *p), "what is usual shows only after some items: {proposed:?}");
    let lesson = line.pass(&print(3), false, 0.24);
    assert!(matches!(lesson.screened, Some(Screened::Damaged(..))), "more than usual: {lesson:?}");
    let mut alarmed = Line::new(Rules::default());
    for _ in 0..30 {
        let lesson = alarmed.pass(&print(3), false, 0.3);
        assert!(matches!(lesson.screened, Some(Screened::Damaged(..))), "half of the threshold is too much, however usual: {lesson:?}");
    }
}

#[test]
fn a_new_design_is_raised_within_30_items_and_ordinary_items_raise_none() {
    let mut line = Line::new(Rules::default());
    for n in 0..35 {
        assert!(!opens(&line.pass(&print(3), false, 0.03)), "ordinary item {n}");
    }
    let raised = (1..=30).find(|_| opens(&line.pass(&redesigned(3), false, 0.03)));
    assert!(raised.is_some_and(|n| n <= 30), "{raised:?}");
    assert_eq!(line.learner.open_designs(), [("tea", 2)]);

    // Refused by a person: its examples are known, and it is not asked again.
    let like = line.shelf[&1].clone();
    let example = Sample::new("old", 2, "tea", seen(&redesigned(3), 0.4, 77, false), &like).unwrap();
    line.learner.restore("tea", Restored { refused: vec![example], ..Restored::default() });
    assert!(!line.learner.has_open_design("tea"));
    for n in 0..30 {
        assert!(!opens(&line.pass(&redesigned(3), false, 0.03)), "item {n} after it was refused");
    }
}

#[test]
fn a_new_design_is_used_when_enough_items_show_it_and_the_old_one_fades() {
    let rules = Rules { design_confirmations: 6, retire_after: 10, ..Rules::default() };
    let mut line = Line::new(rules);
    let mut used = None;
    for n in 0..60 {
        let lesson = line.pass(&redesigned(3), false, 0.03);
        used = lesson.steps.iter().any(|s| matches!(s, Step::UseDesign { version: 2, .. })).then_some(n).or(used);
        if used.is_some() {
            break;
        }
    }
    assert!(used.is_some() && !line.learner.has_open_design("tea"));
    line.shelf.insert(2, gallery_of(&[redesigned(3)]));
    // While the old one still comes, it stays.
    for _ in 0..9 {
        line.pass(&redesigned(3), false, 0.03);
        let lesson = line.pass(&print(3), false, 0.03);
        assert!(!lesson.steps.iter().any(|s| matches!(s, Step::RetireDesign { .. })));
    }
    let retired = (0..20).find(|_| {
        let lesson = line.pass(&redesigned(3), false, 0.03);
        lesson.steps.iter().any(|s| matches!(s, Step::RetireDesign { version: 1, .. }))
    });
    assert!(retired.is_some());
}

#[test]
fn a_design_never_gets_the_number_of_one_that_was_before() {
    let mut line = Line::new(Rules::default());
    line.learner.restore("tea", Restored { newest: 4, ..Restored::default() });
    assert!((0..30).any(|_| opens(&line.pass(&redesigned(3), false, 0.03))));
    assert_eq!(line.learner.open_designs(), [("tea", 5)], "pictures of 2, 3 and 4 are still in the store");
}

#[test]
fn a_design_that_has_learned_enough_keeps_no_other_from_learning() {
    let rules = Rules::default();
    let full = || Restored { learned: [(1, rules.max_learned)].into(), newest: 2, ..Restored::default() };
    let mut line = Line::new(rules);
    line.shelf.insert(2, gallery_of(&[redesigned(3)]));
    line.learner.restore("tea", full());
    assert_eq!(line.pass(&print(3), false, 0.03).screened, Some(Screened::Enough));
    let new = line.pass(&redesigned(3), false, 0.03);
    assert!(new.steps.iter().any(|s| matches!(s, Step::Propose { version: 2, .. })), "{new:?}");
}

#[test]
fn what_was_not_compared_is_not_learned() {
    let mut line = Line::new(Rules::default());
    let lesson = line.pass(&print(3), false, 0.03);
    let Some(Step::Propose { cutout, .. }) = lesson.steps.first() else { panic!("{lesson:?}") };
    let whole = seen(&print(3), 0.7, 1, false).area_px();
    assert!(cutout.area_px() < whole, "the rim is never compared");
    assert!(cutout.area_px() > whole / 2);
}
