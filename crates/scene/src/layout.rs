//! The windows, where everything is logged, and how lines look.

use rerun::blueprint::{
    Blueprint, BlueprintPanel, ContainerLike, Horizontal, SelectionPanel, Spatial2DView, Spatial3DView, Tabs, TextDocumentView,
    TextLogView, TimePanel, TimeSeriesView, Vertical,
};
use rerun::datatypes::AnnotationInfo;
use rerun::external::re_sdk_types::blueprint::components::PanelState;
use rerun::{
    AnnotationContext, CoordinateFrame, RecordingStream, RecordingStreamResult, Rgba32, SeriesLines, SeriesPoints, ViewCoordinates,
};

/// Entity paths of the recording.
pub(crate) mod paths {
    pub(crate) const WORLD: &str = "world";
    pub(crate) const CLOUD: &str = "world/cloud";
    pub(crate) const PICK: &str = "world/pick";
    pub(crate) const CAMERAS: &str = "world/cameras";
    pub(crate) const ROBOT: &str = "world/robot";
    pub(crate) const TF: &str = "tf/moving";
    pub(crate) const TF_STATIC: &str = "tf/fixed";
    pub(crate) const LIVE: &str = "live";
    pub(crate) const JUDGED: &str = "judged";
    pub(crate) const JUDGED_COLOR: &str = "judged/color";
    pub(crate) const JUDGED_MASK: &str = "judged/mask";
    pub(crate) const JUDGED_BOXES: &str = "judged/boxes";
    pub(crate) const ITEM: &str = "item/picture";
    pub(crate) const ITEM_HEAT: &str = "item/damage";
    pub(crate) const REFERENCE: &str = "item/reference";
    pub(crate) const DIFFERENCE: &str = "item/difference";
    pub(crate) const DAMAGE: &str = "score/damage";
    pub(crate) const ANOMALY: &str = "score/anomaly";
    pub(crate) const LATENCY: &str = "latency";
    pub(crate) const VERDICT: &str = "verdict";
    pub(crate) const LOG: &str = "log";
}

/// Names of the timelines.
pub(crate) const ROS_TIME: &str = "ros_time";
pub(crate) const ITEM: &str = "item";

const GREEN: u32 = 0x3CB4_4BFF;
const RED: u32 = 0xE6_2E_2E_FF;
const AMBER: u32 = 0xF5_9E_0B_FF;
const BLUE: u32 = 0x4D_9B_E6_FF;

/// Colour of what goes on.
pub(crate) fn good() -> Rgba32 {
    Rgba32::from_u32(GREEN)
}

/// Colour of what is stopped.
pub(crate) fn bad() -> Rgba32 {
    Rgba32::from_u32(RED)
}

/// What happened, at a glance: above what was judged and where, below what it is compared with, then how the scores go, and on the
/// right the verdict in words.
pub(crate) fn blueprint() -> Blueprint {
    let picture = |name: &str, origin: &str| -> ContainerLike { Spatial2DView::new(name).with_origin(origin).into() };
    let cell = Spatial3DView::new("Cell: depth and robot").with_origin(paths::WORLD).with_contents([
        "/world/**",
        "- /world/robot/*/collision_geometries/**",
        "- /world/robot/collision_geometries/**",
    ]);
    let plot = |name: &str, origin: &str| -> ContainerLike { TimeSeriesView::new(name).with_origin(origin).into() };
    let looking: ContainerLike =
        Tabs::new([picture("Judged picture: items and boxes", paths::JUDGED), picture("Cameras, live", paths::LIVE)]).into();
    let top = Horizontal::new([looking, cell.into()]).with_column_shares([1.0, 1.0]);
    let comparison = Horizontal::new([
        picture("Item", paths::ITEM),
        picture("Damage heatmap", paths::ITEM_HEAT),
        picture("Matched reference", paths::REFERENCE),
        picture("Difference from the reference", paths::DIFFERENCE),
    ]);
    let plots = Horizontal::new([
        plot("Damage score and threshold", paths::DAMAGE),
        plot("Anomaly score and threshold", paths::ANOMALY),
        plot("Latency in ms", paths::LATENCY),
    ]);
    let left = Vertical::new([top.into(), comparison.into(), plots.into()]).with_row_shares([5.0, 3.0, 3.0]);
    let right = Vertical::new([
        TextDocumentView::new("Verdict").with_origin(paths::VERDICT).into(),
        TextLogView::new("Decisions and events").with_origin(paths::LOG).into(),
    ])
    .with_row_shares([1.0, 1.0]);
    let root = Horizontal::new([left.into(), right.into()]).with_column_shares([5.0, 2.0]);
    Blueprint::new(root)
        .with_auto_layout(false)
        .with_auto_views(false)
        .with_blueprint_panel(BlueprintPanel::from_state(PanelState::Hidden))
        .with_selection_panel(SelectionPanel::from_state(PanelState::Hidden))
        .with_time_panel(TimePanel::new().with_state(PanelState::Collapsed).with_timeline(ROS_TIME))
}

/// Everything that does not change: axes, colours, names of lines.
pub(crate) fn log_styles(stream: &RecordingStream, world_frame: &str) -> RecordingStreamResult<()> {
    stream.log_static(paths::WORLD, &ViewCoordinates::RIGHT_HAND_Z_UP())?;
    stream.log_static(paths::WORLD, &CoordinateFrame::new(world_frame))?;
    stream.log_static(paths::JUDGED_MASK, &instance_colors())?;
    for origin in [paths::DAMAGE, paths::ANOMALY] {
        let points = |name: &str, color| SeriesPoints::new().with_colors([color]).with_marker_sizes([4.0]).with_names([name.to_owned()]);
        stream.log_static(format!("{origin}/sorted"), &points("sorted", good()))?;
        stream.log_static(format!("{origin}/stopped"), &points("not sorted", bad()))?;
        let threshold = SeriesLines::new().with_colors([Rgba32::from_u32(AMBER)]).with_widths([2.0]).with_names(["threshold"]);
        stream.log_static(format!("{origin}/threshold"), &threshold)?;
    }
    let total = SeriesLines::new().with_colors([Rgba32::from_u32(BLUE)]).with_widths([3.0]).with_names(["frame to decision"]);
    stream.log_static(format!("{}/total", paths::LATENCY), &total)
}

/// The background is clear; instances take turns in eight colours that differ well.
fn instance_colors() -> AnnotationContext {
    const COLORS: [u32; 8] = [0x4D9B_E6FF, 0xF59E_0BFF, 0xA78B_FAFF, 0x2DD4_BFFF, 0xF472_B6FF, 0xFACC_15FF, 0x60A5_FAFF, 0xFB92_3CFF];
    let background = AnnotationInfo { id: 0, label: Some("background".into()), color: Some(Rgba32::from_unmultiplied_rgba(0, 0, 0, 0)) };
    let instance = |(i, color)| AnnotationInfo { id: i, label: Some(format!("#{i}").into()), color: Some(Rgba32::from_u32(color)) };
    let instances = (1..=u16::from(u8::MAX)).zip(COLORS.into_iter().cycle()).map(instance);
    AnnotationContext::new(std::iter::once(background).chain(instances))
}
