//! The wire form: equal to rosbags', a round trip for every value, errors for everything else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};
use ros_interfaces::geometry_msgs::msg::{Quaternion, Transform, TransformStamped, Vector3};
use ros_interfaces::rcl_interfaces::msg::{IntegerRange, ParameterDescriptor, ParameterValue};
use ros_interfaces::sensor_msgs::msg::{CameraInfo, Image, JointState, RegionOfInterest};
use ros_interfaces::std_msgs::msg::{Empty, Header};
use ros_interfaces::tf2_msgs::msg::TFMessage;
use ros_interfaces::vision_msgs::msg::{Detection2D, Detection2DArray, ObjectHypothesisWithPose};
use ros_interfaces::{CdrError, Message};

fn header() -> Header {
    Header { stamp: Time { sec: 1_700_000_000, nanosec: 987_654_321 }, frame_id: "camera_color_optical_frame".into() }
}

fn bytes_of_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn transform_stamped() -> TransformStamped {
    let translation = Vector3 { x: 1.0, y: -2.0, z: 0.5 };
    let rotation = Quaternion { x: 0.0, y: 0.0, z: 0.6, w: 0.8 };
    TransformStamped { header: header(), child_frame_id: "tray".into(), transform: Transform { translation, rotation } }
}

fn camera_info() -> CameraInfo {
    CameraInfo {
        header: header(),
        height: 480,
        width: 640,
        distortion_model: "plumb_bob".into(),
        d: vec![0.1, -0.2, 0.0, 0.25, 0.5],
        k: std::array::from_fn(|i| i as f64 + 0.5),
        r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p: std::array::from_fn(|i| i as f64 * -1.5),
        binning_x: 1,
        binning_y: 2,
        roi: RegionOfInterest { x_offset: 1, y_offset: 2, height: 3, width: 4, do_rectify: true },
    }
}

/// The messages of tests/peers/cdr_samples.py, as bytes.
#[test]
fn bytes_equal_those_of_rosbags() {
    let rosbags: BTreeMap<&str, Vec<u8>> =
        include_str!("cdr_samples.tsv").lines().map(|l| l.split_once('\t').unwrap()).map(|(n, h)| (n, bytes_of_hex(h))).collect();
    fn check<M: Message>(rosbags: &BTreeMap<&str, Vec<u8>>, message: M) {
        let expected = &rosbags[M::TYPE_NAME];
        assert_eq!(&message.to_cdr().unwrap(), expected, "{}", M::TYPE_NAME);
        assert_eq!(M::from_cdr(expected).unwrap(), message);
    }
    let values = vec![KeyValue { key: "dropped".into(), value: "7".into() }];
    let status =
        DiagnosticStatus { level: DiagnosticStatus::WARN, name: "camera".into(), message: String::new(), hardware_id: "x".into(), values };
    check(&rosbags, header());
    let image = Image { header: header(), height: 2, width: 3, encoding: "rgb8".into(), is_bigendian: 0, step: 9, data: (0..18).collect() };
    check(&rosbags, image);
    check(&rosbags, camera_info());
    check(&rosbags, TFMessage { transforms: vec![transform_stamped(), transform_stamped()] });
    let name = vec!["a".to_owned(), "bcd".to_owned()];
    check(&rosbags, JointState { header: header(), name, position: vec![0.25, -1.0], velocity: vec![], effort: vec![3.0] });
    check(&rosbags, DiagnosticArray { header: header(), status: vec![status] });
    check(&rosbags, Empty::default());
    assert_eq!(rosbags.len(), 7);
}

#[test]
fn big_endian_is_read() {
    let mut bytes = vec![0, 0, 0, 0];
    cdr_encoding::to_writer::<_, byteorder::BigEndian, _>(&mut bytes, &camera_info()).unwrap();
    assert_eq!(CameraInfo::from_cdr(&bytes).unwrap(), camera_info());
}

#[test]
fn foreign_encapsulations_are_refused() {
    let mut bytes = camera_info().to_cdr().unwrap();
    bytes[1] = 3; // parameter list
    assert!(matches!(CameraInfo::from_cdr(&bytes), Err(CdrError::Encapsulation { identifier: 3, .. })));
    assert!(matches!(CameraInfo::from_cdr(&[0, 1]), Err(CdrError::NoHeader { length: 2, .. })));
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = camera_info().to_cdr().unwrap();
    for length in 0..bytes.len() {
        assert!(CameraInfo::from_cdr(&bytes[..length]).is_err(), "{length} of {} bytes passed", bytes.len());
    }
}

/// A length of four billion in a message of some bytes must neither be believed nor be walked for long.
#[test]
fn absurd_lengths_are_errors_at_once() {
    let started = Instant::now();
    for lie in [u32::MAX, 1 << 31, 1_000_000] {
        let mut name = vec![0, 1, 0, 0];
        name.extend([0_u8; 8]); // stamp
        name.extend(lie.to_le_bytes()); // frame_id
        assert!(Header::from_cdr(&name).is_err());
        let mut transforms = vec![0, 1, 0, 0];
        transforms.extend(lie.to_le_bytes());
        assert!(TFMessage::from_cdr(&transforms).is_err());
        let mut image = Image { header: header(), ..Image::default() }.to_cdr().unwrap();
        let end = image.len();
        image[end - 4..].copy_from_slice(&lie.to_le_bytes());
        assert!(Image::from_cdr(&image).is_err());
    }
    assert!(started.elapsed() < Duration::from_millis(200), "took {:?}", started.elapsed());
}

