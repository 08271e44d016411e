//! The policy: a table of cases, and the laws that hold for every input.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use common::{arrival, evidence, gallery, inspection, pick};
use disposition::{Disposition, Evidence, GalleryInput, Instance, Policy, Quality, QualityPolicy, Reason, decide};
use proptest::prelude::*;

type Change = fn(&mut Evidence);

fn with(change: Change) -> Evidence {
    let mut e = evidence();
    change(&mut e);
    e
}

fn edit_inspection(e: &mut Evidence, change: impl Fn(&mut disposition::Inspection)) {
    change(Arc::make_mut(e.inspection.as_mut().unwrap()));
}

fn edit_gallery(e: &mut Evidence, change: impl Fn(&mut disposition::Gallery)) {
    if let GalleryInput::Report(report) = &mut e.gallery {
        change(Arc::make_mut(report));
    }
}

fn perceived(e: &mut Evidence, score: f32) {
    edit_inspection(e, |i| (i.instances[0].damage_score, i.damage_score) = (score, score));
}

fn edit_arrival(e: &mut Evidence, change: impl Fn(&mut disposition::Arrival)) {
    change(Arc::make_mut(e.arrival.as_mut().unwrap()));
}

fn flag(e: &mut Evidence, set: impl Fn(&mut Quality)) {
    edit_inspection(e, |i| set(&mut i.instances[0].quality));
}

