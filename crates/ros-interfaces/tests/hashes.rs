//! Type hashes against rosbags' and against those that ROS 2 Jazzy publishes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Write as _; // a skipped test says so past the harness, which swallows `println!`
use std::path::{Path, PathBuf};
use std::process::Command;

use ros_interfaces::{Action, Message, Service};
use rosidl::{Catalogue, TypeName, rihs01};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn table(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|line| line.split_once('\t')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    catalogue.add_tree(&here("interfaces")).unwrap();
    catalogue.resolve().unwrap();
    catalogue
}

#[test]
fn every_type_has_the_hash_that_rosbags_computes() {
    let catalogue = catalogue();
    let expected = table(include_str!("rihs01.tsv"));
    let ours: BTreeMap<String, String> = catalogue
        .interfaces()
        .flat_map(|interface| &interface.parts)
        .map(|part| (part.name.to_string(), rihs01(&catalogue, &part.name).unwrap()))
        .collect();
    assert!(ours.len() > 150, "only {} types", ours.len());
    assert_eq!(ours, expected, "after a change of the definitions run tests/peers/rihs01.py and look at the difference");
}

#[test]
fn the_committed_table_is_what_rosbags_says_today() {
    let Some(python) = python() else { return };
    let script = here("../../tests/peers/rihs01.py");
    let output = Command::new(python).arg(script).arg(here("interfaces")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(table(&String::from_utf8_lossy(&output.stdout)), table(include_str!("rihs01.tsv")));
}

/// The tests' Python, or `None` with a loud line.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("INTACT_PYTHON").map_or_else(|| here("../../.venv/bin/python"), PathBuf::from);
    let usable = Command::new(&python).args(["-c", "import rosbags"]).status().is_ok_and(|status| status.success());
    if !usable {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {} has no rosbags; run `make setup` or set INTACT_PYTHON", python.display());
    }
    usable.then_some(python)
}

/// Hashes as real Jazzy nodes announce them (rmw_zenoh's documentation and recorded graphs).
#[test]
fn services_have_the_hashes_that_ros_publishes() {
    use ros_interfaces::{action_msgs, rcl_interfaces, std_srvs};
    fn check<S: Service>(expected: &str) {
        assert_eq!(S::RIHS01, format!("RIHS01_{expected}"), "{}", S::TYPE_NAME);
    }
    check::<std_srvs::srv::Trigger>("eeff2cd6fa5ad9d27cdf4dec64818317839b62f212a91e6b5304b634b2062c5f");
    check::<action_msgs::srv::CancelGoal>("573d8b0a534451d7bc2ac8c5ffde8ac14b8593b7001175d0cd6516dcbeb8689a");
    check::<rcl_interfaces::srv::GetParameters>("bf9803d5c74cf989a5de3e0c2e99444599a627c7ff75f97b8c05b01003675cbc");
    check::<rcl_interfaces::srv::GetParameterTypes>("da199c878688b3e530bdfe3ca8f74cb9fa0c303101e980a9e8f260e25e1c80ca");
    check::<rcl_interfaces::srv::SetParameters>("56eed9a67e169f9cb6c1f987bc88f868c14a8fc9f743a263bc734c154015d7e0");
    check::<rcl_interfaces::srv::SetParametersAtomically>("0e192ef259c07fc3c07a13191d27002222e65e00ccec653ca05e856f79285fcd");
    check::<rcl_interfaces::srv::ListParameters>("3e6062bfbb27bfb8730d4cef2558221f51a11646d78e7bb30a1e83afac3aad9d");
    check::<rcl_interfaces::srv::DescribeParameters>("845b484d71eb0673dae682f2e3ba3c4851a65a3dcfb97bddd82c5b57e91e4cff");
}

/// The services of an action are made by rosidl, not written down; Fibonacci's hashes are known.
#[test]
fn action_services_have_the_hashes_that_ros_publishes() {
    let mut catalogue = catalogue();
    let tutorial = TypeName::new("action_tutorials_interfaces", "action", "Fibonacci");
    let text = "int32 order\n---\nint32[] sequence\n---\nint32[] partial_sequence\n";
    catalogue.add_text(&tutorial, text).unwrap();
    for (suffix, expected) in [
        ("_SendGoal", "a0603060ed69fe2dfbd1a6f3b982a1749957ef346e4a4d2b311a05e305ec37bb"),
        ("_GetResult", "8b47e383f1e31f6d8df6417ab54957e7d5ea24dad315646ad711ac3fdea81d58"),
        ("_FeedbackMessage", "50fc26b9cac313652ecbeab3adf9b5414d59fd4d4d5f9058ddcc7525169927f1"),
    ] {
        assert_eq!(rihs01(&catalogue, &tutorial.with_suffix(suffix)).unwrap(), format!("RIHS01_{expected}"), "{suffix}");
    }
}

#[test]
fn generated_constants_carry_names_and_hashes() {
    use ros_interfaces::{sensor_msgs::msg::Image, tf2_msgs::action::LookupTransform};
    assert_eq!(Image::TYPE_NAME, "sensor_msgs/msg/Image");
    assert_eq!(Image::RIHS01, table(include_str!("rihs01.tsv"))["sensor_msgs/msg/Image"]);
    assert!(Image::DEFINITION.starts_with("std_msgs/Header header\nuint32 height\n"));
    assert!(Image::DEFINITION.contains("\nMSG: builtin_interfaces/Time\nint32 sec\n"));
    assert_eq!(LookupTransform::TYPE_NAME, "tf2_msgs/action/LookupTransform");
    assert_eq!(<LookupTransform as Action>::SendGoal::TYPE_NAME, "tf2_msgs/action/LookupTransform_SendGoal");
}
