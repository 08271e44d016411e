//! Bags of other recorders: `.db3` by hand, and PyPI `rosbags` and `mcap-ros2-support` in both directions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bag::{Bag, BagError, BagWriter, Durability, QosProfile, WriterOptions};
use common::{START_NS, color, peer, read_all, text, write_stream};
use intact_msgs::msg::{CellEvent, Decision};
use ros_interfaces::Message;
use ros_interfaces::sensor_msgs::msg::Image;
use ros_interfaces::std_msgs::msg::String as Text;
use rusqlite::Connection;
use tempfile::TempDir;

/// A `.db3` as rosbag2 of Foxy wrote them: QoS in a text, no hashes, no definitions.
fn foxy_db3(path: &Path, messages: i64) {
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
         CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL, data BLOB NOT NULL);
         CREATE INDEX timestamp_idx ON messages (timestamp ASC);
         INSERT INTO topics VALUES(1, '/chatter', 'std_msgs/msg/String', 'cdr', '- history: 1
  depth: 1
  reliability: 1
  durability: 1
');
         INSERT INTO topics VALUES(2, '/odd', 'std_msgs/msg/String', 'json', '');",
    )
    .unwrap();
    for n in 0..messages {
        // Backwards in time, so that order is the reader's doing.
        let data = text(&format!("{n:03}{}", "x".repeat(600))).to_cdr().unwrap();
        db.execute("INSERT INTO messages(topic_id, timestamp, data) VALUES(1, ?1, ?2)", rusqlite::params![START_NS - n, data]).unwrap();
    }
}

#[test]
fn sqlite_bags_are_read_in_order() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.db3");
    foxy_db3(&path, 20);
    let bag = Bag::open(&path).unwrap();
    assert_eq!((bag.format(), bag.message_count()), ("sqlite3", 20));
    assert_eq!(bag.topics()[0].offered_qos, [QosProfile::LATCHED]);
    let (messages, errors) = read_all(&bag);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("`json`"), "{errors:?}");
    let first: Text = messages[0].decode().unwrap();
    assert!(first.data.starts_with("019"));
    assert!(messages.is_sorted_by_key(|m| m.log_time_ns));
}

#[test]
fn a_sqlite_bag_that_was_cut_off_gives_what_is_there() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.db3");
    foxy_db3(&path, 200);
    let whole = fs::read(&path).unwrap();
    let mut delivered = Vec::new();
    for percent in [90, 60, 30, 5, 1] {
        fs::write(&path, &whole[..whole.len() * percent / 100]).unwrap();
        match Bag::open(&path) {
            Ok(bag) => {
                let (messages, errors) = read_all(&bag);
                assert!(!errors.is_empty(), "{percent} %");
                assert!(messages.iter().all(|m| m.decode::<Text>().is_ok()));
                delivered.push(messages.len());
            }
            Err(e) => assert!(matches!(e, BagError::NotABag { .. }), "{e}"),
        }
    }
    assert!(delivered[0] > 100, "{delivered:?}");
    assert!(delivered.is_sorted_by(|a, b| a >= b), "{delivered:?}");
}

#[test]
fn zstd_files_and_zstd_messages_are_read() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.db3");
    foxy_db3(&path, 20);
    let packed = dir.path().join("b.db3.zstd");
    fs::write(&packed, zstd::encode_all(fs::File::open(&path).unwrap(), 1).unwrap()).unwrap();
    let bag = Bag::open(&packed).unwrap();
    let stream = bag.messages();
    drop(bag);
    assert_eq!(stream.filter(Result::is_ok).count(), 20, "the unpacked copy lives as long as its reader");

    let folder = dir.path().join("messages");
    fs::create_dir(&folder).unwrap();
    let db = folder.join("m_0.db3");
    foxy_db3(&db, 0);
    let data = zstd::encode_all(text("packed").to_cdr().unwrap().as_slice(), 1).unwrap();
    Connection::open(&db).unwrap().execute("INSERT INTO messages VALUES(1, 1, 7, ?1)", [data]).unwrap();
    let metadata = |format: &str| {
        format!(
            "rosbag2_bagfile_information:\n  version: 5\n  relative_file_paths: [m_0.db3]\n  compression_format: {format}\n  compression_mode: MESSAGE\n"
        )
    };
    fs::write(folder.join("metadata.yaml"), metadata("zstd")).unwrap();
    let (messages, _) = read_all(&Bag::open(&folder).unwrap());
    assert_eq!(messages[0].decode::<Text>().unwrap(), text("packed"));
    fs::write(folder.join("metadata.yaml"), metadata("lzma")).unwrap();
    assert!(Bag::open(&folder).unwrap_err().to_string().contains("only zstd"));
}

#[test]
fn other_libraries_read_our_bags() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ours");
    let options = WriterOptions { chunk_bytes: 30_000, max_file_bytes: Some(40_000), ..WriterOptions::default() };
    let mut writer = BagWriter::create(&path, options).unwrap();
    write_stream(&mut writer, 12);
    let decision = Decision { item_id: "a".into(), reasons: vec!["OK".into()], ..Decision::default() };
    writer.write("/decision", QosProfile::EVENT, START_NS, &decision).unwrap();
    writer.write("/cell_event", QosProfile::EVENT, START_NS, &CellEvent::default()).unwrap();
    writer.write("/robot_description", QosProfile::LATCHED, START_NS, &text("<robot/>")).unwrap();
    writer.finish().unwrap();
    assert!(Bag::open(&path).unwrap().file_count() > 1);
    let Some(said) = peer(&["verify", path.to_str().unwrap()]) else { return };
    let report: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(report["counts"]["/camera/color/image_raw"], 12);
    assert_eq!(report["counts"]["/decision"], 1);
    let images = report["images"].as_array().unwrap();
    assert_eq!(images.len(), 24);
    let sum: u64 = color(3, 0).data.iter().map(|b| u64::from(*b)).sum();
    assert!(images.iter().any(|i| i[1] == START_NS + 3 * common::FRAME_NS && i[2] == "rgb8" && i[3] == sum));
}

#[test]
fn we_read_the_bags_of_another_library() {
    for (format, mode) in [("mcap", "none"), ("mcap", "storage"), ("sqlite3", "none"), ("sqlite3", "file"), ("sqlite3", "message")] {
        let dir = TempDir::new().unwrap();
        let path: PathBuf = dir.path().join("theirs");
        if peer(&["write", path.to_str().unwrap(), format, mode]).is_none() {
            return;
        }
        let bag = Bag::open(&path).unwrap();
        assert_eq!(bag.problems(), Vec::<String>::new(), "{format} {mode}");
        assert_eq!(bag.custom_data()["written_by"], "rosbags");
        let robot = bag.topics().iter().find(|t| t.name == "/robot_description").unwrap();
        assert_eq!(robot.offered_qos[0].durability, Durability::TransientLocal);
        assert_eq!(robot.type_hash, Text::RIHS01);
        let (messages, errors) = read_all(&bag);
        assert_eq!((messages.len(), errors), (6, vec![]), "{format} {mode}");
        assert_eq!(messages[0].decode::<Text>().unwrap(), text("<robot/>"));
        for (n, message) in messages[1..].iter().enumerate() {
            assert_eq!(message.decode::<Image>().unwrap(), color(n as u8, START_NS + n as i64 * 100_000_000), "{format} {mode}");
        }
    }
}
