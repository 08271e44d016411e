//! Messages to evidence, verdicts to messages.

use disposition as d;
use intact_msgs::msg::{self, Decision, StageTiming};
use ros_interfaces::{
    builtin_interfaces::msg::Time,
    geometry_msgs::msg::{Point, Pose, PoseStamped, Quaternion},
    std_msgs::msg::Header,
};

pub(crate) fn arrival(m: &msg::ItemArrival) -> d::Arrival {
    d::Arrival {
        item_id: m.item_id.clone(),
        stamp_ns: m.header.stamp.nanos(),
        barcode: m.barcode.clone(),
        candidate_products: m.candidate_products.clone(),
        clutter: m.clutter,
    }
}

pub(crate) fn inspection(m: &msg::Inspection) -> d::Inspection {
    d::Inspection {
        item_id: m.item_id.clone(),
        stamp_ns: m.header.stamp.nanos(),
        frame_id: m.header.frame_id.clone(),
        ok: m.ok,
        error: m.error.clone(),
        instances: m.instances.iter().map(instance).collect(),
        damage_score: m.damage_score,
        damage_threshold: m.damage_threshold,
        model: m.model.clone(),
        timings: timings(&m.timings),
    }
}

fn instance(m: &msg::ItemInstance) -> d::Instance {
    let q = &m.quality;
    d::Instance {
        instance_id: m.instance_id,
        damage_score: m.damage_score,
        quality: d::Quality {
            blurred: q.blurred,
            clipped: q.clipped,
            occluded: q.occluded,
            overexposed: q.overexposed,
            underexposed: q.underexposed,
            depth_missing: q.depth_missing,
            depth_unit_suspect: q.depth_unit_suspect,
            background_missing: q.background_missing,
        },
        pick: m.pick_pose_valid.then(|| pick(&m.pick_pose)),
    }
}

fn pick(m: &PoseStamped) -> d::Pick {
    let (p, q) = (&m.pose.position, &m.pose.orientation);
    d::Pick {
        frame_id: m.header.frame_id.clone(),
        stamp_ns: m.header.stamp.nanos(),
        position_m: [p.x, p.y, p.z],
        orientation_xyzw: [q.x, q.y, q.z, q.w],
    }
}

pub(crate) fn gallery(m: &msg::GalleryReport) -> d::Gallery {
    d::Gallery {
        item_id: m.item_id.clone(),
        stamp_ns: m.header.stamp.nanos(),
        ok: m.ok,
        error: m.error.clone(),
        has_reference: m.has_reference,
        product: m.product.clone(),
        ranking: m.ranking.iter().map(|candidate| candidate.product.clone()).collect(),
        identity_score: m.identity_score,
        anomaly_score: m.anomaly_score,
        coverage: m.coverage,
        damage_rejudged: m.is_rejudged.then_some(m.damage_rejudged),
        model: m.model.clone(),
        design_change: m.design_change,
        version: m.gallery_version.clone(),
        timings: timings(&m.timings),
    }
}

fn timings(m: &[StageTiming]) -> Vec<(String, f32)> {
    m.iter().map(|t| (t.stage.clone(), t.ms)).collect()
}

/// A pose as ROS writes it.
pub(crate) fn pose_stamped(frame_id: &str, stamp: Time, position_m: [f64; 3], [x, y, z, w]: [f64; 4]) -> PoseStamped {
    let [px, py, pz] = position_m;
    PoseStamped {
        header: Header { stamp, frame_id: frame_id.to_owned() },
        pose: Pose { position: Point { x: px, y: py, z: pz }, orientation: Quaternion { x, y, z, w } },
    }
}

