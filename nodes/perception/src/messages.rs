//! Inspections as ROS messages.

use inspection::{InspectedItem, PickPoint};
use intact_msgs::msg::{DefectScore, Inspection, ItemArrival, ItemInstance, QualityFlags, StageTiming};
use nalgebra::{Rotation3, UnitQuaternion, Vector3};
use ros_interfaces::geometry_msgs::msg::{Point, Pose, PoseStamped, Quaternion};
use ros_interfaces::sensor_msgs::msg::RegionOfInterest;
use ros_interfaces::std_msgs::msg::Header;
use ros_interfaces::vision_msgs::msg::{
    BoundingBox2D, Detection2D, Detection2DArray, ObjectHypothesis, ObjectHypothesisWithPose, Point2D, Pose2D,
};
use vision::Rect;
use vision::ros::{heatmap_to_ros, mask_to_ros};

/// The message of one inspection. `header` is the judged colour image's.
pub(crate) fn inspection_message(
    found: &inspection::Inspection,
    arrival: &ItemArrival,
    camera: &str,
    header: &Header,
    timings: Vec<StageTiming>,
) -> Inspection {
    Inspection {
        header: header.clone(),
        item_id: arrival.item_id.clone(),
        camera: camera.to_owned(),
        ok: true,
        error: String::new(),
        instances: found.items.iter().map(|item| instance_message(item, header)).collect(),
        damage_score: found.damage_score,
        damage_threshold: found.damage_threshold,
        model: found.model.clone(),
        engine: found.engine.to_owned(),
        mask: mask_to_ros(&found.mask, header.clone()),
        heatmap: heatmap_to_ros(&found.heatmap, header.clone()),
        frame_stamps: vec![header.stamp.clone()],
        timings,
    }
}

/// The message of an inspection that failed.
pub(crate) fn failed_message(arrival: &ItemArrival, error: &str, threshold: f32) -> Inspection {
    Inspection {
        header: arrival.header.clone(),
        item_id: arrival.item_id.clone(),
        ok: false,
        error: error.to_owned(),
        damage_threshold: threshold,
        ..Inspection::default()
    }
}

fn instance_message(item: &InspectedItem, header: &Header) -> ItemInstance {
    let q = &item.quality;
    let [x, y, z] = item.size_m.map(f64::from);
    ItemInstance {
        instance_id: item.id,
        region: region(item.bbox),
        area_px: item.area_px,
        damage_score: item.damage_score,
        defects: item
            .defects
            .iter()
            .map(|d| DefectScore {
                r#type: d.kind.name().to_owned(),
                score: d.score,
                severity: match d.severity {
                    inspection::Severity::None => DefectScore::SEVERITY_NONE,
                    inspection::Severity::Minor => DefectScore::SEVERITY_MINOR,
                    inspection::Severity::Major => DefectScore::SEVERITY_MAJOR,
                },
                region: d.bbox.map(region).unwrap_or_default(),
            })
            .collect(),
        quality: QualityFlags {
            blurred: q.blurred,
            clipped: q.clipped,
            overexposed: q.overexposed,
            underexposed: q.underexposed,
            depth_missing: q.depth_missing,
            depth_unit_suspect: q.depth_unit_suspect,
            background_missing: q.background_missing,
            depth_valid_fraction: q.depth_valid_fraction,
            sharpness: q.sharpness,
        },
        pick_pose: item.pick.as_ref().map(|p| PoseStamped { header: header.clone(), pose: pick_pose(p) }).unwrap_or_default(),
        pick_pose_valid: item.pick.is_some(),
        size_m: ros_interfaces::geometry_msgs::msg::Vector3 { x, y, z },
    }
}

fn region(r: Rect) -> RegionOfInterest {
    RegionOfInterest { x_offset: r.x, y_offset: r.y, width: r.w, height: r.h, do_rectify: false }
}

/// Position of the point; z along the normal, turned the shortest way.
fn pick_pose(pick: &PickPoint) -> Pose {
    let [x, y, z] = pick.point_m.map(f64::from);
    let normal = Vector3::from(pick.normal.map(f64::from));
    let turn = Rotation3::rotation_between(&Vector3::z(), &normal)
        // Exactly opposite: half a turn about any axis across.
        .unwrap_or_else(|| Rotation3::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI));
    let q = UnitQuaternion::from_rotation_matrix(&turn);
    Pose { position: Point { x, y, z }, orientation: Quaternion { x: q.i, y: q.j, z: q.k, w: q.w } }
}

/// The same items for tools that know `vision_msgs`: one detection an item, damage as its hypothesis' score.
pub(crate) fn detections_message(inspection: &Inspection) -> Detection2DArray {
    let detections = inspection
        .instances
        .iter()
        .map(|item| {
            let r = &item.region;
            let (w, h) = (f64::from(r.width), f64::from(r.height));
            let position = Point2D { x: f64::from(r.x_offset) + w / 2.0, y: f64::from(r.y_offset) + h / 2.0 };
            let hypothesis = ObjectHypothesis { class_id: "damaged".to_owned(), score: f64::from(item.damage_score) };
            Detection2D {
                header: inspection.header.clone(),
                results: vec![ObjectHypothesisWithPose { hypothesis, ..ObjectHypothesisWithPose::default() }],
                bbox: BoundingBox2D { center: Pose2D { position, theta: 0.0 }, size_x: w, size_y: h },
                id: format!("{}#{}", inspection.item_id, item.instance_id),
            }
        })
        .collect();
    Detection2DArray { header: inspection.header.clone(), detections }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pick_pose_points_its_z_along_the_normal() {
        for normal in [[0.0, 0.0, -1.0], [0.0, 0.6, -0.8], [0.0, 0.0, 1.0]] {
            let pose = pick_pose(&PickPoint { point_m: [0.1, 0.2, 0.9], normal });
            let o = &pose.orientation;
            let q = UnitQuaternion::from_quaternion(nalgebra::Quaternion::new(o.w, o.x, o.y, o.z));
            let z = q * Vector3::z();
            assert!((z - Vector3::from(normal.map(f64::from))).norm() < 1e-6, "{normal:?}: {z:?}");
        }
    }
}
