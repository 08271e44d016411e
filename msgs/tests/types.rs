//! Our own interfaces: hashes against rosbags', documentation, the wire.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use intact_msgs::action::{DivertItem, DivertItemFeedback, DivertItemGoal};
use intact_msgs::msg::{Decision, GalleryReport, Inspection, ItemInstance, StageTiming};
use intact_msgs::srv::ReinspectResponse;
use proptest::prelude::*;
use ros_interfaces::sensor_msgs::msg::Image;
use ros_interfaces::unique_identifier_msgs::msg::UUID;
use ros_interfaces::{Action, Message, Service};
use rosidl::{Catalogue, rihs01};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn every_type_has_the_hash_that_rosbags_computes() {
    let mut catalogue = Catalogue::new();
    catalogue.add_tree(&here("../crates/ros-interfaces/interfaces")).unwrap();
    catalogue.add_package("intact_msgs", &here(".")).unwrap();
    let ours: BTreeMap<String, String> = catalogue
        .interfaces()
        .filter(|interface| interface.name.package == "intact_msgs")
        .flat_map(|interface| &interface.parts)
        .map(|part| (part.name.to_string(), rihs01(&catalogue, &part.name).unwrap()))
        .collect();
    let rosbags: BTreeMap<String, String> =
        include_str!("rihs01.tsv").lines().filter_map(|l| l.split_once('\t')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    assert_eq!(ours, rosbags, "after a change of the definitions run tests/peers/rihs01.py and look at the difference");
    assert_eq!(Inspection::RIHS01, rosbags["intact_msgs/msg/Inspection"]);
}

/// CMake and cargo must build the same interfaces.
#[test]
fn cmake_names_every_definition() {
    let cmake = std::fs::read_to_string(here("CMakeLists.txt")).unwrap();
    for folder in ["msg", "srv", "action"] {
        for entry in std::fs::read_dir(here(folder)).unwrap() {
            let file = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
            assert!(cmake.contains(&format!("\"{file}\"")), "CMakeLists.txt does not name {file}");
        }
    }
}

#[test]
fn actions_and_services_fit_together() {
    let goal = DivertItemGoal { item_id: "a1".into(), lane: "sideline".into(), ..DivertItemGoal::default() };
    let id = UUID { uuid: [7; 16] };
    let request = DivertItem::send_goal_request(id.clone(), goal.clone());
    assert_eq!(DivertItem::split_send_goal_request(request), (id.clone(), goal));
    let feedback = DivertItemFeedback { phase: DivertItemFeedback::PICKING, progress: 0.5 };
    let message = DivertItem::feedback_message(id.clone(), feedback.clone());
    assert_eq!(DivertItem::split_feedback_message(message), (id, feedback));
    assert_eq!(<DivertItem as Action>::GetResult::TYPE_NAME, "intact_msgs/action/DivertItem_GetResult");
}

#[test]
fn reason_constants_are_words() {
    assert_eq!(Decision::IDENTITY_MISMATCH, "IDENTITY_MISMATCH");
    assert_eq!([Decision::SORT, Decision::SIDELINE, Decision::REIMAGE], [0, 1, 2]);
}

prop_compose! {
    fn any_inspection()(item_id in "\\PC{0,9}", score in 0.0_f32..1.0, count in 0_usize..4, side in 0_u32..9, octet in any::<u8>())
        -> Inspection {
        let instance = |i: usize| ItemInstance { instance_id: i as u16 + 1, damage_score: score, pick_pose_valid: i.is_multiple_of(2),
                                                 ..ItemInstance::default() };
        Inspection {
            item_id,
            ok: true,
            damage_score: score,
            instances: (0..count).map(instance).collect(),
            mask: Image { height: side, width: side, encoding: "mono16".into(), step: side * 2, data: vec![octet; (side * side * 2) as usize],
                          ..Image::default() },
            timings: vec![StageTiming { stage: "segment".into(), ms: score }; count],
            ..Inspection::default()
        }
    }
}

proptest! {
    #[test]
    fn inspections_round_trip(inspection in any_inspection()) {
        let bytes = inspection.to_cdr().unwrap();
        prop_assert_eq!(&Inspection::from_cdr(&bytes).unwrap(), &inspection);
        for length in (0..bytes.len()).step_by(7) {
            prop_assert!(Inspection::from_cdr(&bytes[..length]).is_err());
        }
        let response = ReinspectResponse { success: true, message: String::new(), inspection };
        prop_assert_eq!(ReinspectResponse::from_cdr(&response.to_cdr().unwrap()).unwrap(), response);
    }

    #[test]
    fn noise_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 4..300)) {
        bytes[0] = 0;
        bytes[1] = 1;
        let _ = Inspection::from_cdr(&bytes);
        let _ = GalleryReport::from_cdr(&bytes);
        let _ = Decision::from_cdr(&bytes);
    }
}