/// The message of a decided item.
pub(crate) fn decision(evidence: &d::Evidence, verdict: &d::Verdict, policy: &d::Policy, latency_ms: f32, decision_ms: f32) -> Decision {
    let inspection = evidence.inspection.as_deref();
    let report = evidence.gallery_report();
    let pick = evidence.subject().and_then(|s| s.pick.as_ref()).filter(|p| p.is_sound());
    let stages = inspection.into_iter().flat_map(|i| &i.timings).chain(report.into_iter().flat_map(|r| &r.timings));
    let mut timings: Vec<StageTiming> = stages.map(|(stage, ms)| StageTiming { stage: stage.clone(), ms: *ms }).collect();
    timings.push(StageTiming { stage: "decision".into(), ms: decision_ms });
    Decision {
        header: Header {
            stamp: Time::from_nanos(stamp_ns(evidence)),
            frame_id: inspection.map(|i| i.frame_id.clone()).unwrap_or_default(),
        },
        item_id: evidence.item_id.clone(),
        disposition: match verdict.disposition {
            d::Disposition::Sort => Decision::SORT,
            d::Disposition::Sideline => Decision::SIDELINE,
            d::Disposition::Reimage => Decision::REIMAGE,
        },
        lane: verdict.lane.clone(),
        reasons: verdict.reasons.iter().map(|r| r.as_str().to_owned()).collect(),
        damage_score: evidence.damage_score(),
        damage_threshold: inspection.map_or(f32::NAN, |i| i.damage_threshold),
        damage_rejudged: evidence.damage_rejudged().unwrap_or(f32::NAN),
        anomaly_score: evidence.anomaly_score(),
        anomaly_threshold: policy.anomaly_threshold,
        product: policy.product(evidence).to_owned(),
        model: inspection.map(|i| i.model.clone()).unwrap_or_default(),
        comparison_model: report.filter(|_| evidence.damage_rejudged().is_some()).map(|r| r.model.clone()).unwrap_or_default(),
        gallery_version: report.map(|r| r.version.clone()).unwrap_or_default(),
        latency_ms,
        deadline_expired: evidence.deadline_expired,
        pick_pose: pick.map(pick_message).unwrap_or_default(),
        pick_pose_valid: pick.is_some(),
        timings,
    }
}

fn pick_message(pick: &d::Pick) -> PoseStamped {
    pose_stamped(&pick.frame_id, Time::from_nanos(pick.stamp_ns), pick.position_m, pick.orientation_xyzw)
}

/// ROS time of the judged image, else of the arrival.
pub(crate) fn stamp_ns(evidence: &d::Evidence) -> i64 {
    let of_inspection = evidence.inspection.as_deref().map(|i| i.stamp_ns).filter(|ns| *ns != 0);
    of_inspection.or_else(|| evidence.arrival.as_deref().map(|a| a.stamp_ns)).unwrap_or_default()
}

/// The ledger's row of a decision.
pub(crate) fn ledger_entry(decision: &Decision, verdict: &d::Verdict, run_id: &str, decided_unix_ns: i64) -> d::LedgerEntry {
    let known = |score: f32| (!score.is_nan()).then_some(score);
    d::LedgerEntry {
        run_id: run_id.to_owned(),
        item_id: decision.item_id.clone(),
        stamp_ns: decision.header.stamp.nanos(),
        decided_unix_ns,
        disposition: verdict.disposition,
        lane: decision.lane.clone(),
        reasons: decision.reasons.clone(),
        damage_score: known(decision.damage_score),
        damage_rejudged: known(decision.damage_rejudged),
        damage_threshold: known(decision.damage_threshold),
        anomaly_score: known(decision.anomaly_score),
        anomaly_threshold: known(decision.anomaly_threshold),
        product: decision.product.clone(),
        model: decision.model.clone(),
        comparison_model: decision.comparison_model.clone(),
        gallery_version: decision.gallery_version.clone(),
        deadline_expired: decision.deadline_expired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_messages_constants() {
        let constants = [
            Decision::OK,
            Decision::DUPLICATE_ITEM,
            Decision::LEDGER_FAILED,
            Decision::MULTIPLE_ITEMS,
            Decision::DAMAGE,
            Decision::ANOMALY,
            Decision::IDENTITY_MISMATCH,
            Decision::CONTRADICTORY_INPUT,
            Decision::INSPECTION_FAILED,
            Decision::GALLERY_FAILED,
            Decision::NO_ITEM,
            Decision::LOW_QUALITY,
            Decision::DEADLINE,
            Decision::MISSING_INPUT,
            Decision::UNKNOWN_PRODUCT,
            Decision::NO_REFERENCE,
            Decision::DESIGN_CHANGE,
            Decision::EXPLAINED_AWAY,
            Decision::NO_PICK_POSE,
            Decision::NO_TRANSFORM,
        ];
        assert_eq!(d::Reason::ALL.map(d::Reason::as_str), constants);
    }
}
