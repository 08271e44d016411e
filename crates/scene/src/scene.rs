//! The scene: plain values in, Rerun out.

use std::collections::HashSet;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use nalgebra::{Isometry3, Vector3};
use rerun::{
    Arrows3D, AsComponents, Boxes2D, ChannelDatatype, Clear, Color, ColorModel, CoordinateFrame, EncodedImage, ImageFormat, MediaType,
    Pinhole, Points3D, RecordingStream, RecordingStreamBuilder, Scalars, SegmentationImage, SeriesLines, TextDocument, TextLog,
    TextLogLevel, Transform3D,
};
use vision::{ColorImage, Rect};

use crate::error::SceneError;
use crate::frames::FrameTree;
use crate::layout::{self, paths};
use crate::robot::Robot;
use crate::sinks::{self, Sinks, WebPage};
use crate::values::{Comparison, FrameTransform, ItemBox, JudgedItem, Level, Moment, Verdict};
use crate::{cloud, picture, words};

/// How much is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Name of the recording.
    pub name: String,
    /// Whole pictures are shrunk to this width, pixels.
    pub max_image_width: u32,
    /// Cut-outs of items are shrunk to this width, pixels.
    pub max_item_width: u32,
    /// 1 to 100.
    pub jpeg_quality: u8,
    /// Points of a depth cloud; 0 shows none.
    pub max_points: usize,
    /// Frame that the 3D view stands in.
    pub world_frame: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "intact".to_owned(),
            max_image_width: 640,
            max_item_width: 320,
            jpeg_quality: 75,
            max_points: 8_000,
            world_frame: "cell".to_owned(),
        }
    }
}

/// How long closing waits for what is left to reach its file or viewer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// An open scene. Dropping it writes out what is left, for at most some seconds.
pub struct Scene {
    stream: RecordingStream,
    page: Option<WebPage>,
    options: Options,
    frames: FrameTree,
    robot: Option<Robot>,
    /// Frames that `/tf` moves; joint states are not needed for them.
    moved_by_tf: HashSet<String>,
    stages: HashSet<String>,
    unplaced: HashSet<String>,
}

impl Scene {
    /// Opens the outputs and lays out the windows.
    ///
    /// # Errors
    /// No output, a file or port that cannot be opened, a wrong address.
    pub fn open(sinks: &Sinks, options: Options) -> Result<Self, SceneError> {
        let (opened, page) = sinks::open(sinks)?;
        let stream = RecordingStreamBuilder::new("intact")
            .recording_name(options.name.clone())
            .with_blueprint(layout::blueprint())
            .set_sinks(opened)?;
        // Two timelines are enough; the time of logging says nothing about the cell.
        stream.set_log_time_enabled(false);
        stream.set_log_tick_enabled(false);
        layout::log_styles(&stream, &options.world_frame)?;
        Ok(Self {
            stream,
            page,
            options,
            frames: FrameTree::default(),
            robot: None,
            moved_by_tf: HashSet::new(),
            stages: HashSet::new(),
            unplaced: HashSet::new(),
        })
    }

    /// Address of the web viewer, when it is served.
    pub fn web_url(&self) -> Option<&str> {
        self.page.as_ref().map(|page| page.url.as_str())
    }

    /// Shows what a camera sees now.
    ///
    /// # Errors
    /// Rerun refuses the data, or the picture cannot be encoded.
    pub fn live(&self, at: Moment, camera: &str, color: &ColorImage) -> Result<(), SceneError> {
        self.log_jpeg(at, &format!("{}/{camera}", paths::LIVE), &picture::shrink(color, self.options.max_image_width))
    }

    /// Shows a picture that was judged: items, boxes, damage, and the depth cloud with the pick pose.
    ///
    /// # Errors
    /// As [`Scene::live`].
    pub fn judged(&mut self, at: Moment, item: &JudgedItem<'_>) -> Result<(), SceneError> {
        let shown = picture::shrink(item.color, self.options.max_image_width);
        let scale = shown.width() as f32 / item.color.width() as f32;
        self.log_jpeg(at, paths::JUDGED_COLOR, &shown)?;
        match item.mask {
            Some(mask) => {
                let labels = picture::shrink_mask(mask, shown.width(), shown.height());
                let format = ImageFormat::from_color_model([shown.width(), shown.height()], ColorModel::L, ChannelDatatype::U8);
                self.log(at, paths::JUDGED_MASK, &SegmentationImage::new(labels, format).with_opacity(0.3))?;
            }
            None => self.clear(at, paths::JUDGED_MASK)?,
        }
        self.log(at, paths::JUDGED_BOXES, &boxes(item.boxes, item.damage_threshold, scale))?;
        let region = self.region(item.boxes.iter().map(|b| b.region), item.color);
        self.log_cut(at, paths::ITEM, Some(item.color), region)?;
        let cut = item.color.crop(region).map(|cut| picture::shrink(&cut, self.options.max_item_width));
        match (cut, item.heatmap.and_then(|heat| heat.crop(region))) {
            (Some(cut), Some(heat)) => self.log_square(at, paths::ITEM_HEAT, &picture::heat_over(&cut, &heat))?,
            _ => self.clear(at, paths::ITEM_HEAT)?,
        }
        self.log_cloud(at, item)?;
        self.log_pick(at, item.pick_pose)
    }

