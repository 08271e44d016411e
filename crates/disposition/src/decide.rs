//! The policy as a table of rules, each of which may raise a doubt.

use crate::{
    evidence::{Evidence, Gallery, GalleryInput, Inspection, Quality},
    policy::{Policy, QualityPolicy},
    verdict::{Disposition, Reason, Verdict},
};

/// A doubt, and the least cautious disposition that it allows.
type Finding = (Reason, Disposition);
type Rule = fn(&Evidence, &Policy) -> Option<Finding>;

const SIDELINE: Disposition = Disposition::Sideline;
/// Scores of one thing by two ways differ by rounding only.
const SAME_SCORE: f32 = 1e-4;

/// Every rule is asked; the most cautious answer wins. A rule never looks at what the others found.
const RULES: &[Rule] = &[
    |e, _| e.duplicate.then_some((Reason::DuplicateItem, SIDELINE)),
    |e, _| e.contradictory.then_some((Reason::ContradictoryInput, SIDELINE)),
    |e, _| e.deadline_expired.then_some((Reason::Deadline, SIDELINE)),
    missing_input,
    inspection_failed,
    item_count,
    impossible_values,
    damage,
    quality,
    gallery_failed,
    reference,
    anomaly,
    coverage,
    identity,
    stamps,
    pick_pose,
    transform,
];

