//! From the views of an item to its inspection. Messages in, messages out; the clock only times the stages.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use inspection::{Defect, EmbeddingNet, EmptyTray, InspectedItem, Inspection as Seen, Inspector, PickPoint, Severity};
use intact_msgs::msg::{DefectScore, Inspection, ItemInstance, QualityFlags, StageTiming};
use nalgebra::{UnitQuaternion, Vector3};
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::geometry_msgs::msg::{PoseStamped, Vector3 as SizeMessage};
use ros_interfaces::sensor_msgs::msg::{Image, RegionOfInterest};
use ros_interfaces::std_msgs::msg::Header;
use ros_interfaces::vision_msgs::msg::{Detection2D, Detection2DArray, ObjectHypothesisWithPose};
use vision::ros::{color_from_ros, depth_from_ros, heatmap_to_ros, heights_to_ros, intrinsics_from_ros, mask_to_ros};
use vision::{ImageError, Rect, RgbdFrame};

use crate::frames::View;

/// The empty tray as one camera sees it, converted once.
#[derive(Debug, Default)]
pub(crate) struct Background {
    pub color: Option<Arc<Image>>,
    pub depth: Option<Arc<Image>>,
    converted: OnceLock<Result<Option<EmptyTray>, ImageError>>,
}

impl Background {
    pub fn new(color: Option<Arc<Image>>, depth: Option<Arc<Image>>) -> Self {
        Self { color, depth, converted: OnceLock::new() }
    }

    /// As a value; `None` as long as there is no colour.
    fn tray(&self) -> Result<Option<&EmptyTray>, ImageError> {
        let convert = || {
            let Some(color) = &self.color else { return Ok(None) };
            let depth = self.depth.as_ref().map(|d| depth_from_ros(d)).transpose()?;
            let color = Arc::new(color_from_ros(color)?);
            Ok(Some(EmptyTray::new(RgbdFrame { color, depth: depth.map(Arc::new), intrinsics: None })))
        };
        self.converted.get_or_init(convert).as_ref().map(Option::as_ref).map_err(Clone::clone)
    }
}

/// What one camera contributes.
pub(crate) struct Look<'a> {
    pub camera: &'a str,
    pub view: &'a View,
    pub background: &'a Background,
}

/// Milliseconds of each stage, as they end.
struct Stopwatch {
    from: Instant,
    stages: Vec<StageTiming>,
}

impl Stopwatch {
    fn lap(&mut self, stage: &str) {
        let ms = self.from.elapsed().as_secs_f32() * 1e3;
        match self.stages.iter_mut().find(|s| s.stage == stage) {
            Some(known) => known.ms += ms,
            None => self.stages.push(StageTiming { stage: stage.to_owned(), ms }),
        }
        self.from = Instant::now();
    }
}