#[test]
fn each_doubt_has_its_disposition_and_reason() {
    let cases: &[(&str, Change, &str, &[&str])] = &[
        ("all is well", |_| {}, "SORT", &["OK"]),
        (
            "damaged",
            |e| {
                edit_inspection(e, |i| {
                    i.instances[0].damage_score = 0.9;
                    i.damage_score = 0.9
                })
            },
            "SIDELINE",
            &["DAMAGE"],
        ),
        ("damaged somewhere in the frame", |e| edit_inspection(e, |i| i.damage_score = 0.9), "SIDELINE", &["DAMAGE"]),
        ("differs from the reference", |e| edit_gallery(e, |g| g.anomaly_score = 0.8), "SIDELINE", &["ANOMALY"]),
        (
            "differs, while a new design is suspected",
            |e| edit_gallery(e, |g| (g.anomaly_score, g.design_change) = (0.8, true)),
            "SORT",
            &["OK", "DESIGN_CHANGE"],
        ),
        ("does not differ, while a new design is suspected", |e| edit_gallery(e, |g| g.design_change = true), "SORT", &["OK"]),
        (
            "differs and is damaged, while a new design is suspected",
            |e| {
                edit_gallery(e, |g| (g.anomaly_score, g.design_change) = (0.8, true));
                edit_inspection(e, |i| i.damage_score = 0.9)
            },
            "SIDELINE",
            &["DAMAGE", "DESIGN_CHANGE"],
        ),
        ("damage is confirmed beside the reference", |e| edit_gallery(e, |g| g.damage_rejudged = Some(0.9)), "SIDELINE", &["DAMAGE"]),
        (
            "damage is none beside the reference",
            |e| {
                edit_gallery(e, |g| g.damage_rejudged = Some(0.1));
                perceived(e, 0.9)
            },
            "SORT",
            &["OK", "EXPLAINED_AWAY"],
        ),
        (
            "damage is none beside a reference of an unknown product",
            |e| {
                edit_gallery(e, |g| {
                    g.damage_rejudged = Some(0.1);
                    g.product.clear()
                });
                perceived(e, 0.9)
            },
            "SIDELINE",
            &["DAMAGE", "UNKNOWN_PRODUCT"],
        ),
        (
            "damage is none beside a reference that a new design may replace",
            |e| {
                edit_gallery(e, |g| (g.damage_rejudged, g.design_change) = (Some(0.1), true));
                perceived(e, 0.9)
            },
            "SIDELINE",
            &["DAMAGE"],
        ),
        (
            "damage somewhere else in the frame is not the item's to explain",
            |e| {
                edit_gallery(e, |g| g.damage_rejudged = Some(0.1));
                edit_inspection(e, |i| i.damage_score = 0.9)
            },
            "SIDELINE",
            &["DAMAGE"],
        ),
        (
            "impossible second judgement",
            |e| edit_gallery(e, |g| g.damage_rejudged = Some(1.5)),
            "SIDELINE",
            &["DAMAGE", "CONTRADICTORY_INPUT"],
        ),
        (
            "no reference",
            |e| {
                edit_gallery(e, |g| {
                    g.has_reference = false;
                    g.product.clear();
                    g.anomaly_score = f32::NAN
                })
            },
            "SORT",
            &["OK", "NO_REFERENCE"],
        ),
        ("no gallery in the cell", |e| e.gallery = GalleryInput::NotNeeded, "SORT", &["OK", "NO_REFERENCE"]),
        ("product unknown among references", |e| edit_gallery(e, |g| g.product.clear()), "SIDELINE", &["UNKNOWN_PRODUCT"]),
        ("barcode says another product", |e| edit_arrival(e, |a| a.barcode = "teapot".into()), "SIDELINE", &["IDENTITY_MISMATCH"]),
        ("barcode agrees", |e| edit_arrival(e, |a| a.barcode = "cup".into()), "SORT", &["OK"]),
        (
            "nothing of the item could be compared",
            |e| edit_gallery(e, |g| (g.coverage, g.anomaly_score) = (0.0, 0.0)),
            "REIMAGE",
            &["LOW_QUALITY"],
        ),
        ("unlisted digits say nothing", |e| edit_arrival(e, |a| a.barcode = "5012345".into()), "SORT", &["OK"]),
        (
            "digits that are another product's name",
            |e| {
                edit_arrival(e, |a| a.barcode = "007".into());
                edit_gallery(e, |g| g.ranking = vec!["cup".into(), "007".into()])
            },
            "SIDELINE",
            &["IDENTITY_MISMATCH"],
        ),
        ("listed barcode agrees", |e| edit_arrival(e, |a| a.barcode = "4006381".into()), "SORT", &["OK"]),
        ("not on the manifest", |e| edit_arrival(e, |a| a.candidate_products = vec!["teapot".into()]), "SIDELINE", &["IDENTITY_MISMATCH"]),
        ("empty tray", |e| edit_inspection(e, |i| i.instances.clear()), "REIMAGE", &["NO_ITEM"]),
        ("two items", |e| edit_inspection(e, |i| i.instances.push(i.instances[0].clone())), "SIDELINE", &["MULTIPLE_ITEMS"]),
        ("blurred", |e| flag(e, |q| q.blurred = true), "REIMAGE", &["LOW_QUALITY"]),
        ("clipped", |e| flag(e, |q| q.clipped = true), "REIMAGE", &["LOW_QUALITY"]),
        ("occluded", |e| flag(e, |q| q.occluded = true), "REIMAGE", &["LOW_QUALITY"]),
        ("overexposed", |e| flag(e, |q| q.overexposed = true), "REIMAGE", &["LOW_QUALITY"]),
        ("underexposed", |e| flag(e, |q| q.underexposed = true), "REIMAGE", &["LOW_QUALITY"]),
        ("depth in another unit", |e| flag(e, |q| q.depth_unit_suspect = true), "SIDELINE", &["LOW_QUALITY"]),
        ("no background", |e| flag(e, |q| q.background_missing = true), "SORT", &["OK"]),
        (
            "colour without depth",
            |e| {
                flag(e, |q| q.depth_missing = true);
                edit_inspection(e, |i| i.instances[0].pick = None)
            },
            "REIMAGE",
            &["LOW_QUALITY", "NO_PICK_POSE"],
        ),
        (
            "blurred and damaged",
            |e| {
                flag(e, |q| q.blurred = true);
                edit_inspection(e, |i| i.damage_score = 0.9)
            },
            "SIDELINE",
            &["DAMAGE", "LOW_QUALITY"],
        ),
        ("nowhere to pick", |e| edit_inspection(e, |i| i.instances[0].pick = None), "SIDELINE", &["NO_PICK_POSE"]),
        (
            "pick pose of NaN",
            |e| edit_inspection(e, |i| i.instances[0].pick.as_mut().unwrap().position_m[2] = f64::NAN),
            "SIDELINE",
            &["CONTRADICTORY_INPUT"],
        ),
        (
            "quaternion of zeros",
            |e| edit_inspection(e, |i| i.instances[0].pick.as_mut().unwrap().orientation_xyzw = [0.0; 4]),
            "SIDELINE",
            &["CONTRADICTORY_INPUT"],
        ),
        ("frame not in the tree", |e| e.transform_missing = true, "SIDELINE", &["NO_TRANSFORM"]),
        ("perception failed", |e| edit_inspection(e, |i| i.ok = false), "SIDELINE", &["INSPECTION_FAILED"]),
        (
            "perception silent",
            |e| {
                e.inspection = None;
                e.deadline_expired = true
            },
            "SIDELINE",
            &["DEADLINE", "MISSING_INPUT"],
        ),
        ("gallery failed", |e| edit_gallery(e, |g| g.ok = false), "SIDELINE", &["GALLERY_FAILED"]),
        (
            "gallery silent",
            |e| {
                e.gallery = GalleryInput::Missing;
                e.deadline_expired = true
            },
            "SIDELINE",
            &["DEADLINE", "MISSING_INPUT"],
        ),
        ("too late", |e| e.deadline_expired = true, "SIDELINE", &["DEADLINE"]),
        ("never announced", |e| e.arrival = None, "SIDELINE", &["MISSING_INPUT"]),
        ("id seen twice", |e| e.duplicate = true, "SIDELINE", &["DUPLICATE_ITEM"]),
        ("two different reports", |e| e.contradictory = true, "SIDELINE", &["CONTRADICTORY_INPUT"]),
        ("score of NaN", |e| edit_inspection(e, |i| i.damage_score = f32::NAN), "SIDELINE", &["CONTRADICTORY_INPUT"]),
        ("instance score of NaN", |e| edit_inspection(e, |i| i.instances[0].damage_score = f32::NAN), "SIDELINE", &["CONTRADICTORY_INPUT"]),
        ("threshold of NaN", |e| edit_inspection(e, |i| i.damage_threshold = f32::NAN), "SIDELINE", &["CONTRADICTORY_INPUT"]),
        (
            "frame better than its item",
            |e| {
                edit_inspection(e, |i| {
                    i.damage_score = 0.0;
                    i.instances[0].damage_score = 0.4
                })
            },
            "SIDELINE",
            &["CONTRADICTORY_INPUT"],
        ),
        ("anomaly of NaN", |e| edit_gallery(e, |g| g.anomaly_score = f32::NAN), "SIDELINE", &["CONTRADICTORY_INPUT"]),
        ("report of another time", |e| edit_gallery(e, |g| g.stamp_ns += 60_000_000_000), "SIDELINE", &["CONTRADICTORY_INPUT"]),
        ("frame of another time", |e| edit_arrival(e, |a| a.stamp_ns = 1), "SIDELINE", &["CONTRADICTORY_INPUT"]),
    ];
    let policy = policy();
    for (name, change, disposition, reasons) in cases {
        let verdict = decide(&with(*change), &policy);
        let got: Vec<&str> = verdict.reasons.iter().map(|r| r.as_str()).collect();
        assert_eq!((verdict.disposition.as_str(), got.as_slice()), (*disposition, *reasons), "{name}");
    }
}

