//! What a record says of how it was made, and what a replay of it is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use decision::Decision;
use gallery::Gallery;
use inspection::built_in_models;
use node_kit::{Component, ParameterValue, Parameters as _};
use perception::Perception;
use recorder::Recorder;
use robot::Robot;
use serde_json::{Map, Value, json};

use crate::cell::Plan;

/// Version of the program that made the record.
const VERSION: &str = "intact_version";
/// A ROS parameter file in YAML's flow style: what the run was given beside the defaults.
const PARAMETERS: &str = "intact_parameters";
/// What the program judged with where it was given no other model.
const MODELS: &str = "intact_models";
/// The gallery that the run compared with.
const REFERENCES: &str = "intact_references";

/// Entries `key=value` of a record of this run, before the user's own: those outrank them.
pub fn entries(plan: &Plan) -> Vec<String> {
    let mut entries = vec![
        format!("{VERSION}={}", env!("CARGO_PKG_VERSION")),
        format!("{MODELS}={}", built_in_models().join(" ")),
        format!("{PARAMETERS}={}", parameters(plan)),
    ];
    if let Some(references) = references(plan) {
        entries.push(format!("{REFERENCES}={references}"));
    }
    if let Some(ParameterValue::StringArray(own)) = plan.get::<Recorder>("metadata") {
        entries.extend(own);
    }
    entries
}

/// What the run to replay was given and this one is not, a sentence each: its decisions would not come again.
pub fn missing(bag: &Path, made_with: &BTreeMap<String, String>, plan: &Plan) -> Vec<String> {
    let bag = bag.display();
    let mut said = Vec::new();
    if let Some(then) = made_with.get(REFERENCES).filter(|_| references(plan).is_none()) {
        said.push(format!("{bag} was recorded with the references {then}; without `--references {then}` its replay compares nothing"));
    }
    let now = built_in_models().join(" ");
    if made_with.contains_key(VERSION) && made_with.get(MODELS) != Some(&now) {
        let then = made_with.get(MODELS).map_or_else(
            || "by a program that does not say which models it brought".to_owned(),
            |then| format!("with other models ({then})"),
        );
        said.push(format!("{bag} was recorded {then}; with those of this program ({now}) its replay may decide otherwise"));
    }
    let then = made_with.get(PARAMETERS).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let other = then.map(|then| judging_apart(&then, &parameters(plan))).unwrap_or_default();
    if !other.is_empty() {
        let other = other.join(", ");
        said.push(format!(
            "{bag} was recorded with other parameters ({other}); to decide as then: intact bag info {bag} --json | jq -r \
             .custom_data.{PARAMETERS} > then.yaml, and --params then.yaml"
        ));
    }
    said
}

/// Parameters of the nodes that judge which one of two runs was given and the other was not, or otherwise.
fn judging_apart(then: &Value, now: &Value) -> Vec<String> {
    fn apart<C: Component>(then: &Value, now: &Value) -> Vec<String> {
        let given = |run: &Value| run[key::<C>()]["ros__parameters"].as_object().cloned().unwrap_or_default();
        let (then, now) = (given(then), given(now));
        let names: BTreeSet<&String> = then.keys().chain(now.keys()).filter(|name| *name != "cameras").collect();
        names.into_iter().filter(|name| then.get(*name) != now.get(*name)).map(|name| format!("{}.{name}", C::NAME)).collect()
    }
    [apart::<Perception>(then, now), apart::<Gallery>(then, now), apart::<Decision>(then, now)].concat()
}

fn references(plan: &Plan) -> Option<String> {
    match plan.get::<Gallery>("references_dir") {
        Some(ParameterValue::String(place)) if !place.is_empty() => Some(without_password(&place)),
        _ => None,
    }
}

/// A gallery on a server without user, password and query: a bag is handed on.
fn without_password(place: &str) -> String {
    let is_server = place.starts_with("postgres");
    match place.parse::<references::GalleryUrl>() {
        Ok(url) if is_server => url.to_string(),
        Err(_) if is_server => "postgres://?".to_owned(),
        _ => place.to_owned(),
    }
}

/// Parameters, other than their defaults, of the nodes that judge and act; a parameter file for a cell in any namespace. What the camera was given
/// belongs to the source of that run, and where a run reads and writes to that run alone.
fn parameters(plan: &Plan) -> Value {
    let mut nodes = Map::new();
    note::<Perception>(plan, &[], &mut nodes);
    note::<Gallery>(plan, &["references_dir"], &mut nodes);
    note::<Decision>(plan, &["ledger_path", "run_id"], &mut nodes);
    note::<Robot>(plan, &[], &mut nodes);
    Value::Object(nodes)
}