/// Inspects an item through every camera. The camera that sees several items, else the one that sees the worst damage,
/// speaks for all: doubt counts. Where each camera sees one item at most, its scores by type are the highest of all cameras, and what
/// any of them doubts is doubted. Of a clutter, whose items are decided one by one, the camera that sees most of them speaks.
/// Any view that cannot be used fails the inspection.
/// The stages begin with the wait since its frame was there (`ready`).
pub(crate) fn judge(item_id: &str, looks: &[Look<'_>], inspector: &Inspector, ready: Instant) -> Inspection {
    let mut watch = Stopwatch { from: ready, stages: Vec::new() };
    watch.lap("wait");
    let mut seen = Vec::with_capacity(looks.len());
    for look in looks {
        match inspect(look, inspector, &mut watch) {
            Ok(inspection) => seen.push((look, inspection)),
            Err(sentence) => {
                let error = format!("camera `{}`: {sentence}", look.camera);
                return Inspection { header: look.view.color.header.clone(), camera: look.camera.to_owned(), ..failed(item_id, error) };
            }
        }
    }
    let views: Vec<(usize, f32)> = seen.iter().map(|(_, s)| (s.items.len(), s.damage_score)).collect();
    let Some((look, inspection)) = speaker(&views, inspector.params.segmentation.one_item).and_then(|k| seen.get(k)) else {
        return failed(item_id, "no camera is configured; set the parameter `cameras`".to_owned());
    };
    let frame_stamps = looks.iter().map(|l| l.view.color.header.stamp.clone()).collect();
    let mut message = message_of(item_id, look, inspection, frame_stamps, inspector.embedding.as_ref());
    fuse(&mut message, &seen);
    watch.lap("message");
    message.timings = watch.stages;
    message
}

/// Which camera speaks for all, of the number of items and the damage score that each sees. `None` without a camera.
fn speaker(views: &[(usize, f32)], one_item: bool) -> Option<usize> {
    // Of one item two views count like more: they are a contradiction, not a number.
    let many = |items: usize| match if one_item { items.min(2) } else { items } {
        0 | 1 => 0,
        several => several,
    };
    let of = |(items, score): (usize, f32)| (many(items), score);
    let order = |a: (usize, f32), b: (usize, f32)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
    (0..views.len()).max_by(|a, b| order(of(views[*a]), of(views[*b])))
}

/// Raises the scores by type of the one item in view to what the other cameras see of it, and takes over what they doubt. Their
/// boxes lie in other pictures: a score that another camera gave has no region here. From a camera that sees nothing of it the
/// item is hidden. Several items are not told apart between cameras, and stay as they are.
fn fuse(message: &mut Inspection, seen: &[(&Look<'_>, Seen)]) {
    let [item] = message.instances.as_mut_slice() else { return };
    if seen.iter().any(|(_, s)| s.items.len() > 1) {
        return;
    }
    for (_, other) in seen.iter().filter(|(look, _)| look.camera != message.camera) {
        let Some(other) = other.items.first() else {
            item.quality.occluded = true;
            continue;
        };
        for (own, defect) in item.defects.iter_mut().zip(&other.defects).filter(|(own, d)| d.score > own.score) {
            *own = DefectScore { region: RegionOfInterest::default(), ..defect_score(defect) };
        }
        doubt(&mut item.quality, &quality(other));
    }
}

/// Any flag that one of two views raises; the measures behind them are the worse ones.
fn doubt(own: &mut QualityFlags, other: &QualityFlags) {
    *own = QualityFlags {
        blurred: own.blurred | other.blurred,
        clipped: own.clipped | other.clipped,
        occluded: own.occluded | other.occluded,
        overexposed: own.overexposed | other.overexposed,
        underexposed: own.underexposed | other.underexposed,
        depth_missing: own.depth_missing | other.depth_missing,
        depth_unit_suspect: own.depth_unit_suspect | other.depth_unit_suspect,
        background_missing: own.background_missing | other.background_missing,
        depth_valid_fraction: own.depth_valid_fraction.min(other.depth_valid_fraction),
        sharpness: own.sharpness.min(other.sharpness),
    };
}

/// An inspection that could not be made; it never leads to SORT.
pub(crate) fn failed(item_id: &str, error: String) -> Inspection {
    Inspection {
        item_id: item_id.to_owned(),
        ok: false,
        error,
        damage_score: f32::NAN,
        damage_threshold: f32::NAN,
        engine: "none".to_owned(),
        ..Inspection::default()
    }
}

fn inspect(look: &Look<'_>, inspector: &Inspector, watch: &mut Stopwatch) -> Result<Seen, String> {
    let sentence = |what: &str, e: &dyn std::fmt::Display| format!("{what}: {e}");
    let color = color_from_ros(&look.view.color).map_err(|e| sentence("colour", &e))?;
    let depth = look.view.depth.as_ref().map(|d| depth_from_ros(d)).transpose().map_err(|e| sentence("depth", &e))?;
    let intrinsics = look.view.info.as_ref().map(|i| intrinsics_from_ros(i)).transpose().map_err(|e| sentence("camera_info", &e))?;
    let frame = RgbdFrame { color: Arc::new(color), depth: depth.map(Arc::new), intrinsics };
    let background = look.background.tray().map_err(|e| sentence("background", &e))?;
    watch.lap("convert");
    inspector.inspect(&frame, background, &mut |stage| watch.lap(stage)).map_err(|e| e.to_string())
}

fn message_of(item_id: &str, look: &Look<'_>, seen: &Seen, frame_stamps: Vec<Time>, network: Option<&EmbeddingNet>) -> Inspection {
    let header = look.view.color.header.clone();
    Inspection {
        item_id: item_id.to_owned(),
        camera: look.camera.to_owned(),
        ok: true,
        error: String::new(),
        instances: seen.items.iter().map(|item| instance(item, &header, network)).collect(),
        damage_score: seen.damage_score,
        damage_threshold: seen.damage_threshold,
        model: seen.model.clone(),
        engine: seen.engine.to_owned(),
        mask: mask_to_ros(&seen.mask, header.clone()),
        heatmap: heatmap_to_ros(&seen.heatmap, header.clone()),
        frame_stamps,
        timings: Vec::new(),
        header,
    }
}

fn region(rect: Rect) -> RegionOfInterest {
    RegionOfInterest { x_offset: rect.x, y_offset: rect.y, width: rect.w, height: rect.h, do_rectify: false }
}

fn defect_score(d: &Defect) -> DefectScore {
    DefectScore {
        r#type: d.kind.name().to_owned(),
        score: d.score,
        severity: match d.severity {
            Severity::None => DefectScore::SEVERITY_NONE,
            Severity::Minor => DefectScore::SEVERITY_MINOR,
            Severity::Major => DefectScore::SEVERITY_MAJOR,
        },
        region: d.bbox.map(region).unwrap_or_default(),
    }
}

fn instance(item: &InspectedItem, header: &Header, network: Option<&EmbeddingNet>) -> ItemInstance {
    let [x, y, z] = item.size_m.map(f64::from);
    ItemInstance {
        instance_id: item.id,
        region: region(item.bbox),
        area_px: item.area_px,
        damage_score: item.damage_score,
        defects: item.defects.iter().map(defect_score).collect(),
        quality: quality(item),
        pick_pose: item.pick.map(|p| pick_pose(&p, header)).unwrap_or_default(),
        pick_pose_valid: item.pick.is_some(),
        size_m: SizeMessage { x, y, z },
        height: item.heights.as_ref().map(|h| heights_to_ros(h, header.clone())).unwrap_or_default(),
        embedding: item.embedding.clone(),
        embedding_model: network.filter(|_| !item.embedding.is_empty()).map_or_else(String::new, |n| n.model().to_owned()),
    }
}

fn quality(item: &InspectedItem) -> QualityFlags {
    let q = &item.quality;
    QualityFlags {
        blurred: q.blurred,
        clipped: q.clipped,
        occluded: q.occluded,
        overexposed: q.overexposed,
        underexposed: q.underexposed,
        depth_missing: q.depth_missing,
        depth_unit_suspect: q.depth_unit_suspect,
        background_missing: q.background_missing,
        depth_valid_fraction: q.depth_valid_fraction,
        sharpness: q.sharpness,
    }
}

/// Suction point, z axis along the outward normal, in the camera's optical frame.
fn pick_pose(pick: &PickPoint, header: &Header) -> PoseStamped {
    let normal = Vector3::from(pick.normal.map(f64::from));
    // Straight towards the camera is half a turn, which has no one axis: x will do.
    let rotation = UnitQuaternion::rotation_between(&Vector3::z(), &normal)
        .unwrap_or_else(|| UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI));
    let mut stamped = PoseStamped { header: header.clone(), ..PoseStamped::default() };
    let [x, y, z] = pick.point_m.map(f64::from);
    let position = &mut stamped.pose.position;
    (position.x, position.y, position.z) = (x, y, z);
    let q = rotation.coords;
    let orientation = &mut stamped.pose.orientation;
    (orientation.x, orientation.y, orientation.z, orientation.w) = (q.x, q.y, q.z, q.w);
    stamped
}

/// The same finding for tools that know the standard message only: a box an item, a hypothesis a defect type.
pub(crate) fn detections(inspection: &Inspection) -> Detection2DArray {
    let detection = |item: &ItemInstance| {
        let mut detection = Detection2D { header: inspection.header.clone(), ..Detection2D::default() };
        detection.id = format!("{}#{}", inspection.item_id, item.instance_id);
        let r = &item.region;
        detection.bbox.center.position.x = f64::from(r.x_offset) + f64::from(r.width) / 2.0;
        detection.bbox.center.position.y = f64::from(r.y_offset) + f64::from(r.height) / 2.0;
        (detection.bbox.size_x, detection.bbox.size_y) = (f64::from(r.width), f64::from(r.height));
        detection.results = item.defects.iter().map(hypothesis).collect();
        detection
    };
    Detection2DArray { header: inspection.header.clone(), detections: inspection.instances.iter().map(detection).collect() }
}

fn hypothesis(defect: &DefectScore) -> ObjectHypothesisWithPose {
    let mut result = ObjectHypothesisWithPose::default();
    result.hypothesis.class_id = defect.r#type.clone();
    result.hypothesis.score = f64::from(defect.score);
    result
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_pick_poses_z_axis_is_the_normal() {
        for normal in [[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [0.6, 0.0, -0.8], [0.0, -1.0, 0.0]] {
            let pose = pick_pose(&PickPoint { point_m: [0.1, 0.2, 0.9], normal }, &Header::default()).pose;
            let o = &pose.orientation;
            let q = UnitQuaternion::try_new(nalgebra::Quaternion::new(o.w, o.x, o.y, o.z), 1e-9).unwrap();
            assert!((q * Vector3::z() - Vector3::from(normal.map(f64::from))).norm() < 1e-6, "{normal:?}");
        }
    }

    #[test]
    fn a_view_that_cannot_be_used_fails_the_inspection_with_a_sentence() {
        let view = View {
            color: Arc::new(Image { width: 8, height: 8, encoding: "rgb8".into(), step: 24, ..Image::default() }),
            depth: None,
            info: None,
        };
        let background = Background::default();
        let looks = [Look { camera: "left", view: &view, background: &background }];
        let inspection = judge("a", &looks, &Inspector::default(), Instant::now());
        assert!(!inspection.ok && inspection.damage_score.is_nan());
        assert!(inspection.error.starts_with("camera `left`: colour:"), "{}", inspection.error);
        assert!(!judge("a", &[], &Inspector::default(), Instant::now()).ok);
    }

    /// One camera's messages of a booth's capture.
    fn view_of(frame: &RgbdFrame) -> View {
        let header = Header { stamp: Time::from_nanos(7), frame_id: "camera".to_owned() };
        View {
            color: Arc::new(vision::ros::color_to_ros(&frame.color, header.clone())),
            depth: frame.depth.as_ref().map(|d| Arc::new(vision::ros::depth_to_ros_mm(d, header.clone()))),
            info: frame.intrinsics.map(|k| Arc::new(vision::ros::intrinsics_to_ros(&k, header))),
        }
    }

    #[test]
    fn what_any_camera_doubts_is_doubted() {
        let spec = booth::BoothSpec { seed: 22, width: 320, height: 240, products: 4, cameras: 2, ..booth::BoothSpec::default() };
        let booth = booth::Booth::new(spec).unwrap();
        let empty: Vec<RgbdFrame> = (0..2).map(|k| booth.background_of(k).unwrap()).collect();
        let backgrounds: Vec<Background> = empty
            .iter()
            .map(|frame| {
                let view = view_of(frame);
                Background::new(Some(view.color), view.depth)
            })
            .collect();
        let mut inspector = Inspector::default();
        inspector.params.segmentation.one_item = true;
        let judged = |views: [View; 2]| {
            let looks: Vec<Look<'_>> =
                (0..2).map(|k| Look { camera: ["top", "side"][k], view: &views[k], background: &backgrounds[k] }).collect();
            judge("a", &looks, &inspector, Instant::now())
        };
        let mut asked = 0;
        for capture in booth.captures(0..6) {
            let (top, side) = (&capture.frame, &capture.beside[0].frame);
            let whole = judged([view_of(top), view_of(side)]);
            if whole.instances.len() != 1 || whole.instances[0].quality.depth_missing || whole.instances[0].quality.occluded {
                continue;
            }
            asked += 1;
            // Either camera loses its depth, or sees the tray alone: whoever speaks, the doubt is there.
            let blind = |frame: &RgbdFrame| view_of(&RgbdFrame { depth: None, ..frame.clone() });
            for views in [[view_of(top), blind(side)], [blind(top), view_of(side)]] {
                let spoiled = judged(views);
                assert!(spoiled.instances.len() != 1 || spoiled.instances[0].quality.depth_missing, "{}", capture.item_id);
            }
            let unseen = judged([view_of(top), view_of(&empty[1])]);
            assert!(unseen.instances.len() != 1 || unseen.instances[0].quality.occluded, "{}", capture.item_id);
        }
        assert!(asked > 2, "{asked} captures show one item to both cameras");
    }

    #[test]
    fn who_speaks_for_several_cameras() {
        for (views, one_item, expected) in [
            (&[][..], true, None),
            (&[(1, 0.2), (1, 0.7), (1, 0.3)][..], true, Some(1)),
            (&[(1, 0.9), (2, 0.1)], true, Some(1)),
            (&[(0, 0.0), (1, 0.1)], true, Some(1)),
            // Of one item: three parts say no more than two, so the worst of the contradictions speaks.
            (&[(2, 0.9), (3, 0.1)], true, Some(0)),
            // Of a clutter each item is decided: the camera that sees most of them speaks, whatever the scores.
            (&[(2, 0.9), (3, 0.1)], false, Some(1)),
            (&[(3, 0.1), (2, 0.9)], false, Some(0)),
            (&[(3, 0.1), (3, 0.9), (1, 1.0)], false, Some(1)),
        ] {
            assert_eq!(speaker(views, one_item), expected, "{views:?}, one item: {one_item}");
        }
    }

    #[test]
    fn of_a_clutter_the_camera_that_sees_most_speaks() {
        let spec = booth::BoothSpec {
            seed: 23,
            width: 320,
            height: 240,
            clutter: true,
            products: 8,
            damage_fraction: 0.8,
            ..booth::BoothSpec::default()
        };
        let booth = booth::Booth::new(spec).unwrap();
        let empty = booth.background_of(0).unwrap();
        let background = {
            let view = view_of(&empty);
            Background::new(Some(view.color), view.depth)
        };
        let inspector = Inspector::default();
        for capture in booth.captures(0..6) {
            // Another camera whose right half is covered by the empty tray.
            let half = |now: &[u8], then: &[u8], bytes: usize| -> Vec<u8> {
                let row = 320 * bytes;
                now.iter().zip(then).enumerate().map(|(i, (a, b))| if i % row < row / 2 { *a } else { *b }).collect()
            };
            let color = half(capture.frame.color.data(), empty.color.data(), 3);
            let covered = RgbdFrame { color: Arc::new(vision::ColorImage::new(320, 240, color).unwrap()), depth: None, intrinsics: None };
            let views = [view_of(&covered), view_of(&capture.frame)];
            let looks: Vec<Look<'_>> =
                (0..2).map(|k| Look { camera: ["half", "all"][k], view: &views[k], background: &background }).collect();
            let alone: Vec<usize> = looks.chunks(1).map(|look| judge("a", look, &inspector, Instant::now()).instances.len()).collect();
            let together = judge("a", &looks, &inspector, Instant::now()).instances.len();
            assert!(together >= alone.iter().copied().max().unwrap() || alone.iter().all(|n| *n < 2), "{alone:?} {together}");
        }
    }

    #[test]
    fn what_any_camera_of_the_booth_sees_of_an_item_is_in_its_one_inspection() {
        let spec = booth::BoothSpec {
            seed: 21,
            width: 320,
            height: 240,
            products: 8,
            damage_fraction: 0.6,
            cameras: 3,
            ..booth::BoothSpec::default()
        };
        let booth = booth::Booth::new(spec).unwrap();
        let backgrounds: Vec<Background> = (0..3)
            .map(|k| {
                let empty = view_of(&booth.background_of(k).unwrap());
                Background::new(Some(empty.color), empty.depth)
            })
            .collect();
        let names = ["top", "left", "right"];
        let mut inspector = Inspector::default();
        inspector.params.segmentation.one_item = true;
        let (mut raised, mut elsewhere, mut fused_found, mut top_found, mut gross) = (0, 0, 0, 0, 0);
        for capture in booth.captures(0..10) {
            let frames = std::iter::once(&capture.frame).chain(capture.beside.iter().map(|v| &v.frame));
            let views: Vec<View> = frames.map(view_of).collect();
            let looks: Vec<Look<'_>> = (0..3).map(|k| Look { camera: names[k], view: &views[k], background: &backgrounds[k] }).collect();
            let alone: Vec<Inspection> = looks.chunks(1).map(|look| judge("a", look, &inspector, Instant::now())).collect();
            let fused = judge("a", &looks, &inspector, Instant::now());
            assert!(fused.ok && fused.frame_stamps.len() == 3, "{}", fused.error);
            gross += usize::from(capture.truth.is_gross);
            fused_found += usize::from(capture.truth.is_gross && fused.damage_score > 0.5);
            top_found += usize::from(capture.truth.is_gross && alone[0].damage_score > 0.5);
            if alone.iter().any(|i| i.instances.len() != 1) {
                continue;
            }
            assert_eq!(fused.instances.len(), 1, "{}", capture.item_id);
            assert_eq!(fused.damage_score, alone.iter().map(|i| i.damage_score).fold(0.0, f32::max));
            let own = alone.iter().find(|i| i.camera == fused.camera).unwrap();
            assert_eq!((&fused.mask, fused.instances[0].region.clone()), (&own.mask, own.instances[0].region.clone()));
            for (k, defect) in fused.instances[0].defects.iter().enumerate() {
                let best = alone.iter().map(|i| i.instances[0].defects[k].score).fold(0.0, f32::max);
                assert_eq!(defect.score, best, "{} {}", capture.item_id, defect.r#type);
                let mine = &own.instances[0].defects[k];
                if best > mine.score {
                    raised += 1;
                    assert_eq!(defect.region, RegionOfInterest::default(), "a box of another camera's picture");
                } else {
                    assert_eq!(defect, mine);
                }
            }
            elsewhere += usize::from(fused.camera != "top");
        }
        assert!(raised > 0 && elsewhere > 0, "the other cameras never say anything: {raised} types, {elsewhere} items");
        assert!(gross >= 3 && fused_found >= top_found, "of {gross} gross items one camera finds {top_found}, three find {fused_found}");
    }
}