/// Stricter than the default, so that every doubt shows.
fn policy() -> Policy {
    Policy {
        anomaly_threshold: 0.5,
        min_coverage: 0.05,
        on_unknown_product: Disposition::Sideline,
        barcodes: Policy::pairs("barcodes", &["4006381=cup".into()]).unwrap(),
        lanes: Policy::pairs("lanes", &["cup=sort_b".into()]).unwrap(),
        ..Policy::default()
    }
    .check()
    .unwrap()
}

#[test]
fn lanes_follow_product_and_disposition() {
    let policy = policy();
    assert_eq!(decide(&evidence(), &policy).lane, "sort_b");
    assert_eq!(decide(&with(|e| edit_gallery(e, |g| g.product = "box".into())), &policy).lane, "sort_a");
    assert_eq!(decide(&with(|e| e.duplicate = true), &policy).lane, "sideline");
    assert_eq!(decide(&with(|e| flag(e, |q| q.blurred = true)), &policy).lane, "reimage");
    let scanned_only = with(|e| {
        e.gallery = GalleryInput::NotNeeded;
        edit_arrival(e, |a| a.barcode = "4006381".into());
    });
    assert_eq!((policy.product(&scanned_only), decide(&scanned_only, &policy).lane.as_str()), ("cup", "sort_b"));
}

