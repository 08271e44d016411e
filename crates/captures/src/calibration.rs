//! Pinhole models and poses as public data sets write them: `camera.json`, `camera_intrinsics.yaml`, `cam.info.txt`,
//! `camera-K.intrinsics.txt`, `camera-K.pose.txt`, `depth_unit.json`.

use std::collections::BTreeMap;
use std::path::Path;

use nalgebra::{Isometry3, Matrix3, Rotation3, Translation3, UnitQuaternion};
use serde_json::Value;

use crate::CaptureError;

/// Focal lengths and principal point, pixels; the picture's size where the file states it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pinhole {
    pub fx: f64,
    pub fy: f64,
    pub cx: f64,
    pub cy: f64,
    pub size: Option<(u32, u32)>,
}

/// All that one calibration file may state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calibration {
    pub pinhole: Option<Pinhole>,
    /// Metres a count of the depth picture.
    pub depth_unit_m: Option<f64>,
    /// Poses by frame name (`frame-000000`).
    pub world_from_camera: BTreeMap<String, Isometry3<f64>>,
}

/// Reads a calibration file by its extension: JSON, YAML or the text of matrices.
pub(crate) fn read(path: &Path) -> Result<Calibration, CaptureError> {
    let text = std::fs::read_to_string(path).map_err(CaptureError::io(path))?;
    let refuse = |reason: String| CaptureError::Calibration { path: path.to_path_buf(), reason };
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "json" => serde_json::from_str(&text).map_err(|e| e.to_string()).and_then(|v| from_value(&v)).map_err(refuse),
        "yaml" | "yml" => serde_yaml::from_str(&text).map_err(|e| e.to_string()).and_then(|v| from_value(&v)).map_err(refuse),
        _ => from_text(&text).map_err(refuse),
    }
}

/// The 3×3 matrix of `camera-K.intrinsics.txt`.
pub(crate) fn read_intrinsics_txt(path: &Path) -> Result<Pinhole, CaptureError> {
    let text = std::fs::read_to_string(path).map_err(CaptureError::io(path))?;
    let rows = matrix_rows(text.lines());
    pinhole_from_rows(&rows).ok_or_else(|| CaptureError::Calibration {
        path: path.to_path_buf(),
        reason: "expected the 3x3 matrix fx 0 cx / 0 fy cy / 0 0 1 with positive focal lengths".into(),
    })
}

/// The 4×4 camera-to-world matrix of `camera-K.pose.txt`, metres.
pub(crate) fn read_pose_txt(path: &Path) -> Result<Isometry3<f64>, CaptureError> {
    let text = std::fs::read_to_string(path).map_err(CaptureError::io(path))?;
    let rows = matrix_rows(text.lines());
    pose_from_rows(&rows).map_err(|reason| CaptureError::Calibration { path: path.to_path_buf(), reason })
}

/// First of `keys` that is there, as a number.
fn number(value: &Value, keys: &[&str]) -> Option<f64> {
    keys.iter().find_map(|key| value.get(key)?.as_f64())
}

fn from_value(value: &Value) -> Result<Calibration, String> {
    let size = match (number(value, &["width", "xres", "image_width"]), number(value, &["height", "yres", "image_height"])) {
        (Some(w), Some(h)) => Some((pixels(w)?, pixels(h)?)),
        _ => None,
    };
    let depth_unit_m = number(value, &["depth_unit_m", "depth_scale", "depth_unit"]);
    // camera_calibration of ROS writes `camera_matrix: {data: [9 numbers]}`.
    let matrix = value.pointer("/camera_matrix/data").and_then(Value::as_array);
    let matrix: Vec<f64> = matrix.map(|m| m.iter().filter_map(Value::as_f64).collect()).unwrap_or_default();
    let parts = if let [fx, _, cx, _, fy, cy, ..] = matrix.as_slice() {
        [Some(*fx), Some(*fy), Some(*cx), Some(*cy)]
    } else {
        [&["fx"][..], &["fy"], &["cx", "ppx"], &["cy", "ppy"]].map(|keys| number(value, keys))
    };
    let pinhole = match parts {
        [None, None, None, None] => None,
        [Some(fx), Some(fy), Some(cx), Some(cy)] => {
            let pinhole = Pinhole { fx, fy, cx, cy, size };
            if !is_sound(&pinhole) {
                return Err(format!("focal lengths must be positive numbers, found fx {fx}, fy {fy}"));
            }
            Some(pinhole)
        }
        _ => return Err("needs all of fx, fy, cx, cy as numbers".into()),
    };
    Ok(Calibration { pinhole, depth_unit_m, world_from_camera: BTreeMap::new() })
}

fn pixels(value: f64) -> Result<u32, String> {
    if (1.0..=65_535.0).contains(&value) && value.fract() == 0.0 {
        Ok(value as u32)
    } else {
        Err(format!("image size {value} is not a number of pixels"))
    }
}

fn is_sound(p: &Pinhole) -> bool {
    [p.fx, p.fy, p.cx, p.cy].iter().all(|v| v.is_finite()) && p.fx > 0.0 && p.fy > 0.0
}

/// `cam.info.txt`: comment lines name the matrix that follows them.
fn from_text(text: &str) -> Result<Calibration, String> {
    let mut out = Calibration::default();
    for (title, rows) in titled_matrices(text) {
        let lower = title.to_ascii_lowercase();
        if lower.contains("color camera intrinsic") {
            out.pinhole = Some(pinhole_from_rows(&rows).ok_or_else(|| format!("`{title}` is not followed by a 3x3 camera matrix"))?);
        } else if lower.contains("camera-to-world") {
            let frame = title.rsplit(' ').next().unwrap_or_default().to_string();
            let pose = pose_from_rows(&rows).map_err(|reason| format!("pose of {frame}: {reason}"))?;
            out.world_from_camera.insert(frame, pose);
        }
    }
    if out.pinhole.is_none() {
        return Err("has no `# Color camera intrinsic matrix`".into());
    }
    Ok(out)
}