#[test]
fn bounds_hold_in_both_directions() {
    let fits = ParameterDescriptor { integer_range: vec![IntegerRange::default()], ..ParameterDescriptor::default() };
    assert_eq!(ParameterDescriptor::from_cdr(&fits.to_cdr().unwrap()).unwrap(), fits);
    let too_long = ParameterDescriptor { integer_range: vec![IntegerRange::default(); 2], ..ParameterDescriptor::default() };
    assert!(matches!(too_long.to_cdr(), Err(CdrError::Encode { .. })));
}

#[test]
fn defaults_of_the_definition_are_the_defaults_of_the_type() {
    assert_eq!(Quaternion::default(), Quaternion { x: 0.0, y: 0.0, z: 0.0, w: 1.0 });
}

/// A picture of 1280×720 goes through in one copy each way. A copy per byte would take tens of milliseconds.
#[test]
fn large_images_are_copied_as_a_block() {
    let data: Vec<u8> = (0..1280 * 720 * 3).map(|i| (i % 251) as u8).collect();
    let image = Image { header: header(), height: 720, width: 1280, encoding: "rgb8".into(), is_bigendian: 0, step: 3840, data };
    let time = |work: &dyn Fn()| {
        let once = |_| {
            let started = Instant::now();
            work();
            started.elapsed()
        };
        (0..10).map(once).min().unwrap()
    };
    let bytes = image.to_cdr().unwrap();
    let encoding = time(&|| assert_eq!(image.to_cdr().unwrap().len(), bytes.len()));
    let decoding = time(&|| assert_eq!(Image::from_cdr(&bytes).unwrap().width, 1280));
    eprintln!("2.76 MB image: encoded in {encoding:?}, decoded in {decoding:?}");
    assert!(encoding + decoding < Duration::from_millis(8), "{encoding:?} + {decoding:?}");
    assert_eq!(Image::from_cdr(&bytes).unwrap(), image);
}

prop_compose! {
    fn any_header()(sec in any::<i32>(), nanosec in 0_u32..1_000_000_000, frame_id in "\\PC{0,12}") -> Header {
        Header { stamp: Time { sec, nanosec }, frame_id }
    }
}

prop_compose! {
    fn any_detections()(header in any_header(), ids in prop::collection::vec("\\PC{0,9}", 0..4), score in -1e9..1e9, seed in any::<u32>())
        -> Detection2DArray {
        let detection = |id: String| {
            let mut result = ObjectHypothesisWithPose::default();
            result.hypothesis.class_id.clone_from(&id);
            result.hypothesis.score = score;
            result.pose.covariance = std::array::from_fn(|i| f64::from(seed) * i as f64);
            Detection2D { header: header.clone(), results: vec![result; (seed % 3) as usize], id, ..Detection2D::default() }
        };
        Detection2DArray { header: header.clone(), detections: ids.into_iter().map(detection).collect() }
    }
}

prop_compose! {
    fn any_parameter()(r#type in any::<u8>(), bool_value in any::<bool>(), integer_value in any::<i64>(), double_value in -1e300..1e300,
                       string_value in "\\PC{0,20}", byte_array_value in prop::collection::vec(any::<u8>(), 0..9),
                       bool_array_value in prop::collection::vec(any::<bool>(), 0..5),
                       integer_array_value in prop::collection::vec(any::<i64>(), 0..5),
                       string_array_value in prop::collection::vec("\\PC{0,5}", 0..5)) -> ParameterValue {
        ParameterValue { r#type, bool_value, integer_value, double_value, string_value, byte_array_value, bool_array_value,
                         integer_array_value, double_array_value: vec![double_value], string_array_value }
    }
}

fn survives<M: Message>(message: &M) {
    let bytes = message.to_cdr().unwrap();
    assert_eq!(&M::from_cdr(&bytes).unwrap(), message);
    let mut big = vec![0, 0, 0, 0];
    cdr_encoding::to_writer::<_, byteorder::BigEndian, _>(&mut big, message).unwrap();
    assert_eq!(&M::from_cdr(&big).unwrap(), message);
}

proptest! {
    #[test]
    fn detections_round_trip(message in any_detections()) {
        survives(&message);
    }

    #[test]
    fn parameters_round_trip(message in any_parameter()) {
        survives(&message);
    }

    #[test]
    fn noise_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..200), little in any::<bool>()) {
        if let Some(header) = bytes.get_mut(..2) {
            header.copy_from_slice(&[0, u8::from(little)]);
        }
        let _ = Detection2DArray::from_cdr(&bytes);
        let _ = ParameterValue::from_cdr(&bytes);
        let _ = DiagnosticArray::from_cdr(&bytes);
        let _ = CameraInfo::from_cdr(&bytes);
    }

    #[test]
    fn stamps_and_nanoseconds_agree(nanos in i64::from(i32::MIN) * 1_000_000_000..i64::from(i32::MAX) * 1_000_000_000) {
        let stamp = Time::from_nanos(nanos);
        prop_assert!(stamp.nanosec < 1_000_000_000);
        prop_assert_eq!(stamp.nanos(), nanos);
    }
}
