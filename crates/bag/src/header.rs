//! The stamp of a message without decoding all of it.

/// Types of ours whose first field is a `std_msgs/Header`.
const WITH_HEADER: [&str; 17] = [
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
    "sensor_msgs/msg/CameraInfo",
    "sensor_msgs/msg/JointState",
    "sensor_msgs/msg/PointCloud2",
    "sensor_msgs/msg/Imu",
    "sensor_msgs/msg/LaserScan",
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/TransformStamped",
    "vision_msgs/msg/Detection2DArray",
    "diagnostic_msgs/msg/DiagnosticArray",
    "intact_msgs/msg/ItemArrival",
    "intact_msgs/msg/Inspection",
    "intact_msgs/msg/GalleryReport",
    "intact_msgs/msg/Decision",
    "intact_msgs/msg/Outcome",
    "intact_msgs/msg/CellEvent",
];

/// Stamp (nanoseconds) and frame of a message that begins with a header; `None` for other types and broken bytes.
pub(crate) fn peek(type_name: &str, cdr: &[u8]) -> Option<(i64, String)> {
    if !WITH_HEADER.contains(&type_name) {
        return None;
    }
    let is_little = *cdr.get(1)? & 1 == 1;
    let word = |at: usize| -> Option<u32> {
        let bytes: [u8; 4] = cdr.get(at..at + 4)?.try_into().ok()?;
        Some(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    // The encapsulation header takes four bytes; seconds are signed.
    let seconds = i64::from(word(4)?.cast_signed());
    let stamp_ns = seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(word(8)?))?;
    let length = usize::try_from(word(12)?).ok()?;
    let text = cdr.get(16..16usize.checked_add(length)?)?;
    let frame = String::from_utf8_lossy(text.strip_suffix(&[0]).unwrap_or(text)).into_owned();
    Some((stamp_ns, frame))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use intact_msgs::msg::ItemArrival;
    use ros_interfaces::Message;
    use ros_interfaces::builtin_interfaces::msg::Time;

    use super::*;

    #[test]
    fn the_stamp_is_read_and_broken_bytes_are_not() {
        let mut m = ItemArrival::default();
        m.header.stamp = Time::from_nanos(12_000_000_034);
        m.header.frame_id = "tray".into();
        let bytes = m.to_cdr().unwrap();
        assert_eq!(peek(ItemArrival::TYPE_NAME, &bytes), Some((12_000_000_034, "tray".into())));
        for cut in 0..20 {
            assert_eq!(peek(ItemArrival::TYPE_NAME, &bytes[..cut]), None);
        }
        assert_eq!(peek("std_msgs/msg/String", &bytes), None);
        let mut absurd = bytes;
        absurd[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(peek(ItemArrival::TYPE_NAME, &absurd), None);
    }

    #[test]
    fn every_type_of_the_list_that_we_know_begins_with_a_header() {
        fn begins<M: Message>() -> (&'static str, bool) {
            let text = M::DEFINITION.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#') && !l.contains('='));
            (M::TYPE_NAME, text.is_some_and(|l| l.starts_with("std_msgs/Header header")))
        }
        use intact_msgs::msg as ours;
        use ros_interfaces::{diagnostic_msgs::msg::DiagnosticArray, sensor_msgs::msg as sensor, std_msgs::msg::String as Text};
        let known = [
            begins::<ours::ItemArrival>(),
            begins::<ours::Inspection>(),
            begins::<ours::GalleryReport>(),
            begins::<ours::Decision>(),
            begins::<ours::Outcome>(),
            begins::<ours::CellEvent>(),
            begins::<sensor::Image>(),
            begins::<sensor::CompressedImage>(),
            begins::<sensor::CameraInfo>(),
            begins::<sensor::JointState>(),
            begins::<DiagnosticArray>(),
            begins::<Text>(),
            begins::<ours::DefectScore>(),
        ];
        for (name, has_header) in known {
            assert_eq!(WITH_HEADER.contains(&name), has_header, "{name}");
        }
    }
}
