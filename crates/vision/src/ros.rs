//! ROS forms of the values: `sensor_msgs/Image` and `sensor_msgs/CameraInfo`, read with suspicion, written by the book.
//!
//! Depth follows REP-118: `16UC1` and `mono16` are millimetres, `32FC1` is metres; 0 and NaN are invalid.

use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image};
use ros_interfaces::std_msgs::msg::Header;

use crate::{ColorImage, DepthImage, HeatMap, HeightMap, ImageError, Intrinsics, LabelMask, MAX_PIXELS};

const METRES_PER_MM: f32 = 0.001;
const COLOR_ENCODINGS: &str = "rgb8, bgr8, rgba8, bgra8, mono8";
const DEPTH_ENCODINGS: &str = "16UC1, mono16 (millimetres), 32FC1 (metres)";

/// The checked geometry of a message's buffer.
struct Rows<'a> {
    data: &'a [u8],
    step: usize,
    row_bytes: usize,
    height: usize,
}

impl<'a> Rows<'a> {
    /// Checks size, step and length of `image` against `bytes_per_pixel`.
    ///
    /// Rows may be padded; the padding of the last row may be missing, anything beyond it is refused.
    fn new(image: &'a Image, bytes_per_pixel: u32) -> Result<Self, ImageError> {
        let pixels = u64::from(image.width) * u64::from(image.height);
        if pixels == 0 || pixels > MAX_PIXELS {
            return Err(ImageError::Size { width: image.width, height: image.height });
        }
        let row_bytes = image.width.saturating_mul(bytes_per_pixel);
        if image.step < row_bytes {
            return Err(ImageError::Step { step: image.step, row: row_bytes });
        }
        let (step, height) = (image.step as usize, image.height as usize);
        let whole = step.saturating_mul(height);
        let least = whole.saturating_sub(step - row_bytes as usize);
        if image.data.len() < least || image.data.len() > whole {
            return Err(ImageError::Length { expected: whole, actual: image.data.len() });
        }
        Ok(Self { data: &image.data, step, row_bytes: row_bytes as usize, height })
    }

    fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let row_bytes = self.row_bytes;
        self.data.chunks(self.step).take(self.height).map(move |row| row.get(..row_bytes).unwrap_or_default())
    }

    /// The rows without their padding, copied in bulk.
    fn to_bytes(&self) -> Vec<u8> {
        if self.step == self.row_bytes {
            return self.data.to_vec();
        }
        let mut out = Vec::with_capacity(self.row_bytes * self.height);
        for row in self.iter() {
            out.extend_from_slice(row);
        }
        out
    }

    /// Every pixel of `N` bytes through `f`, which gives `M` samples.
    fn map<const N: usize, const M: usize, T>(&self, f: impl Fn([u8; N]) -> [T; M]) -> Vec<T> {
        let mut out = Vec::with_capacity(self.row_bytes / N * M * self.height);
        for row in self.iter() {
            out.extend(row.as_chunks::<N>().0.iter().flat_map(|p| f(*p)));
        }
        out
    }
}

fn unknown(image: &Image, wanted: &'static str, supported: &'static str) -> ImageError {
    ImageError::Encoding { encoding: image.encoding.clone(), wanted, supported }
}

/// Reads a colour picture: `rgb8`, `bgr8`, `rgba8`, `bgra8` (alpha is ignored) or `mono8` (grey).
///
/// # Errors
/// When the size, step, length or encoding of the message is not usable.
pub fn color_from_ros(image: &Image) -> Result<ColorImage, ImageError> {
    let data = match image.encoding.as_str() {
        "rgb8" | "8UC3" => Rows::new(image, 3)?.to_bytes(),
        "bgr8" => Rows::new(image, 3)?.map(|[b, g, r]| [r, g, b]),
        "rgba8" => Rows::new(image, 4)?.map(|[r, g, b, _]| [r, g, b]),
        "bgra8" => Rows::new(image, 4)?.map(|[b, g, r, _]| [r, g, b]),
        "mono8" | "8UC1" => Rows::new(image, 1)?.map(|[v]| [v, v, v]),
        _ => return Err(unknown(image, "colour", COLOR_ENCODINGS)),
    };
    ColorImage::new(image.width, image.height, data)
}