#[test]
fn a_site_may_be_stricter_or_laxer() {
    let no_reference: Change = |e| edit_gallery(e, |g| g.has_reference = false);
    let strict = Policy { on_no_reference: Disposition::Sideline, ..Policy::default() };
    assert_eq!(decide(&with(no_reference), &strict).disposition, Disposition::Sideline);
    let lax = Policy { on_unknown_product: Disposition::Sort, ..Policy::default() };
    let unknown = decide(&with(|e| edit_gallery(e, |g| g.product.clear())), &lax);
    assert_eq!((unknown.disposition, unknown.reasons.as_slice()), (Disposition::Sort, [Reason::Ok, Reason::UnknownProduct].as_slice()));
    let covered = Policy { min_coverage: 0.95, ..Policy::default() };
    assert_eq!(decide(&evidence(), &covered).disposition, Disposition::Reimage);
    let sure = Policy { min_identity_score: 0.95, on_unknown_product: Disposition::Sideline, ..Policy::default() };
    assert_eq!(decide(&evidence(), &sure).reasons, [Reason::UnknownProduct]);
}

#[test]
fn bad_policies_are_refused() {
    assert!(Policy { anomaly_threshold: f32::NAN, ..Policy::default() }.check().is_err());
    assert!(Policy { min_coverage: 1.5, ..Policy::default() }.check().is_err());
    assert!(Policy { default_lane: String::new(), ..Policy::default() }.check().is_err());
    for wrong in [&["cup"][..], &["=a"], &["cup=a", "cup=b"]] {
        let entries: Vec<String> = wrong.iter().map(|s| (*s).to_owned()).collect();
        assert!(Policy::pairs("lanes", &entries).is_err(), "{wrong:?}");
    }
    assert!(Policy::pairs("lanes", &[String::new()]).unwrap().is_empty()); // ROS has no empty string array
}

fn any_score() -> impl Strategy<Value = f32> {
    prop_oneof![8 => 0.0_f32..=1.0, 1 => Just(f32::NAN), 1 => -2.0_f32..2.0, 1 => Just(f32::INFINITY)]
}

prop_compose! {
    fn any_instance()(
        instance_id in 0_u16..4, damage_score in any_score(), has_pick in prop::bool::weighted(0.8),
        z in prop_oneof![8 => Just(1.0), 1 => Just(f64::NAN)], flags in prop::array::uniform8(prop::bool::weighted(0.1)),
    ) -> Instance {
        let [blurred, clipped, occluded, overexposed, underexposed, depth_missing, depth_unit_suspect, background_missing] = flags;
        let quality = Quality { blurred, clipped, occluded, overexposed, underexposed, depth_missing, depth_unit_suspect, background_missing };
        let mut pick = pick();
        pick.position_m[2] = z;
        Instance { instance_id, damage_score, quality, pick: has_pick.then_some(pick) }
    }
}