/// Each comment line with the numeric rows below it.
fn titled_matrices(text: &str) -> Vec<(String, Vec<Vec<f64>>)> {
    let mut blocks: Vec<(String, Vec<Vec<f64>>)> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.trim().strip_prefix('#') {
            blocks.push((title.trim().to_string(), Vec::new()));
        } else if let Some((_, rows)) = blocks.last_mut() {
            rows.extend(matrix_rows([line]));
        }
    }
    blocks
}

fn matrix_rows<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Vec<f64>> {
    lines
        .into_iter()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|line| line.split(|c: char| c.is_whitespace() || c == ',').filter(|t| !t.is_empty()).map(parse_cell).collect())
        .collect()
}

/// A cell that is no number becomes NaN, which no later check accepts.
fn parse_cell(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

fn pinhole_from_rows(rows: &[Vec<f64>]) -> Option<Pinhole> {
    let [r0, r1, r2] = rows else { return None };
    let ([fx, _, cx], [_, fy, cy], [_, _, one]) = (r0.as_slice(), r1.as_slice(), r2.as_slice()) else {
        return None;
    };
    let pinhole = Pinhole { fx: *fx, fy: *fy, cx: *cx, cy: *cy, size: None };
    (is_sound(&pinhole) && (one - 1.0).abs() < 1e-6).then_some(pinhole)
}

fn pose_from_rows(rows: &[Vec<f64>]) -> Result<Isometry3<f64>, String> {
    let shape = || "expected a 4x4 matrix that ends in 0 0 0 1".to_string();
    if rows.len() != 4 || rows.iter().any(|r| r.len() != 4) {
        return Err(shape());
    }
    let m = nalgebra::Matrix4::from_row_iterator(rows.iter().flatten().copied());
    if !m.iter().all(|v| v.is_finite()) || (m.row(3) - nalgebra::RowVector4::new(0.0, 0.0, 0.0, 1.0)).norm() > 1e-6 {
        return Err(shape());
    }
    let r: Matrix3<f64> = m.fixed_view::<3, 3>(0, 0).into_owned();
    // Poses are printed with nine digits or come from a tracker: the nearest rotation is meant, a mirror or scale is not.
    if (r * r.transpose() - Matrix3::identity()).norm() > 0.02 || r.determinant() < 0.0 {
        return Err("its upper left 3x3 part is not a rotation".into());
    }
    let rotation = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix(&r));
    Ok(Isometry3::from_parts(Translation3::new(m[(0, 3)], m[(1, 3)], m[(2, 3)]), rotation))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<Calibration, String> {
        from_value(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn json_and_yaml_state_pinhole_size_and_unit() {
        let c = json(r#"{"fx":600,"fy":601.5,"cx":320,"cy":240,"width":640,"height":480,"depth_unit_m":0.0001}"#).unwrap();
        assert_eq!(c.pinhole, Some(Pinhole { fx: 600.0, fy: 601.5, cx: 320.0, cy: 240.0, size: Some((640, 480)) }));
        assert_eq!(c.depth_unit_m, Some(1e-4));
        let yaml = "camera_name: 'D435'\nxres: 1280  # columns\nyres: 720\nfx: 921\nfy: 921\ncx: 642\ncy: 359\n";
        let c = from_value(&serde_yaml::from_str(yaml).unwrap()).unwrap();
        assert_eq!(c.pinhole.unwrap().size, Some((1280, 720)));
        let ros = json(r#"{"image_width":4,"image_height":3,"camera_matrix":{"data":[5,0,2,0,6,1,0,0,1]}}"#).unwrap();
        assert_eq!(ros.pinhole, Some(Pinhole { fx: 5.0, fy: 6.0, cx: 2.0, cy: 1.0, size: Some((4, 3)) }));
        assert_eq!(json(r#"{"depth_unit_m":0.001}"#).unwrap().pinhole, None);
    }

    #[test]
    fn half_a_calibration_is_refused() {
        assert!(json(r#"{"fx":600,"fy":600}"#).unwrap_err().contains("all of fx"));
        assert!(json(r#"{"fx":-1,"fy":600,"cx":1,"cy":1}"#).unwrap_err().contains("positive"));
        assert!(json(r#"{"fx":1,"fy":1,"cx":1,"cy":1,"width":0,"height":5}"#).unwrap_err().contains("image size"));
        assert!(from_text("# nothing\n1 2 3\n").is_err());
    }

    #[test]
    fn poses_must_be_rotations() {
        let rows = |t: &str| matrix_rows(t.lines());
        let pose = pose_from_rows(&rows("0 -1 0 1\n1 0 0 2\n0 0 1 3\n0 0 0 1\n")).unwrap();
        let p = pose * nalgebra::Point3::new(1.0, 0.0, 0.0);
        assert!((p - nalgebra::Point3::new(1.0, 3.0, 3.0)).norm() < 1e-9);
        assert!(pose_from_rows(&rows("2 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")).unwrap_err().contains("rotation"));
        assert!(pose_from_rows(&rows("1 0 0 0\n0 1 0 0\n0 0 -1 0\n0 0 0 1\n")).unwrap_err().contains("rotation"));
        assert!(pose_from_rows(&rows("1 0 0 x\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")).is_err());
        assert!(pose_from_rows(&rows("1 0 0 0\n0 1 0 0\n")).is_err());
    }
}