    /// Shows the matched reference and the difference from it, cut like the item.
    ///
    /// # Errors
    /// As [`Scene::live`].
    pub fn compared(&self, at: Moment, comparison: &Comparison<'_>) -> Result<(), SceneError> {
        let size = comparison.color.or(comparison.reference);
        let region = self.region_of(comparison.region, size);
        // A reference of another size is not in the item's view: it is shown whole.
        let aligned = comparison.reference.zip(size).is_some_and(|(r, s)| (r.width(), r.height()) == (s.width(), s.height()));
        let reference_region = if aligned { region } else { self.region_of(None, comparison.reference) };
        self.log_cut(at, paths::REFERENCE, comparison.reference, reference_region)?;
        let cut = comparison.color.and_then(|c| c.crop(region)).map(|cut| picture::shrink(&cut, self.options.max_item_width));
        match (cut, comparison.discrepancy.and_then(|heat| heat.crop(region))) {
            (Some(cut), Some(heat)) => self.log_square(at, paths::DIFFERENCE, &picture::heat_over(&cut, &heat)),
            _ => self.clear(at, paths::DIFFERENCE),
        }
    }

    /// Shows a disposition: in words, on the score plots, in the log.
    ///
    /// # Errors
    /// Rerun refuses the data.
    pub fn verdict(&mut self, at: Moment, verdict: &Verdict) -> Result<(), SceneError> {
        self.log(at, paths::VERDICT, &TextDocument::from_markdown(words::card(verdict)))?;
        let color = if verdict.is_sorted() { layout::good() } else { layout::bad() };
        let level = if verdict.is_sorted() { TextLogLevel::INFO } else { TextLogLevel::WARN };
        let line = TextLog::new(words::line(verdict)).with_level(level).with_color(Color::from(color));
        self.log(at, &format!("{}/decision", paths::LOG), &line)?;
        self.log_score(at, paths::DAMAGE, verdict.deciding_damage(), verdict.damage_threshold, verdict.is_sorted())?;
        self.log_score(at, paths::ANOMALY, verdict.anomaly_score, verdict.anomaly_threshold, verdict.is_sorted())?;
        self.log(at, &format!("{}/total", paths::LATENCY), &Scalars::single(f64::from(verdict.latency_ms)))?;
        for (stage, ms) in &verdict.timings_ms {
            self.log_stage(at, stage, *ms)?;
        }
        Ok(())
    }

    /// Adds a line to the log.
    ///
    /// # Errors
    /// Rerun refuses the data.
    pub fn text(&self, at: Moment, level: Level, source: &str, text: &str) -> Result<(), SceneError> {
        let level = match level {
            Level::Info => TextLogLevel::INFO,
            Level::Warn => TextLogLevel::WARN,
            Level::Error => TextLogLevel::ERROR,
        };
        self.log(at, &format!("{}/{source}", paths::LOG), &TextLog::new(text).with_level(level))
    }

    /// Puts the robot into the scene.
    ///
    /// # Errors
    /// [`SceneError::RobotDescription`].
    pub fn robot(&mut self, urdf: &str) -> Result<(), SceneError> {
        let robot = Robot::show(&self.stream, urdf)?;
        for (parent, child, zero) in robot.zero_pose() {
            // One entity places a frame: what /tf_static has said stands, and will overwrite this.
            if !self.frames.contains(child) {
                self.stream.log_static(format!("{}/{child}", paths::TF_STATIC), &zero)?;
                self.frames.insert(parent, child);
            }
        }
        self.robot = Some(robot);
        Ok(())
    }