prop_compose! {
    fn any_evidence()(
        has in prop::array::uniform2(prop::bool::weighted(0.9)), ok in prop::array::uniform2(prop::bool::weighted(0.9)),
        instances in prop::collection::vec(any_instance(), 0..3), frame in any_score(), threshold in any_score(),
        instance_id in prop::option::weighted(0.2, 0_u16..4), gallery_kind in 0..6, has_reference in any::<bool>(),
        anomaly in any_score(), design_change in prop::bool::weighted(0.3), product in prop::sample::select(vec!["", "cup", "box"]),
        barcode in prop::sample::select(vec!["", "cup", "box"]), again in prop::option::weighted(0.5, any_score()),
        doubts in prop::array::uniform4(prop::bool::weighted(0.1)),
    ) -> Evidence {
        let mut a = arrival("i");
        a.barcode = barcode.into();
        let mut i = inspection("i");
        let worst = instances.iter().map(|x| x.damage_score).fold(0.0, f32::max);
        (i.ok, i.instances, i.damage_score, i.damage_threshold) = (ok[0], instances, frame.max(worst), threshold);
        let mut g = gallery("i");
        (g.ok, g.has_reference, g.anomaly_score, g.product) = (ok[1], has_reference, anomaly, product.into());
        (g.design_change, g.damage_rejudged) = (design_change, again);
        Evidence {
            item_id: "i".into(),
            arrival: has[0].then(|| Arc::new(a)),
            inspection: has[1].then(|| Arc::new(i)),
            instance_id,
            gallery: match gallery_kind { 0 => GalleryInput::Missing, 1 => GalleryInput::NotNeeded, _ => GalleryInput::Report(Arc::new(g)) },
            deadline_expired: doubts[0], duplicate: doubts[1], contradictory: doubts[2], transform_missing: doubts[3],
        }
    }
}

fn any_reaction() -> impl Strategy<Value = Disposition> {
    prop::sample::select(vec![Disposition::Sort, Disposition::Reimage, Disposition::Sideline])
}

prop_compose! {
    fn any_site()(
        anomaly_threshold in 0.0_f32..=1.0, min_coverage in prop_oneof![Just(0.0), 0.0_f32..=1.0],
        min_identity_score in prop_oneof![Just(0.0), 0.0_f32..=1.0], on_unknown_product in any_reaction(), on_no_reference in any_reaction(),
        explain_away in any::<bool>(), on in prop::array::uniform8(any_reaction()),
    ) -> Policy {
        let [blurred, clipped, occluded, overexposed, underexposed, depth_missing, depth_unit_suspect, background_missing] = on;
        let quality =
            QualityPolicy { blurred, clipped, occluded, overexposed, underexposed, depth_missing, depth_unit_suspect, background_missing };
        Policy {
            anomaly_threshold, explain_away, min_coverage, min_identity_score, on_unknown_product, on_no_reference, quality,
            ..Policy::default()
        }
    }
}

/// What ships, and what sites make of it.
fn any_policy() -> impl Strategy<Value = Policy> {
    prop_oneof![1 => Just(Policy::default()), 3 => any_site()]
}

