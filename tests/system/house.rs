//! The house keeps its order: who may depend on whom, licences, bans, packages that colcon finds.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::support::{python, root};

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--all-features"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Direct dependencies (without those of tests and builds) of each workspace member.
fn direct_dependencies(metadata: &Value) -> BTreeMap<&str, BTreeSet<&str>> {
    let members: BTreeSet<&str> = metadata["workspace_members"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| members.contains(p["id"].as_str().unwrap()))
        .map(|p| {
            let normal = p["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null());
            (p["name"].as_str().unwrap(), normal.map(|d| d["name"].as_str().unwrap()).collect())
        })
        .collect()
}

#[test]
fn ros_and_rerun_are_known_by_one_crate_each() {
    let metadata = metadata();
    let direct = direct_dependencies(&metadata);
    let knows = |what: &str| direct.iter().filter(|(_, d)| d.contains(what)).map(|(n, _)| *n).collect::<Vec<_>>();
    assert_eq!(knows("ros2-client"), ["transport"]);
    assert_eq!(knows("rustdds"), ["transport"]);
    assert_eq!(knows("r2r"), ["transport"]);
    assert_eq!(knows("rerun"), ["scene"]);
    assert_eq!(knows("tract-onnx"), ["inspection"]);
    assert_eq!(knows("mcap"), ["bag"]);
}

#[test]
fn algorithms_do_not_know_nodes_ros_or_files() {
    let metadata = metadata();
    let direct = direct_dependencies(&metadata);
    let nodes = ["camera", "perception", "gallery", "decision", "robot", "viewer", "recorder"];
    for algorithm in [
        "vision",
        "frame-sync",
        "booth",
        "injection",
        "inspection",
        "matching",
        "evaluation",
        "datasets",
        "disposition",
        "manipulation",
        "scene",
    ] {
        let d = &direct[algorithm];
        for outer in nodes.iter().chain(&["transport", "node-kit", "bag", "tokio"]) {
            assert!(!d.contains(outer), "{algorithm} must not depend on {outer}");
        }
    }
    for node in nodes {
        for other in nodes {
            assert!(!direct[node].contains(other), "{node} must not depend on {other}: nodes meet on topics");
        }
    }
}

/// Crates whose job is no file have none; in the others the files that know the disk are named here.
#[test]
fn algorithms_do_not_read_files() {
    let allowed = [
        "crates/inspection/src/engine/mod.rs", // a model file
        "crates/disposition/src/ledger.rs",    // the ledger's folder
        "crates/scene/src/sinks.rs",           // the recording
    ];
    for name in
        ["vision", "frame-sync", "booth", "injection", "inspection", "matching", "evaluation", "disposition", "manipulation", "scene"]
    {
        let mut folders = vec![root().join("crates").join(name).join("src")];
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let here = path.strip_prefix(root()).unwrap().display().to_string();
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let knows_the_disk = ["std::fs", "fs::", "File::"].iter().any(|word| text.contains(word));
                assert!(!knows_the_disk || allowed.contains(&here.as_str()), "{here} reads or writes files: that is another crate's job");
            }
        }
    }
}

#[test]
fn licences_and_bans_hold() {
    let policy: toml::Table = std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap();
    let strings = |list: &toml::Value| list.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    let allowed = strings(&policy["licenses"]["allow"]);
    let banned: BTreeSet<String> =
        policy["bans"]["deny"].as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap().to_owned()).collect();
    let exceptions: BTreeMap<String, BTreeSet<String>> = policy["licenses"]["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["name"].as_str().unwrap().to_owned(), strings(&e["allow"])))
        .collect();
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if banned.contains(name) {
            wrong.push(format!("{name} is banned by deny.toml"));
        }
        let Some(expression) = package["license"].as_str() else {
            if package["license_file"].is_null() {
                wrong.push(format!("{name} names no licence"));
            }
            continue;
        };
        let extra = exceptions.get(name).cloned().unwrap_or_default();
        if !satisfied(expression, &|l| allowed.contains(l) || extra.contains(l)) {
            wrong.push(format!("{name}: `{expression}` is not allowed by deny.toml"));
        }
        let from_registry = package["source"].as_str().is_none_or(|s| s.starts_with("registry+"));
        if !from_registry {
            wrong.push(format!("{name} does not come from a registry"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// SPDX expressions as crates write them: OR of AND of licences, `/` as the old OR, one level of brackets.
fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let text = expression.replace('/', " OR ");
    if let (Some(open), Some(close)) = (text.find('('), text.find(')')) {
        let inner = if satisfied(&text[open + 1..close], allowed) { "\u{1}yes" } else { "\u{1}no" };
        let outer = format!("{}{inner}{}", &text[..open], &text[close + 1..]);
        return satisfied(&outer, allowed);
    }
    text.split(" OR ").any(|option| {
        option.split(" AND ").all(|l| {
            let l = l.trim();
            l == "\u{1}yes" || allowed(l)
        })
    })
}

#[test]
fn spdx_expressions_are_understood() {
    let only_mit = |l: &str| l == "MIT";
    for (expression, expected) in [
        ("MIT", true),
        ("MIT OR Apache-2.0", true),
        ("MIT/Apache-2.0", true),
        ("MIT AND Apache-2.0", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", false),
        ("(MIT OR Apache-2.0) AND MIT", true),
        ("GPL-3.0", false),
    ] {
        assert_eq!(satisfied(expression, &only_mit), expected, "{expression}");
    }
}

#[test]
fn colcon_finds_exactly_our_two_packages() {
    let Some(python) = python("colcon") else { return };
    let colcon = python.with_file_name("colcon");
    let list = |dir: &std::path::Path, args: &[&str], defaults: bool| {
        let mut command = Command::new(&colcon);
        command.args(["--log-base", "/dev/null", "list"]).args(args).current_dir(dir);
        if defaults {
            command.env("COLCON_DEFAULTS_FILE", "colcon_defaults.yaml");
        }
        let output = command.output().expect("colcon starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut found: Vec<_> =
            text.lines().map(|l| l.split('\t').map(str::to_owned).collect::<Vec<_>>()).map(|c| (c[0].clone(), c[2].clone())).collect();
        found.sort();
        found
    };
    let expected = [("intact".to_owned(), "(ros.ament_cmake)".to_owned()), ("intact_msgs".to_owned(), "(ros.ament_cmake)".to_owned())];
    assert_eq!(list(root(), &[], true), expected, "from the repository's root");
    let outer = tempfile::tempdir().unwrap();
    std::fs::create_dir(outer.path().join("src")).unwrap();
    std::os::unix::fs::symlink(root(), outer.path().join("src/intact")).unwrap();
    assert_eq!(list(outer.path(), &["--base-paths", "src/intact", "src/intact/msgs"], false), expected, "from an outer workspace");
}

#[test]
fn params_and_readmes_say_what_the_schemas_say() {
    let shipped = std::fs::read_to_string(root().join("params/cell.yaml")).unwrap();
    assert_eq!(shipped, crate::support::intact_ok(&["params"]), "renew it: intact params > params/cell.yaml");
    for node in intact::cell::NODES {
        let readme = std::fs::read_to_string(root().join("nodes").join(node).join("README.md")).unwrap();
        let text = crate::support::intact_ok(&["params", node, "--form", "markdown"]);
        let table: String = text.lines().filter(|l| l.starts_with('|')).map(|l| format!("{l}\n")).collect();
        assert!(readme.contains(&table), "nodes/{node}/README.md: renew the table with: intact params {node} --form markdown");
    }
}
