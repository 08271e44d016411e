//! What is written is read back: order, seek, splits, custom data, killed and cut-off bags.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;

use bag::{Bag, BagError, BagWriter, Compression, QosProfile, ReadOptions, TopicSpec, WriterOptions};
use common::{FRAME_NS, START_NS, color, read_all, stream_bag, text, write_stream};
use proptest::prelude::*;
use ros_interfaces::Message;
use ros_interfaces::sensor_msgs::msg::Image;
use ros_interfaces::std_msgs::msg::String as Text;
use tempfile::TempDir;

#[test]
fn a_bag_comes_back_as_it_was_written() {
    let dir = TempDir::new().unwrap();
    for (name, compression) in [("none", Compression::None), ("zstd", Compression::Zstd)] {
        let custom_data = BTreeMap::from([("seed".to_string(), "7".to_string())]);
        let options = WriterOptions { compression, custom_data, ..WriterOptions::default() };
        let path = stream_bag(&dir.path().join(name), 10, options);
        let bag = Bag::open(&path).unwrap();
        assert_eq!(bag.problems(), Vec::<String>::new());
        assert_eq!(bag.custom_data().get("seed").map(String::as_str), Some("7"));
        assert_eq!((bag.format(), bag.message_count(), bag.topics().len()), ("mcap", 30, 3));
        assert_eq!(bag.span_ns(), Some((START_NS, START_NS + 9 * FRAME_NS)));
        let topic = bag.topics().iter().find(|t| t.name == "/camera/color/image_raw").unwrap();
        assert_eq!((topic.messages, topic.offered_qos.as_slice()), (10, [QosProfile::SENSOR].as_slice()));
        assert_eq!(topic.type_hash, Image::RIHS01);
        assert_eq!(topic.definition, Image::DEFINITION);
        let (messages, errors) = read_all(&bag);
        assert_eq!((messages.len(), errors.len()), (30, 0));
        let image: Image = messages[3 * 4].decode().unwrap();
        assert_eq!(image, color(4, START_NS + 4 * FRAME_NS));
        assert_eq!(messages[3 * 4].publish_time_ns, START_NS + 4 * FRAME_NS);
        assert!(messages[0].decode::<Text>().unwrap_err().to_string().contains("recorded as sensor_msgs/msg/Image"));
    }
}

#[test]
fn a_file_alone_and_a_folder_without_metadata_are_bags_too() {
    let dir = TempDir::new().unwrap();
    let path = stream_bag(dir.path(), 3, WriterOptions::default());
    assert_eq!(Bag::open(&path.join("stream_0.mcap")).unwrap().message_count(), 9);
    fs::remove_file(path.join("metadata.yaml")).unwrap();
    assert_eq!(Bag::open(&path).unwrap().message_count(), 9);
}

#[test]
fn reading_can_begin_anywhere_and_keep_to_some_topics() {
    let dir = TempDir::new().unwrap();
    let path = stream_bag(dir.path(), 100, WriterOptions { chunk_bytes: 20_000, ..WriterOptions::default() });
    let bag = Bag::open(&path).unwrap();
    let options = ReadOptions {
        start_ns: Some(START_NS + 50 * FRAME_NS),
        end_ns: Some(START_NS + 60 * FRAME_NS),
        topics: vec!["camera/color/camera_info".into()],
    };
    let times: Vec<i64> = bag.messages_with(&options).map(|m| m.unwrap().log_time_ns).collect();
    assert_eq!(times, (50..60).map(|n| START_NS + n * FRAME_NS).collect::<Vec<_>>());
}

#[test]
fn several_files_are_one_stream() {
    let dir = TempDir::new().unwrap();
    let options =
        WriterOptions { max_file_bytes: Some(60_000), chunk_bytes: 10_000, compression: Compression::None, ..WriterOptions::default() };
    let path = stream_bag(dir.path(), 40, options);
    let bag = Bag::open(&path).unwrap();
    assert!(bag.file_count() > 3, "{} files", bag.file_count());
    let (messages, errors) = read_all(&bag);
    assert_eq!((messages.len(), errors.len(), bag.message_count()), (120, 0, 120));
    assert!(messages.is_sorted_by_key(|m| m.log_time_ns));
    fs::remove_file(path.join("stream_1.mcap")).unwrap();
    let (rest, errors) = read_all(&Bag::open(&path).unwrap());
    assert!(rest.len() > 60 && rest.len() < 120);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("stream_1.mcap") && errors[0].contains("missing"), "{errors:?}");
}

#[test]
fn a_recorder_that_was_killed_leaves_what_it_flushed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("killed");
    let mut writer = BagWriter::create(&path, WriterOptions::default()).unwrap();
    write_stream(&mut writer, 5);
    writer.flush().unwrap();
    write_stream(&mut writer, 5);
    std::mem::forget(writer); // neither finish nor drop
    let bag = Bag::open(&path).unwrap();
    let (messages, errors) = read_all(&bag);
    assert_eq!(messages.len(), 15);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("cut off"), "{errors:?}");
    assert_eq!(bag.topics().len(), 3);
}