/// Reads a depth picture in metres: `16UC1` and `mono16` are millimetres, `32FC1` metres; both byte orders.
///
/// Zero, negative, infinite and NaN depths become 0.0 (invalid).
///
/// # Errors
/// When the size, step, length or encoding of the message is not usable.
pub fn depth_from_ros(image: &Image) -> Result<DepthImage, ImageError> {
    let big = image.is_bigendian != 0;
    let depth_m = match image.encoding.as_str() {
        "16UC1" | "mono16" => {
            let rows = Rows::new(image, 2)?;
            let metres = |mm: u16| [f32::from(mm) * METRES_PER_MM];
            if big { rows.map(|b| metres(u16::from_be_bytes(b))) } else { rows.map(|b| metres(u16::from_le_bytes(b))) }
        }
        "32FC1" => samples_f32(image)?,
        _ => return Err(unknown(image, "depth", DEPTH_ENCODINGS)),
    };
    DepthImage::from_raw_m(image.width, image.height, depth_m)
}

/// Reads instance labels: `16UC1`, `mono16`, `mono8` or `8UC1`.
///
/// # Errors
/// When the size, step, length or encoding of the message is not usable.
pub fn mask_from_ros(image: &Image) -> Result<LabelMask, ImageError> {
    let labels = match image.encoding.as_str() {
        "16UC1" | "mono16" if image.is_bigendian != 0 => Rows::new(image, 2)?.map(|b| [u16::from_be_bytes(b)]),
        "16UC1" | "mono16" => Rows::new(image, 2)?.map(|b| [u16::from_le_bytes(b)]),
        "mono8" | "8UC1" => Rows::new(image, 1)?.map(|[v]| [u16::from(v)]),
        _ => return Err(unknown(image, "an instance mask", "16UC1, mono16, mono8, 8UC1")),
    };
    LabelMask::new(image.width, image.height, labels)
}

/// Reads a map of scores: `32FC1`; what is not a number becomes 0, the rest is limited to [0, 1].
///
/// # Errors
/// When the size, step, length or encoding of the message is not usable.
pub fn heatmap_from_ros(image: &Image) -> Result<HeatMap, ImageError> {
    if image.encoding != "32FC1" {
        return Err(unknown(image, "a heat map", "32FC1"));
    }
    let mut scores = samples_f32(image)?;
    for score in &mut scores {
        *score = if score.is_finite() { score.clamp(0.0, 1.0) } else { 0.0 };
    }
    HeatMap::new(image.width, image.height, scores)
}

fn samples_f32(image: &Image) -> Result<Vec<f32>, ImageError> {
    let rows = Rows::new(image, 4)?;
    Ok(if image.is_bigendian != 0 { rows.map(|b| [f32::from_be_bytes(b)]) } else { rows.map(|b| [f32::from_le_bytes(b)]) })
}

/// A message whose rows are not padded.
fn message(header: Header, width: u32, height: u32, encoding: &str, bytes_per_pixel: u32, data: Vec<u8>) -> Image {
    Image { header, height, width, encoding: encoding.to_owned(), is_bigendian: 0, step: width.saturating_mul(bytes_per_pixel), data }
}

/// Writes a colour picture as `rgb8`.
pub fn color_to_ros(image: &ColorImage, header: Header) -> Image {
    message(header, image.width(), image.height(), "rgb8", 3, image.data().to_vec())
}

/// Writes depth as `16UC1` millimetres, rounded; beyond 65.535 m becomes 65535.
pub fn depth_to_ros_mm(image: &DepthImage, header: Header) -> Image {
    // A float to integer cast saturates, so no depth can wrap around.
    let data = image.data().iter().flat_map(|d| ((d / METRES_PER_MM).round() as u16).to_le_bytes()).collect();
    message(header, image.width(), image.height(), "16UC1", 2, data)
}

/// Writes depth that was captured in steps of `unit_m`, metres: as `16UC1` millimetres where every value survives that, else as
/// `32FC1` metres, so that tenths of millimetres are not lost.
pub fn depth_to_ros(image: &DepthImage, unit_m: f64, header: Header) -> Image {
    let unit_mm = unit_m * 1e3;
    let is_whole_mm = unit_mm >= 0.999 && (unit_mm - unit_mm.round()).abs() < 1e-9;
    let fits = image.data().iter().all(|d| *d <= f32::from(u16::MAX) * METRES_PER_MM);
    if is_whole_mm && fits {
        return depth_to_ros_mm(image, header);
    }
    let data = image.data().iter().flat_map(|d| d.to_le_bytes()).collect();
    message(header, image.width(), image.height(), "32FC1", 4, data)
}

