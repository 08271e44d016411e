//! ROS messages as the plain values of a scene.

use intact_msgs::msg::{CellEvent, Decision, Inspection, ItemInstance, Outcome};
use nalgebra::Isometry3;
use ros_interfaces::geometry_msgs::msg::{Pose, Transform, TransformStamped, Vector3};
use ros_interfaces::sensor_msgs::msg::RegionOfInterest;
use scene::{FrameTransform, ItemBox, Level, Verdict};
use vision::Rect;

/// The boxes of an inspection, each with its score and its most likely damage.
pub(crate) fn boxes(inspection: &Inspection) -> Vec<ItemBox> {
    inspection.instances.iter().map(item_box).collect()
}

fn item_box(item: &ItemInstance) -> ItemBox {
    let worst = item.defects.iter().max_by(|a, b| a.score.total_cmp(&b.score));
    let kind = worst.map(|defect| format!(" {}", defect.r#type)).unwrap_or_default();
    ItemBox {
        instance: item.instance_id,
        region: rect(&item.region),
        damage_score: item.damage_score,
        label: format!("#{} {:.2}{kind}", item.instance_id, item.damage_score),
    }
}

fn rect(region: &RegionOfInterest) -> Rect {
    Rect { x: region.x_offset, y: region.y_offset, w: region.width, h: region.height }
}

/// Frame and pose of the first valid pick.
pub(crate) fn pick_pose(inspection: &Inspection) -> Option<(&str, Isometry3<f64>)> {
    let item = inspection.instances.iter().find(|item| item.pick_pose_valid)?;
    Some((item.pick_pose.header.frame_id.as_str(), isometry_of_pose(&item.pick_pose.pose)?))
}

fn isometry_of_pose(pose: &Pose) -> Option<Isometry3<f64>> {
    let (p, q) = (&pose.position, &pose.orientation);
    let transform = Transform { translation: Vector3 { x: p.x, y: p.y, z: p.z }, rotation: q.clone() };
    vision::pose::transform_from_ros(&transform)
}

/// A transform of `/tf` or `/tf_static`; `None` when it is no pose or names no frames.
pub(crate) fn frame_transform(stamped: &TransformStamped) -> Option<FrameTransform> {
    let name = |frame: &str| frame.trim_start_matches('/').to_owned();
    let (parent, child) = (name(&stamped.header.frame_id), name(&stamped.child_frame_id));
    let parent_from_child = vision::pose::transform_from_ros(&stamped.transform)?;
    (!parent.is_empty() && !child.is_empty() && parent != child).then_some(FrameTransform { parent, child, parent_from_child })
}

/// A decision in the scene's words.
pub(crate) fn verdict(decision: &Decision) -> Verdict {
    let disposition = match decision.disposition {
        Decision::SORT => "SORT",
        Decision::SIDELINE => "SIDELINE",
        Decision::REIMAGE => "REIMAGE",
        _ => "UNKNOWN",
    };
    Verdict {
        item_id: decision.item_id.clone(),
        disposition: disposition.to_owned(),
        lane: decision.lane.clone(),
        reasons: decision.reasons.clone(),
        damage_score: decision.damage_score,
        damage_threshold: decision.damage_threshold,
        damage_rejudged: (!decision.damage_rejudged.is_nan()).then_some(decision.damage_rejudged),
        anomaly_score: decision.anomaly_score,
        anomaly_threshold: decision.anomaly_threshold,
        product: decision.product.clone(),
        model: decision.model.clone(),
        latency_ms: decision.latency_ms,
        timings_ms: decision.timings.iter().map(|timing| (timing.stage.clone(), timing.ms)).collect(),
    }
}

/// A line about what the robot did.
pub(crate) fn outcome_line(outcome: &Outcome) -> (Level, String) {
    let id = &outcome.item_id;
    match outcome.result {
        Outcome::DIVERTED => (Level::Info, format!("{id} lies in {} after {:.1} s", outcome.lane, outcome.duration_s)),
        Outcome::LEFT_FOR_PERSON => (Level::Info, format!("{id} waits for a person {}", outcome.message)),
        _ => (Level::Error, format!("{id} was not moved to {}: {}", outcome.lane, outcome.message)),
    }
}

/// A line about an event that an operator should know of; `None` for the others.
pub(crate) fn event_line(event: &CellEvent) -> Option<String> {
    let what = match event.kind {
        CellEvent::FRAME_DROPPED => "dropped a frame",
        CellEvent::DEADLINE_EXPIRED => "decided at the deadline",
        CellEvent::INPUT_REFUSED => "refused an input",
        _ => return None,
    };
    let item = if event.item_id.is_empty() { String::new() } else { format!(" of {}", event.item_id) };
    Some(format!("{} {what}{item}: {}", event.node, event.detail))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use intact_msgs::msg::DefectScore;

    #[test]
    fn boxes_name_the_worst_damage() {
        let defect = |kind: &str, score| DefectScore { r#type: kind.into(), score, ..DefectScore::default() };
        let item = ItemInstance {
            instance_id: 2,
            damage_score: 0.81,
            defects: vec![defect("spillage", 0.1), defect("deformation", 0.81), defect("penetration", f32::NAN)],
            ..ItemInstance::default()
        };
        // NaN sorts above all numbers: it is shown rather than hidden.
        assert_eq!(item_box(&item).label, "#2 0.81 penetration");
        let clean = ItemInstance { defects: item.defects[..2].to_vec(), ..item };
        assert_eq!(item_box(&clean).label, "#2 0.81 deformation");
    }

    #[test]
    fn poses_that_are_none_are_refused() {
        let mut stamped = TransformStamped { child_frame_id: "tray".into(), ..TransformStamped::default() };
        assert_eq!(frame_transform(&stamped), None, "no parent");
        stamped.header.frame_id = "/cell".into();
        assert_eq!(frame_transform(&stamped).unwrap().parent, "cell");
        stamped.transform.rotation.w = 0.0;
        assert_eq!(frame_transform(&stamped), None, "no rotation");
        stamped.transform.rotation.w = 1.0;
        stamped.transform.translation.x = f64::NAN;
        assert_eq!(frame_transform(&stamped), None, "not a number");
    }
}
