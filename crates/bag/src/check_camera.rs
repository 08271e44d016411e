//! How well the streams of one camera fit together.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::check::{Severity, ms};

/// Colour and depth further apart than this do not belong together, whatever their rate.
const MAX_PAIR_NS: i64 = 100_000_000;

/// How well the streams of one camera fit together.
#[derive(Debug, Clone, Serialize)]
pub struct CameraReport {
    /// Namespace, absolute.
    pub namespace: String,
    /// Colour frames.
    pub color_frames: usize,
    /// Aligned depth frames.
    pub depth_frames: usize,
    /// Colour frames without depth close enough in time.
    pub color_without_depth: usize,
    /// Colour frames without camera_info of the same stamp.
    pub color_without_info: usize,
    /// Median distance of a colour frame to its depth frame, milliseconds.
    pub median_drift_ms: Option<f64>,
    /// Largest such distance.
    pub max_drift_ms: Option<f64>,
    /// Times that camera_info changed its size or matrix.
    pub info_changes: usize,
}

/// What has been seen of one camera.
#[derive(Default)]
pub(crate) struct CameraState {
    pub color_ns: BTreeSet<i64>,
    pub depth_ns: BTreeSet<i64>,
    pub info_ns: BTreeSet<i64>,
    /// Width, height and matrix.
    pub last_info: Option<(u32, u32, [f64; 9])>,
    pub info_changes: usize,
    /// First mean depth that makes no sense, metres.
    pub odd_depth_m: Option<f32>,
}

impl CameraState {
    pub(crate) fn report(&self, namespace: &str) -> CameraReport {
        let mut drift_ns: Vec<i64> = self.color_ns.iter().filter_map(|s| nearest_ns(&self.depth_ns, *s)).collect();
        drift_ns.sort_unstable();
        let reach_ns = pair_reach_ns(&self.color_ns);
        let paired = drift_ns.iter().filter(|d| **d <= reach_ns).count();
        CameraReport {
            namespace: namespace.to_string(),
            color_frames: self.color_ns.len(),
            depth_frames: self.depth_ns.len(),
            color_without_depth: self.color_ns.len() - paired,
            color_without_info: self.color_ns.difference(&self.info_ns).count(),
            median_drift_ms: drift_ns.get(drift_ns.len() / 2).copied().map(ms),
            max_drift_ms: drift_ns.last().copied().map(ms),
            info_changes: self.info_changes,
        }
    }

    /// What is wrong, for the report that was made of it.
    pub(crate) fn findings(&self, report: &CameraReport) -> Vec<(Severity, String)> {
        let mut out = Vec::new();
        let of = format!("of {} colour frames", report.color_frames);
        if report.depth_frames == 0 && report.color_frames > 0 {
            out.push((Severity::Error, "colour without depth: no topic of depth that is aligned to colour has messages".to_string()));
        } else if report.color_without_depth > 0 {
            out.push((Severity::Warning, format!("{} {of} have no depth near enough in time", report.color_without_depth)));
        }
        if report.color_without_info == report.color_frames && report.color_frames > 0 {
            out.push((Severity::Error, "camera_info is missing for every colour frame; it must share its stamp".to_string()));
        } else if report.color_without_info > 0 {
            out.push((Severity::Warning, format!("{} {of} have no camera_info of the same stamp", report.color_without_info)));
        }
        if let (Some(median), Some(max)) = (report.median_drift_ms, report.max_drift_ms)
            && median > 1.0
        {
            out.push((Severity::Warning, format!("colour and depth are {median:.1} ms apart at the median, {max:.1} ms at most")));
        }
        if report.info_changes > 0 {
            out.push((Severity::Warning, format!("camera_info changes {} times", report.info_changes)));
        }
        if let Some(mean_m) = self.odd_depth_m {
            out.push((
                Severity::Error,
                format!("depth has a mean of {mean_m} m: its unit is wrong (REP-118: 16UC1 millimetres, 32FC1 metres)"),
            ));
        }
        out
    }
}

/// Half a frame: what is nearer belongs to this frame and not to its neighbour.
fn pair_reach_ns(color_ns: &BTreeSet<i64>) -> i64 {
    let shortest = color_ns.iter().zip(color_ns.iter().skip(1)).map(|(a, b)| b - a).min();
    shortest.map_or(MAX_PAIR_NS, |s| (s / 2).min(MAX_PAIR_NS))
}

fn nearest_ns(sorted: &BTreeSet<i64>, stamp_ns: i64) -> Option<i64> {
    let after = sorted.range(stamp_ns..).next().map(|s| s - stamp_ns);
    let before = sorted.range(..stamp_ns).next_back().map(|s| stamp_ns - s);
    after.into_iter().chain(before).min()
}