    /// Moves the robot's joints (radians, metres). Links that `/tf` moves are left to it; joints that the robot does not have are
    /// passed over.
    ///
    /// # Errors
    /// Rerun refuses the data.
    pub fn joints<'a>(&self, at: Moment, positions: impl IntoIterator<Item = (&'a str, f64)>) -> Result<(), SceneError> {
        let Some(robot) = &self.robot else { return Ok(()) };
        for (joint, position) in positions {
            if let Some((link, transform)) = robot.joint_transform(joint, position)
                && !self.moved_by_tf.contains(link)
            {
                self.log(at, paths::TF, &transform)?;
            }
        }
        Ok(())
    }

    /// Places frames; `fixed` ones stay for all time.
    ///
    /// # Errors
    /// Rerun refuses the data.
    pub fn transforms(&mut self, at: Moment, transforms: &[FrameTransform], fixed: bool) -> Result<(), SceneError> {
        for transform in transforms {
            self.frames.insert(&transform.parent, &transform.child);
            let placed = placed(&transform.parent_from_child).with_parent_frame(&*transform.parent).with_child_frame(&*transform.child);
            if fixed {
                self.stream.log_static(format!("{}/{}", paths::TF_STATIC, transform.child), &placed)?;
            } else {
                self.moved_by_tf.insert(transform.child.clone());
                self.log(at, paths::TF, &placed)?;
            }
        }
        Ok(())
    }

    /// Waits until everything has been handed to the file and the viewers.
    ///
    /// # Errors
    /// [`SceneError::Flush`].
    pub fn flush(&self, timeout: Duration) -> Result<(), SceneError> {
        self.stream.flush_with_timeout(timeout).map_err(|e| SceneError::Flush(e.to_string()))
    }

    fn log(&self, at: Moment, path: &str, values: &dyn AsComponents) -> Result<(), SceneError> {
        // What comes before simulated time begins has no place on its axis, which would begin in 1970; a motion without
        // a time would be one for all time.
        match at.stamp_ns {
            ..=0 if path == paths::TF => return Ok(()),
            ..=0 => self.stream.disable_timeline(layout::ROS_TIME),
            stamp_ns => self.stream.set_timestamp_nanos_since_epoch(layout::ROS_TIME, stamp_ns),
        }
        match at.item {
            Some(item) => self.stream.set_time_sequence(layout::ITEM, item),
            None => self.stream.disable_timeline(layout::ITEM),
        }
        Ok(self.stream.log(path, values)?)
    }

    fn clear(&self, at: Moment, path: &str) -> Result<(), SceneError> {
        self.log(at, path, &Clear::flat())
    }

    fn log_jpeg(&self, at: Moment, path: &str, picture: &image::RgbImage) -> Result<(), SceneError> {
        let bytes = picture::jpeg(picture, self.options.jpeg_quality)?;
        self.log(at, path, &EncodedImage::new(bytes).with_media_type(MediaType::jpeg()))
    }

    /// A cut-out on a square of one size: the viewer takes pictures of changing size for a broken video.
    fn log_square(&self, at: Moment, path: &str, picture: &image::RgbImage) -> Result<(), SceneError> {
        self.log_jpeg(at, path, &picture::on_square(picture, self.options.max_item_width))
    }

    /// The part `region` of a picture, or nothing where there is none.
    fn log_cut(&self, at: Moment, path: &str, picture: Option<&ColorImage>, region: Rect) -> Result<(), SceneError> {
        match picture.and_then(|p| p.crop(region)) {
            Some(cut) => self.log_square(at, path, &picture::shrink(&cut, self.options.max_item_width)),
            None => self.clear(at, path),
        }
    }

    fn region(&self, boxes: impl IntoIterator<Item = Rect>, color: &ColorImage) -> Rect {
        picture::item_region(boxes, color.width(), color.height())
    }

    fn region_of(&self, region: Option<Rect>, picture: Option<&ColorImage>) -> Rect {
        picture.map_or(Rect::default(), |p| self.region(region, p))
    }

    /// The cloud stands where its camera is. While nobody has said where that is, it is shown before the world's origin.
    fn log_cloud(&mut self, at: Moment, item: &JudgedItem<'_>) -> Result<(), SceneError> {
        let (Some(depth), Some(k)) = (item.depth, item.intrinsics) else { return self.clear(at, paths::CLOUD) };
        let mut cloud = cloud::sample(depth, item.color, &k, item.mask, self.options.max_points);
        let placed = self.frames.connected(item.camera_frame, &self.options.world_frame);
        if !placed {
            // From the optical frame (y down, z forward) to one with y up.
            cloud.positions_m.iter_mut().for_each(|p| *p = [p[0], -p[1], -p[2]]);
            if self.unplaced.insert(item.camera_frame.to_owned()) {
                tracing::warn!(
                    "no transform joins `{}` with `{}`: its depth cloud is shown at the origin; publish it on /tf_static",
                    item.camera_frame,
                    self.options.world_frame
                );
            }
        }
        let frame = if placed { item.camera_frame } else { &self.options.world_frame };
        let points = Points3D::new(cloud.positions_m).with_colors(cloud.colors).with_radii(cloud.radii_m);
        self.log(at, paths::CLOUD, &CoordinateFrame::new(frame))?;
        self.log(at, paths::CLOUD, &points)?;
        if placed { self.log_camera(at, item.camera_frame, &k) } else { Ok(()) }
    }

    fn log_camera(&self, at: Moment, frame: &str, k: &vision::Intrinsics) -> Result<(), SceneError> {
        let resolution = [k.width as f32, k.height as f32];
        let pinhole = Pinhole::from_focal_length_and_resolution([k.fx as f32, k.fy as f32], resolution)
            .with_principal_point([k.cx as f32, k.cy as f32])
            .with_image_plane_distance(0.12)
            .with_parent_frame(frame)
            .with_child_frame(format!("{frame}_image_plane"));
        self.log(at, &format!("{}/{frame}", paths::CAMERAS), &pinhole)
    }

    fn log_pick(&self, at: Moment, pick: Option<(&str, Isometry3<f64>)>) -> Result<(), SceneError> {
        const ARROW_M: f64 = 0.12;
        match pick.filter(|(frame, _)| self.frames.connected(frame, &self.options.world_frame)) {
            Some((frame, pose)) => {
                let normal = pose.rotation * Vector3::z() * ARROW_M;
                let arrow = Arrows3D::from_vectors([floats(&normal)])
                    .with_origins([floats(&pose.translation.vector)])
                    .with_colors([layout::good()])
                    .with_radii([0.004]);
                self.log(at, paths::PICK, &CoordinateFrame::new(frame))?;
                self.log(at, paths::PICK, &arrow)
            }
            None => self.clear(at, paths::PICK),
        }
    }

    fn log_score(&self, at: Moment, origin: &str, score: f32, threshold: f32, sorted: bool) -> Result<(), SceneError> {
        if threshold.is_finite() {
            self.log(at, &format!("{origin}/threshold"), &Scalars::single(f64::from(threshold)))?;
        }
        if score.is_finite() {
            let series = if sorted { "sorted" } else { "stopped" };
            self.log(at, &format!("{origin}/{series}"), &Scalars::single(f64::from(score)))?;
        }
        Ok(())
    }

    fn log_stage(&mut self, at: Moment, stage: &str, ms: f32) -> Result<(), SceneError> {
        let path = format!("{}/stage/{}", paths::LATENCY, stage.replace(['/', ' '], "_"));
        if self.stages.insert(stage.to_owned()) {
            self.stream.log_static(&*path, &SeriesLines::new().with_names([stage.to_owned()]).with_widths([1.0]))?;
        }
        if ms.is_finite() { self.log(at, &path, &Scalars::single(f64::from(ms))) } else { Ok(()) }
    }
}