/// What sorting takes, written down a second time and the other way round: as requirements, not as doubts.
fn may_be_sorted(e: &Evidence, p: &Policy) -> bool {
    let unit = |v: f32| (0.0..=1.0).contains(&v);
    let (Some(a), Some(i)) = (&e.arrival, &e.inspection) else { return false };
    let subject = match e.instance_id {
        None if i.instances.len() == 1 => &i.instances[0],
        None => return false,
        Some(k) => match i.instances.iter().find(|x| x.instance_id == k) {
            Some(x) => x,
            None => return false,
        },
    };
    let (q, on) = (subject.quality, p.quality);
    let may = |reaction: Disposition| reaction == Disposition::Sort;
    let gallery_agrees = match &e.gallery {
        GalleryInput::Missing => false,
        GalleryInput::NotNeeded => may(p.on_no_reference),
        GalleryInput::Report(g) => {
            let identity = g.product.is_empty() || a.barcode.is_empty() || a.barcode == g.product;
            let known = !g.product.is_empty() && g.identity_score >= p.min_identity_score;
            let fits = unit(g.anomaly_score) && (g.design_change || g.anomaly_score <= p.anomaly_threshold);
            let covered = g.product.is_empty() || g.coverage >= p.min_coverage;
            let compared = if g.has_reference { (known || may(p.on_unknown_product)) && fits && covered } else { may(p.on_no_reference) };
            g.ok && identity && compared
        }
    };
    let flags = [
        (q.blurred, on.blurred),
        (q.clipped, on.clipped),
        (q.occluded, on.occluded),
        (q.overexposed, on.overexposed),
        (q.underexposed, on.underexposed),
        (q.depth_missing, on.depth_missing),
        (q.depth_unit_suspect, on.depth_unit_suspect),
        (q.background_missing, on.background_missing),
    ];
    let report = match &e.gallery {
        GalleryInput::Report(g) => Some(g),
        _ => None,
    };
    let beside = report.filter(|g| g.has_reference && !g.product.is_empty() && g.coverage > 0.0);
    let again = beside.and_then(|g| g.damage_rejudged);
    let own_is_whole = subject.damage_score <= i.damage_threshold;
    let frame_is_whole = e.instance_id.is_some() || i.damage_score <= i.damage_threshold;
    // An alarm may be taken back: the item's own, beside the reference of a certain product in its present design.
    let is_placed = e.instance_id.is_some() || i.damage_score <= subject.damage_score + 1e-4 || frame_is_whole;
    let certain = |g: &disposition::Gallery| g.identity_score >= p.min_identity_score && g.coverage >= p.min_coverage && !g.design_change;
    let taken_back = again.is_some() && is_placed && p.explain_away && beside.is_some_and(|g| certain(g));
    let is_whole =
        again.is_none_or(|score| score <= i.damage_threshold) && ((own_is_whole && frame_is_whole) || (!own_is_whole && taken_back));
    i.ok && gallery_agrees
        && report.is_none_or(|g| !g.has_reference || g.damage_rejudged.is_none_or(unit))
        && unit(i.damage_score)
        && unit(i.damage_threshold)
        && i.instances.iter().all(|x| unit(x.damage_score))
        && is_whole
        && flags.iter().all(|(set, reaction)| !set || may(*reaction))
        && subject.pick.as_ref().is_some_and(|p| p.is_sound())
        && !(e.deadline_expired || e.duplicate || e.contradictory || e.transform_missing)
}

/// Raises every score by `by`, the frame's with its items', so that the evidence stays consistent.
fn raised(e: &Evidence, by: f32) -> Evidence {
    let raise = |score: f32| if (0.0..=1.0).contains(&score) { (score + by).min(1.0) } else { score };
    let mut e = e.clone();
    if e.inspection.is_some() {
        edit_inspection(&mut e, |i| {
            i.damage_score = raise(i.damage_score);
            i.instances.iter_mut().for_each(|x| x.damage_score = raise(x.damage_score));
        });
    }
    edit_gallery(&mut e, |g| (g.anomaly_score, g.damage_rejudged) = (raise(g.anomaly_score), g.damage_rejudged.map(raise)));
    e
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn doubt_is_never_sorted_and_nothing_else_is_held_back(e in any_evidence(), policy in any_policy()) {
        let verdict = decide(&e, &policy);
        prop_assert_eq!(verdict.disposition == Disposition::Sort, may_be_sorted(&e, &policy), "{:?}", verdict);
        prop_assert!(!verdict.reasons.is_empty() && !verdict.lane.is_empty());
        prop_assert_eq!(verdict.reasons.contains(&Reason::Ok), verdict.disposition == Disposition::Sort);
    }

    #[test]
    fn a_higher_score_is_never_sorted_when_a_lower_one_was_not(e in any_evidence(), policy in any_policy(), by in 0.0_f32..1.0) {
        let (low, high) = (decide(&e, &policy), decide(&raised(&e, by), &policy));
        prop_assert!(high.disposition >= low.disposition, "{:?} became {:?}", low, high);
    }

    #[test]
    fn a_higher_threshold_never_makes_more_alarms(e in any_evidence(), policy in any_policy(), low in 0.0_f32..1.0, by in 0.0_f32..1.0) {
        let at = |anomaly_threshold: f32| Policy { anomaly_threshold, ..policy.clone() };
        let (strict, lax) = (decide(&e, &at(low)), decide(&e, &at((low + by).min(1.0))));
        prop_assert!(lax.disposition <= strict.disposition);
    }
}