/// Writes instance labels as `16UC1`.
pub fn mask_to_ros(mask: &LabelMask, header: Header) -> Image {
    let data = mask.data().iter().flat_map(|l| l.to_le_bytes()).collect();
    message(header, mask.width(), mask.height(), "16UC1", 2, data)
}

/// Writes heights in millimetres as `16UC1`.
pub fn heights_to_ros(heights: &HeightMap, header: Header) -> Image {
    let data = heights.data().iter().flat_map(|mm| mm.to_le_bytes()).collect();
    message(header, heights.width(), heights.height(), "16UC1", 2, data)
}

/// Reads heights in millimetres: `16UC1` or `mono16`, 0 where unknown.
///
/// # Errors
/// When the size, step, length or encoding of the message is not usable.
pub fn heights_from_ros(image: &Image) -> Result<HeightMap, ImageError> {
    if !matches!(image.encoding.as_str(), "16UC1" | "mono16") {
        return Err(unknown(image, "heights", "16UC1, mono16"));
    }
    HeightMap::new(image.width, image.height, mask_from_ros(image)?.into_data())
}

/// Writes scores as `32FC1`.
pub fn heatmap_to_ros(heat: &HeatMap, header: Header) -> Image {
    let data = heat.data().iter().flat_map(|s| s.to_le_bytes()).collect();
    message(header, heat.width(), heat.height(), "32FC1", 4, data)
}

/// Whether two camera_infos describe the same camera: size, intrinsics, projection, distortion. Stamps do not matter.
pub fn same_calibration(a: &CameraInfo, b: &CameraInfo) -> bool {
    (a.width, a.height, &a.k, &a.p, &a.d) == (b.width, b.height, &b.k, &b.p, &b.d)
}

/// Reads the pinhole model of a rectified image: `p` where it is set, else `k`.
///
/// # Errors
/// [`ImageError::Intrinsics`] when neither holds a usable focal length, or the size is zero.
pub fn intrinsics_from_ros(info: &CameraInfo) -> Result<Intrinsics, ImageError> {
    let rectified = info.p[0] > 0.0;
    let [fx, fy, cx, cy] =
        if rectified { [info.p[0], info.p[5], info.p[2], info.p[6]] } else { [info.k[0], info.k[4], info.k[2], info.k[5]] };
    let intrinsics = Intrinsics { fx, fy, cx, cy, width: info.width, height: info.height };
    if !intrinsics.is_valid() {
        return Err(ImageError::Intrinsics { fx, fy, width: info.width, height: info.height });
    }
    Ok(intrinsics)
}