/// Rerun waits without end for a viewer that is not there; the cell does not.
impl Drop for Scene {
    fn drop(&mut self) {
        let stream = std::mem::replace(&mut self.stream, RecordingStream::disabled());
        let (closed, wait) = mpsc::channel::<()>();
        let closing = std::thread::Builder::new().name("scene-close".to_owned()).spawn(move || {
            drop(stream);
            drop(closed);
        });
        if closing.is_ok() && wait.recv_timeout(CLOSE_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the viewer or its file did not take everything within {} s; the rest is given up", CLOSE_TIMEOUT.as_secs());
        }
    }
}

fn floats(v: &Vector3<f64>) -> [f32; 3] {
    [v.x as f32, v.y as f32, v.z as f32]
}

fn placed(pose: &Isometry3<f64>) -> Transform3D {
    let q = pose.rotation.coords;
    Transform3D::from_translation_rotation(
        floats(&pose.translation.vector),
        rerun::Quaternion::from_xyzw([q.x as f32, q.y as f32, q.z as f32, q.w as f32]),
    )
}

fn boxes(items: &[ItemBox], threshold: f32, scale: f32) -> Boxes2D {
    let scaled = |v: u32| v as f32 * scale;
    let (mins, sizes): (Vec<_>, Vec<_>) =
        items.iter().map(|b| ([scaled(b.region.x), scaled(b.region.y)], [scaled(b.region.w), scaled(b.region.h)])).unzip();
    Boxes2D::from_mins_and_sizes(mins, sizes)
        .with_labels(items.iter().map(|b| b.label.clone()))
        .with_colors(items.iter().map(|b| if b.damage_score > threshold { layout::bad() } else { layout::good() }))
}