#[test]
fn what_cannot_be_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("bag");
    let mut writer = BagWriter::create(&path, WriterOptions::default()).unwrap();
    assert!(matches!(BagWriter::create(&path, WriterOptions::default()), Err(BagError::Exists { .. })));
    writer.write("chatter", QosProfile::EVENT, 1, &text("a")).unwrap();
    let changed = writer.write("/chatter", QosProfile::EVENT, 2, &color(0, 0)).unwrap_err().to_string();
    assert!(changed.contains("/chatter is recorded as std_msgs/msg/String"), "{changed}");
    assert!(Bag::open(&dir.path().join("none")).is_err());
    fs::write(dir.path().join("x.mcap"), b"not a bag at all").unwrap();
    assert!(Bag::open(&dir.path().join("x.mcap")).unwrap_err().to_string().contains("neither MCAP nor SQLite"));
    fs::write(dir.path().join("empty.mcap"), b"").unwrap();
    assert!(Bag::open(&dir.path().join("empty.mcap")).unwrap_err().to_string().contains("empty"));
}

#[test]
fn bad_metadata_does_not_hide_the_messages() {
    let dir = TempDir::new().unwrap();
    let path = stream_bag(dir.path(), 2, WriterOptions::default());
    fs::write(path.join("metadata.yaml"), "rosbag2_bagfile_information: [1, 2").unwrap();
    let (messages, errors) = read_all(&Bag::open(&path).unwrap());
    assert_eq!((messages.len(), errors.len()), (6, 1));
    assert!(errors[0].contains("metadata.yaml"), "{errors:?}");
}

#[test]
fn declared_topics_are_listed_even_when_nothing_comes() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("bag");
    let mut writer = BagWriter::create(&path, WriterOptions::default()).unwrap();
    writer.declare(&TopicSpec::of::<Image>("/quiet", QosProfile::SENSOR)).unwrap();
    writer.write("/chatter", QosProfile::EVENT, START_NS, &text("a")).unwrap();
    writer.finish().unwrap();
    let info = bag::info(&path).unwrap();
    assert_eq!(info.topics.iter().map(|t| (t.name.as_str(), t.messages)).collect::<Vec<_>>(), [("/chatter", 1), ("/quiet", 0)]);
    assert_eq!((info.start_ns, info.duration_s), (Some(START_NS), 0.0));
    assert!(serde_json::to_string(&info).unwrap().contains("\"type\":\"std_msgs/msg/String\""));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Log-time order, whatever order the messages were written in and however they fall into chunks and files; messages
    /// of one time keep their order.
    #[test]
    fn messages_come_in_log_time_order(times in prop::collection::vec(0i64..50, 1..120), chunk_bytes in 1u64..400, split in any::<bool>()) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("bag");
        let options = WriterOptions { chunk_bytes, max_file_bytes: split.then_some(2000), ..WriterOptions::default() };
        let mut writer = BagWriter::create(&path, options).unwrap();
        for (n, t) in times.iter().enumerate() {
            writer.write(&format!("/t{}", n % 3), QosProfile::EVENT, START_NS + t, &text(&n.to_string())).unwrap();
        }
        writer.finish().unwrap();
        let (messages, errors) = read_all(&Bag::open(&path).unwrap());
        prop_assert!(errors.is_empty());
        let mut expected: Vec<(i64, usize)> = times.iter().enumerate().map(|(n, t)| (START_NS + t, n)).collect();
        expected.sort();
        let got: Vec<(i64, usize)> = messages.iter().map(|m| (m.log_time_ns, m.decode::<Text>().unwrap().data.parse().unwrap())).collect();
        prop_assert_eq!(got, expected);
    }

    /// Cut anywhere, a file gives messages of the original in order and one sentence, never a panic.
    #[test]
    fn a_file_cut_anywhere_gives_what_is_there(cut in 0.0f64..1.0, bytes_wrong in 0usize..3, at in 0.0f64..1.0) {
        let dir = TempDir::new().unwrap();
        let path = stream_bag(dir.path(), 12, WriterOptions { chunk_bytes: 9_000, ..WriterOptions::default() });
        let (all, _) = read_all(&Bag::open(&path).unwrap());
        let file = path.join("stream_0.mcap");
        let mut contents = fs::read(&file).unwrap();
        contents.truncate((contents.len() as f64 * cut) as usize);
        for n in 0..bytes_wrong {
            let length = contents.len();
            if let Some(byte) = contents.get_mut((length as f64 * at) as usize + n) {
                *byte = byte.wrapping_add(101);
            }
        }
        fs::write(&file, &contents).unwrap();
        if let Ok(bag) = Bag::open(&path) {
            let (messages, errors) = read_all(&bag);
            prop_assert!(!errors.is_empty());
            prop_assert!(messages.len() <= all.len());
            if bytes_wrong == 0 {
                prop_assert_eq!(&messages[..], &all[..messages.len()]);
                prop_assert_eq!(errors.len(), 1);
            }
        }
    }

    /// Bytes changed anywhere cost messages, never a panic, and never a message that was not written.
    #[test]
    fn a_damaged_file_gives_only_what_was_written(places in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..6)) {
        let dir = TempDir::new().unwrap();
        let path = stream_bag(dir.path(), 12, WriterOptions { chunk_bytes: 9_000, ..WriterOptions::default() });
        let (all, _) = read_all(&Bag::open(&path).unwrap());
        let file = path.join("stream_0.mcap");
        let mut contents = fs::read(&file).unwrap();
        for (at, value) in places {
            let index = (contents.len() as f64 * at) as usize;
            contents[index] = value;
        }
        fs::write(&file, &contents).unwrap();
        if let Ok(bag) = Bag::open(&path) {
            let (messages, errors) = read_all(&bag);
            prop_assert!(messages.iter().all(|m| all.contains(m)));
            prop_assert!(messages.len() == all.len() || !errors.is_empty());
        }
    }
}