/// Writes a pinhole model without distortion (`plumb_bob`, zero coefficients).
pub fn intrinsics_to_ros(intrinsics: &Intrinsics, header: Header) -> CameraInfo {
    let Intrinsics { fx, fy, cx, cy, width, height } = *intrinsics;
    CameraInfo {
        header,
        width,
        height,
        distortion_model: "plumb_bob".to_owned(),
        d: vec![0.0; 5],
        k: [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p: [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        ..CameraInfo::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn image(encoding: &str, width: u32, height: u32, step: u32, data: Vec<u8>) -> Image {
        Image { width, height, encoding: encoding.into(), step, data, ..Image::default() }
    }

    #[test]
    fn colour_encodings_give_the_same_rgb() {
        for (encoding, pixel, expected) in [
            ("rgb8", vec![1, 2, 3], [1, 2, 3]),
            ("bgr8", vec![3, 2, 1], [1, 2, 3]),
            ("rgba8", vec![1, 2, 3, 9], [1, 2, 3]),
            ("bgra8", vec![3, 2, 1, 9], [1, 2, 3]),
            ("mono8", vec![7], [7, 7, 7]),
        ] {
            let row: Vec<u8> = [&pixel[..], &pixel[..], &[0xEE; 5]].concat();
            let step = row.len() as u32;
            let color = color_from_ros(&image(encoding, 2, 3, step, row.repeat(3))).expect(encoding);
            assert_eq!(color.pixel(1, 2), Some(expected), "{encoding}");
            assert_eq!(color.data().len(), 18, "{encoding}: padding must not be read");
        }
    }

    #[test]
    fn depth_is_metres_in_both_byte_orders_and_bad_values_are_invalid() {
        let mut mm = image("16UC1", 2, 1, 4, vec![0xE8, 0x03, 0, 0]);
        assert_eq!(depth_from_ros(&mm).unwrap().data(), &[1.0, 0.0]);
        mm.is_bigendian = 1;
        mm.data = vec![0x03, 0xE8, 0, 1];
        let read = depth_from_ros(&mm).unwrap();
        assert_eq!(read.data()[0], 1.0);
        let values = [0.5f32, f32::NAN, -1.0, f32::INFINITY];
        let mut metres = image("32FC1", 4, 1, 16, values.iter().flat_map(|v| v.to_le_bytes()).collect());
        assert_eq!(depth_from_ros(&metres).unwrap().data(), &[0.5, 0.0, 0.0, 0.0]);
        metres.is_bigendian = 1;
        metres.data = values.iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(depth_from_ros(&metres).unwrap().data(), &[0.5, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn bad_headers_are_errors() {
        let good = || image("rgb8", 4, 4, 12, vec![0; 48]);
        let cases: Vec<(&str, Image, &str)> = vec![
            ("truncated", Image { data: vec![0; 47], ..good() }, "truncated"),
            ("longer than promised", Image { data: vec![0; 49], ..good() }, "48"),
            ("step below a row", Image { step: 11, ..good() }, "step 11"),
            ("zero width", Image { width: 0, ..good() }, "size 0x4"),
            ("absurd size", Image { width: u32::MAX, height: u32::MAX, step: u32::MAX, ..good() }, "not usable"),
            ("encoding", Image { encoding: "yuv422".into(), ..good() }, "yuv422"),
            ("no encoding", Image { encoding: String::new(), ..good() }, "supported"),
        ];
        for (name, bad, says) in cases {
            let error = color_from_ros(&bad).expect_err(name).to_string();
            assert!(error.contains(says), "{name}: {error}");
            assert!(depth_from_ros(&bad).is_err(), "{name} as depth");
            assert!(mask_from_ros(&bad).is_err(), "{name} as mask");
            assert!(heatmap_from_ros(&bad).is_err(), "{name} as heat map");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let color = ColorImage::new(3, 2, (0..18).collect()).unwrap();
        assert_eq!(color_from_ros(&color_to_ros(&color, Header::default())).unwrap(), color);
        let depth = DepthImage::new(2, 2, vec![0.0, 0.123, 1.5, 65.0]).unwrap();
        let back = depth_from_ros(&depth_to_ros_mm(&depth, Header::default())).unwrap();
        for (a, b) in depth.data().iter().zip(back.data()) {
            assert!((a - b).abs() < 6e-4, "{a} {b}");
        }
        let mask = LabelMask::new(2, 2, vec![0, 1, 300, u16::MAX]).unwrap();
        assert_eq!(mask_from_ros(&mask_to_ros(&mask, Header::default())).unwrap(), mask);
        let heat = HeatMap::new(2, 1, vec![0.25, 1.0]).unwrap();
        assert_eq!(heatmap_from_ros(&heatmap_to_ros(&heat, Header::default())).unwrap(), heat);
        let camera = Intrinsics { fx: 600.0, fy: 601.0, cx: 320.5, cy: 240.5, width: 640, height: 480 };
        assert_eq!(intrinsics_from_ros(&intrinsics_to_ros(&camera, Header::default())).unwrap(), camera);
    }

    #[test]
    fn camera_info_falls_back_to_k_and_refuses_zeros() {
        let mut info = CameraInfo { width: 640, height: 480, ..CameraInfo::default() };
        assert!(matches!(intrinsics_from_ros(&info), Err(ImageError::Intrinsics { .. })));
        info.k = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0];
        assert_eq!(intrinsics_from_ros(&info).unwrap().fy, 510.0);
        info.k[0] = f64::NAN;
        assert!(intrinsics_from_ros(&info).is_err());
    }
}