/// Decides one item. Without a single doubt it is sorted; doubt is never `Sort`.
///
/// Reasons come in the order of [`Reason`], those that forced the disposition first; notes that do not hinder sorting
/// (`NO_REFERENCE`, `DESIGN_CHANGE`, `EXPLAINED_AWAY`) follow `OK`.
pub fn decide(evidence: &Evidence, policy: &Policy) -> Verdict {
    let mut findings: Vec<Finding> = RULES.iter().filter_map(|rule| rule(evidence, policy)).collect();
    let disposition = findings.iter().map(|(_, d)| *d).max().unwrap_or(Disposition::Sort);
    if disposition == Disposition::Sort {
        findings.push((Reason::Ok, Disposition::Sort));
    }
    findings.sort_by_key(|(reason, least)| (std::cmp::Reverse(*least), *reason));
    let mut reasons: Vec<Reason> = Vec::with_capacity(findings.len());
    for (reason, _) in findings {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    Verdict { disposition, lane: policy.lane(disposition, policy.product(evidence)).to_owned(), reasons }
}

impl Policy {
    /// The product of an item: what the gallery recognised, else what the barcode says; empty when unknown.
    pub fn product<'a>(&'a self, evidence: &'a Evidence) -> &'a str {
        let recognised = usable_report(evidence).map(|r| r.product.as_str()).filter(|p| !p.is_empty());
        let scanned = || scanned_product(evidence, self);
        recognised.or_else(scanned).unwrap_or_default()
    }
}

fn scanned_product<'a>(e: &'a Evidence, p: &'a Policy) -> Option<&'a str> {
    let ranking = e.gallery_report().map(|r| r.ranking.as_slice()).unwrap_or_default();
    p.product_of_barcode(&e.arrival.as_deref()?.barcode, ranking)
}

fn usable_report(e: &Evidence) -> Option<&Gallery> {
    e.gallery_report().filter(|r| r.ok)
}

fn usable_inspection(e: &Evidence) -> Option<&Inspection> {
    e.inspection.as_deref().filter(|i| i.ok)
}

fn in_unit(value: f32) -> bool {
    (0.0..=1.0).contains(&value) // false for NaN
}

fn missing_input(e: &Evidence, _: &Policy) -> Option<Finding> {
    let missing = e.arrival.is_none() || e.inspection.is_none() || e.gallery == GalleryInput::Missing;
    missing.then_some((Reason::MissingInput, SIDELINE))
}

fn inspection_failed(e: &Evidence, _: &Policy) -> Option<Finding> {
    let failed = e.inspection.as_deref().is_some_and(|i| !i.ok);
    failed.then_some((Reason::InspectionFailed, SIDELINE))
}

fn item_count(e: &Evidence, _: &Policy) -> Option<Finding> {
    let inspection = usable_inspection(e)?;
    match (e.instance_id, inspection.instances.len()) {
        (_, 0) => Some((Reason::NoItem, Disposition::Reimage)),
        (None, 2..) => Some((Reason::MultipleItems, SIDELINE)),
        (Some(_), _) if e.subject().is_none() => Some((Reason::ContradictoryInput, SIDELINE)),
        _ => None,
    }
}

fn impossible_values(e: &Evidence, _: &Policy) -> Option<Finding> {
    let inspection_impossible = usable_inspection(e).is_some_and(|i| {
        let worst = i.instances.iter().map(|x| x.damage_score).fold(0.0_f32, f32::max);
        !in_unit(i.damage_score)
            || !in_unit(i.damage_threshold)
            || !i.instances.iter().all(|x| in_unit(x.damage_score))
            || i.damage_score + SAME_SCORE < worst // the whole cannot be better than its worst part
    });
    let report_impossible = usable_report(e).filter(|r| r.has_reference).is_some_and(|r| {
        let scores = [Some(r.anomaly_score), Some(r.coverage), Some(r.identity_score), r.damage_rejudged];
        scores.into_iter().flatten().any(|score| !in_unit(score))
    });
    let pick_impossible = e.subject().and_then(|i| i.pick.as_ref()).is_some_and(|p| !p.is_sound());
    (inspection_impossible || report_impossible || pick_impossible).then_some((Reason::ContradictoryInput, SIDELINE))
}

/// Beside a pristine reference damage is judged again, with perception's score in hand: where that was done, it decides.
fn damage(e: &Evidence, p: &Policy) -> Option<Finding> {
    let inspection = usable_inspection(e)?;
    let damaged = |score: f32| score > inspection.damage_threshold;
    // One item in the tray: the frame's score counts too, so that a score without a place is not lost.
    let frame = if e.instance_id.is_none() { inspection.damage_score } else { 0.0 };
    let own = e.subject().map_or(0.0, |i| i.damage_score);
    let is_placeless = frame > own + SAME_SCORE && damaged(frame);
    match e.damage_rejudged() {
        Some(score) if damaged(score) => Some((Reason::Damage, SIDELINE)),
        Some(_) if damaged(own) && !is_placeless && p.explain_away && is_known(e, p) => Some((Reason::ExplainedAway, Disposition::Sort)),
        _ => (damaged(frame) || damaged(own)).then_some((Reason::Damage, SIDELINE)),
    }
}

/// Whether the product is certain enough, enough of it was compared, and its reference is no outdated design, for an alarm to be taken back
/// beside it.
fn is_known(e: &Evidence, p: &Policy) -> bool {
    usable_report(e).is_some_and(|r| !r.design_change && r.identity_score >= p.min_identity_score && r.coverage >= p.min_coverage)
}

fn quality(e: &Evidence, p: &Policy) -> Option<Finding> {
    let least = worst_flag(&e.subject()?.quality, &p.quality)?;
    Some((Reason::LowQuality, least))
}

fn worst_flag(q: &Quality, p: &QualityPolicy) -> Option<Disposition> {
    [
        (q.blurred, p.blurred),
        (q.clipped, p.clipped),
        (q.occluded, p.occluded),
        (q.overexposed, p.overexposed),
        (q.underexposed, p.underexposed),
        (q.depth_missing, p.depth_missing),
        (q.depth_unit_suspect, p.depth_unit_suspect),
        (q.background_missing, p.background_missing),
    ]
    .into_iter()
    .filter_map(|(set, least)| (set && least != Disposition::Sort).then_some(least))
    .max()
}

fn gallery_failed(e: &Evidence, _: &Policy) -> Option<Finding> {
    let failed = e.gallery_report().is_some_and(|r| !r.ok);
    failed.then_some((Reason::GalleryFailed, SIDELINE))
}

fn reference(e: &Evidence, p: &Policy) -> Option<Finding> {
    if e.gallery == GalleryInput::NotNeeded {
        // Worth a note only where there was an item that could have been compared.
        return e.subject().is_some().then_some((Reason::NoReference, p.on_no_reference));
    }
    let report = usable_report(e)?;
    if !report.has_reference {
        Some((Reason::NoReference, p.on_no_reference))
    } else if report.product.is_empty() || report.identity_score < p.min_identity_score {
        Some((Reason::UnknownProduct, p.on_unknown_product))
    } else {
        None
    }
}

fn anomaly(e: &Evidence, p: &Policy) -> Option<Finding> {
    let report = usable_report(e).filter(|r| r.has_reference)?;
    // While a new design is suspected, differing from the old one says nothing of damage: perception decides.
    let finding = if report.design_change { (Reason::DesignChange, Disposition::Sort) } else { (Reason::Anomaly, SIDELINE) };
    (report.anomaly_score > p.anomaly_threshold).then_some(finding)
}

fn coverage(e: &Evidence, p: &Policy) -> Option<Finding> {
    let report = usable_report(e).filter(|r| r.has_reference && !r.product.is_empty())?;
    (report.coverage < p.min_coverage).then_some((Reason::LowQuality, Disposition::Reimage))
}

fn identity(e: &Evidence, p: &Policy) -> Option<Finding> {
    let arrival = e.arrival.as_deref()?;
    let scanned = scanned_product(e, p);
    let on_manifest = |product: &str| arrival.candidate_products.is_empty() || arrival.candidate_products.iter().any(|c| c == product);
    let recognised = usable_report(e).map(|r| r.product.as_str()).filter(|product| !product.is_empty());
    let mismatch = recognised.is_some_and(|seen| !on_manifest(seen) || scanned.is_some_and(|s| s != seen));
    mismatch.then_some((Reason::IdentityMismatch, SIDELINE))
}

fn stamps(e: &Evidence, p: &Policy) -> Option<Finding> {
    let inspection = usable_inspection(e)?.stamp_ns;
    let others = [e.arrival.as_deref().map(|a| a.stamp_ns), usable_report(e).map(|r| r.stamp_ns)];
    let apart = |a: i64, b: i64| a != 0 && b != 0 && a.abs_diff(b) > p.max_stamp_gap_ns.unsigned_abs();
    let far = others.into_iter().flatten().any(|other| apart(other, inspection));
    far.then_some((Reason::ContradictoryInput, SIDELINE))
}

fn pick_pose(e: &Evidence, _: &Policy) -> Option<Finding> {
    let subject = e.subject()?;
    // Without depth there is no pick point, and a new picture may bring both.
    let least = if subject.quality.depth_missing { Disposition::Reimage } else { SIDELINE };
    subject.pick.is_none().then_some((Reason::NoPickPose, least))
}

fn transform(e: &Evidence, _: &Policy) -> Option<Finding> {
    e.subject()?.pick.as_ref()?;
    e.transform_missing.then_some((Reason::NoTransform, SIDELINE))
}