fn note<C: Component>(plan: &Plan, of_this_run: &[&str], nodes: &mut Map<String, Value>) {
    let specs = C::Params::specs();
    let is_default = |name: &str, value: &ParameterValue| specs.iter().any(|s| s.name == name && s.default == *value);
    let given: Map<String, Value> = plan
        .given(C::NAME)
        .into_iter()
        .filter(|(name, value)| name != "use_sim_time" && !of_this_run.contains(&name.as_str()) && !is_default(name, value))
        .map(|(name, value)| (name, plain(value)))
        .collect();
    if !given.is_empty() {
        nodes.insert(key::<C>(), json!({ "ros__parameters": given }));
    }
}

/// The node in a parameter file, whatever namespace the cell has.
fn key<C: Component>() -> String {
    format!("/**/{}", C::NAME)
}

fn plain(value: ParameterValue) -> Value {
    match value {
        ParameterValue::Bool(v) => json!(v),
        ParameterValue::Integer(v) => json!(v),
        ParameterValue::Double(v) => json!(v),
        ParameterValue::String(v) => json!(v),
        ParameterValue::BoolArray(v) => json!(v),
        ParameterValue::IntegerArray(v) => json!(v),
        ParameterValue::DoubleArray(v) => json!(v),
        ParameterValue::StringArray(v) => json!(v),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use camera::Camera;
    use node_kit::Mode;
    use transport::ContextOptions;

    #[test]
    fn what_a_run_was_given_is_a_parameter_file_that_gives_it_again() {
        let mut plan = Plan::new(ContextOptions::in_process(), Mode::Live);
        plan.set::<Camera>("bag", "in.mcap".to_owned()).set::<Camera>("rate", 20.0);
        plan.set::<Decision>("ledger_path", "ledger.db".to_owned()).set::<Decision>("run_id", "then".to_owned());
        plan.set::<Decision>("deadline_ms", 7_i64).set::<Perception>("damage_threshold", 0.5);
        plan.set::<Gallery>("references_dir", "refs".to_owned()).set::<Recorder>("metadata", vec!["shift=night".to_owned()]);
        let entries = entries(&plan);
        assert_eq!((entries[3].as_str(), entries[4].as_str(), entries.len()), ("intact_references=refs", "shift=night", 5));
        let text = entries[2].strip_prefix("intact_parameters=").unwrap();
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut again = Plan::new(ContextOptions::in_process(), Mode::Live);
        again.add_file(file.path()).unwrap();
        assert_eq!(again.get::<Decision>("deadline_ms"), Some(ParameterValue::Integer(7)));
        assert_eq!(again.given(Camera::NAME).len() + again.given(Decision::NAME).len(), 1, "nothing of that run's source, no path: {text}");
        let mut elsewhere = Plan::new(ContextOptions::in_process(), Mode::Live);
        elsewhere.namespace = "/cell_3".to_owned();
        elsewhere.add_file(file.path()).unwrap();
        assert_eq!(elsewhere.get::<Decision>("deadline_ms"), Some(ParameterValue::Integer(7)));
    }

    #[test]
    fn a_replay_that_is_given_less_than_its_record_is_told() {
        let mut then = Plan::new(ContextOptions::in_process(), Mode::Live);
        then.set::<Gallery>("references_dir", "refs".to_owned()).set::<Perception>("damage_threshold", 0.4);
        then.set::<Camera>("rate", 20.0).set::<Decision>("deadline_ms", 7_i64);
        let made_with: BTreeMap<String, String> =
            entries(&then).iter().filter_map(|e| e.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let mut now = Plan::new(ContextOptions::in_process(), Mode::Lockstep);
        now.set::<Decision>("deadline_ms", 7_i64).set::<Perception>("cameras", vec!["left".to_owned()]);
        let said = missing(Path::new("run"), &made_with, &now);
        assert!(said.len() == 2 && said[0].contains("--references refs"), "{said:?}");
        assert!(said[1].contains("(perception.damage_threshold)"), "a camera's pace does not judge: {said:?}");
        assert!(missing(Path::new("run"), &BTreeMap::new(), &now).is_empty(), "a bag that says nothing of itself");
        now.set::<Perception>("damage_threshold", 0.4);
        for models in [None, Some("trees.txt@0 damage.onnx@1 comparison.onnx@2".to_owned())] {
            let (is_named, mut earlier) = (models.is_some(), made_with.clone());
            earlier.remove(MODELS);
            earlier.extend(models.map(|m| (MODELS.to_owned(), m)));
            let said = missing(Path::new("run"), &earlier, &then);
            assert!(
                said.len() == 1
                    && said[0].contains(if is_named { "other models" } else { "does not say which" })
                    && said[0].contains("comparison.onnx@"),
                "{said:?}"
            );
        }
        for url in ["postgres://cell:secret@host/db", "postgres://host/db?user=cell&password=secret"] {
            now.set::<Gallery>("references_dir", url.to_owned());
            assert!(missing(Path::new("run"), &made_with, &now).is_empty());
            assert!(entries(&now).iter().any(|e| e == "intact_references=postgres://cell@host/db"), "{:?}", entries(&now));
            assert!(!entries(&now).concat().contains("secret"));
        }
    }
}
