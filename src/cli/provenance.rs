//! What a record says of how it was made, and what a replay of it is missing.

use std::collections::BTreeMap;
use std::path::Path;

use camera::Camera;
use decision::Decision;
use gallery::Gallery;
use node_kit::{Component as _, ParameterValue};
use recorder::Recorder;
use serde_json::{Map, Value, json};
use viewer::Viewer;

use crate::cell::{NODES, Plan};

/// Version of the program that made the record.
const VERSION: &str = "intact_version";
/// A ROS parameter file in YAML's flow style: what the run was given beside the defaults.
const PARAMETERS: &str = "intact_parameters";
/// The gallery that the run compared with.
const REFERENCES: &str = "intact_references";

/// Entries `key=value` of a record of this run, before the user's own: those outrank them.
pub fn entries(plan: &Plan) -> Vec<String> {
    let mut entries = vec![format!("{VERSION}={}", env!("CARGO_PKG_VERSION")), format!("{PARAMETERS}={}", parameters(plan))];
    if let Some(references) = references(plan) {
        entries.push(format!("{REFERENCES}={references}"));
    }
    if let Some(ParameterValue::StringArray(own)) = plan.get::<Recorder>("metadata") {
        entries.extend(own);
    }
    entries
}

/// A sentence when the run to replay was compared with references and this one is not.
pub fn missing(bag: &Path, made_with: &BTreeMap<String, String>, plan: &Plan) -> Option<String> {
    let then = made_with.get(REFERENCES)?;
    references(plan).is_none().then(|| {
        format!("{} was recorded with the references {then}; without `--references {then}` its replay compares nothing", bag.display())
    })
}

fn references(plan: &Plan) -> Option<String> {
    match plan.get::<Gallery>("references_dir") {
        Some(ParameterValue::String(place)) if !place.is_empty() => Some(without_password(&place)),
        _ => None,
    }
}

/// `postgres://user:password@host/…` without the password: a bag is handed on.
fn without_password(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else { return place.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return place.to_owned() };
    format!("{scheme}://{}@{host}", user.split(':').next().unwrap_or_default())
}

/// Parameters of every node that do not keep their defaults. What belongs to one run alone is left out: where it reads and writes.
fn parameters(plan: &Plan) -> Value {
    let of_this_run = [
        (Camera::NAME, "bag"),
        (Camera::NAME, "source"),
        (Gallery::NAME, "references_dir"),
        (Decision::NAME, "ledger_path"),
        (Viewer::NAME, "rrd_path"),
        (Recorder::NAME, "output"),
        (Recorder::NAME, "metadata"),
    ];
    let nodes = NODES.iter().filter_map(|node| {
        let given: Map<String, Value> = plan
            .given(node)
            .into_iter()
            .filter(|(name, _)| !of_this_run.contains(&(*node, name.as_str())) && name != "use_sim_time")
            .map(|(name, value)| (name, plain(value)))
            .collect();
        (!given.is_empty()).then(|| ((*node).to_owned(), json!({ "ros__parameters": given })))
    });
    Value::Object(nodes.collect())
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
    use node_kit::Mode;
    use transport::ContextOptions;

    #[test]
    fn what_a_run_was_given_is_a_parameter_file_that_gives_it_again() {
        let mut plan = Plan::new(ContextOptions::in_process(), Mode::Live);
        plan.set::<Camera>("bag", "in.mcap".to_owned()).set::<Camera>("rate", 20.0);
        plan.set::<Decision>("ledger_path", "ledger.db".to_owned()).set::<Decision>("deadline_ms", 7_i64);
        plan.set::<Gallery>("references_dir", "refs".to_owned()).set::<Recorder>("metadata", vec!["shift=night".to_owned()]);
        let entries = entries(&plan);
        assert_eq!((entries[2].as_str(), entries[3].as_str(), entries.len()), ("intact_references=refs", "shift=night", 4));
        let text = entries[1].strip_prefix("intact_parameters=").unwrap();
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut again = Plan::new(ContextOptions::in_process(), Mode::Live);
        again.add_file(file.path()).unwrap();
        assert_eq!(again.get::<Camera>("rate"), Some(ParameterValue::Double(20.0)));
        assert_eq!(again.get::<Decision>("deadline_ms"), Some(ParameterValue::Integer(7)));
        assert_eq!(again.given(Camera::NAME).len() + again.given(Decision::NAME).len(), 2, "no path of that run: {text}");
    }

    #[test]
    fn a_replay_without_the_records_references_is_told() {
        let made_with = BTreeMap::from([(REFERENCES.to_owned(), "refs".to_owned())]);
        let mut plan = Plan::new(ContextOptions::in_process(), Mode::Lockstep);
        assert!(missing(Path::new("run"), &made_with, &plan).unwrap().contains("--references refs"));
        assert_eq!(missing(Path::new("run"), &BTreeMap::new(), &plan), None);
        plan.set::<Gallery>("references_dir", "postgres://cell:secret@host/db".to_owned());
        assert_eq!(missing(Path::new("run"), &made_with, &plan), None);
        assert!(entries(&plan).contains(&"intact_references=postgres://cell@host/db".to_owned()));
        assert!(!entries(&plan).concat().contains("secret"));
    }
}
