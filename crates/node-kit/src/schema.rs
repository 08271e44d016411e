//! A node's parameter schema as text: Markdown for its README, YAML for `params/`, and `--help`.

use std::fmt::Write;

use transport::{ParameterSpec, ParameterValue, Range};

use crate::params::Parameters;

/// The schema as a Markdown table. A README that contains it word for word cannot lie; nodes test that theirs does.
pub fn markdown<P: Parameters>() -> String {
    let mut table = String::from("| Parameter | Type | Default | Allowed | Set | Meaning |\n|---|---|---|---|---|---|\n");
    for spec in P::specs() {
        let cells = [
            format!("`{}`", spec.name),
            spec.default.type_name().to_owned(),
            format!("`{}`", yaml_value(&spec.default)),
            allowed(&spec),
            when(&spec).to_owned(),
            spec.description.replace('|', "\\|"),
        ];
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    table
}

/// The schema as a ROS parameter file with all defaults, for a node called `node` in whatever namespace.
pub fn yaml<P: Parameters>(node: &str) -> String {
    let mut text = format!("/**/{node}:\n  ros__parameters:\n");
    for spec in P::specs() {
        let allowed = allowed(&spec);
        let allowed = if allowed.is_empty() { String::new() } else { format!(" [{}]", allowed.replace('`', "")) };
        let _ = writeln!(text, "    # {}{allowed}", spec.description);
        let _ = writeln!(text, "    {}: {}", spec.name, yaml_value(&spec.default));
    }
    text
}

/// What `--help` says of a node.
pub fn help<P: Parameters>(node: &str) -> String {
    let mut text = format!(
        "Usage: {node}_node [--help | --describe markdown|yaml] [--ros-args -r FROM:=TO -p NAME:=VALUE --params-file FILE --log-level LEVEL]\n\n\
         Parameters (also `use_sim_time`: ROS time is what /clock says; `autostart`: configure and activate at start):\n"
    );
    for spec in P::specs() {
        let mut facts = vec![spec.default.type_name().to_owned(), format!("default {}", yaml_value(&spec.default))];
        facts.extend(Some(allowed(&spec).replace('`', "")).filter(|a| !a.is_empty()));
        facts.push(when(&spec).to_owned());
        let _ = writeln!(text, "  {}  ({})\n      {}", spec.name, facts.join("; "), spec.description);
    }
    text
}

fn when(spec: &ParameterSpec) -> &'static str {
    if spec.read_only { "at start" } else { "any time" }
}

fn allowed(spec: &ParameterSpec) -> String {
    if !spec.choices.is_empty() {
        return spec.choices.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ");
    }
    let bounds = match &spec.range {
        None => return String::new(),
        Some(Range::Integer { min, max }) => {
            ((*min != i64::MIN).then(|| min.to_string()), (*max < i64::from(u32::MAX)).then(|| max.to_string()))
        }
        Some(Range::Double { min, max }) => (min.is_finite().then(|| min.to_string()), max.is_finite().then(|| max.to_string())),
    };
    match bounds {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("from {min}"),
        (None, Some(max)) => format!("up to {max}"),
        (None, None) => String::new(),
    }
}

/// A value as YAML reads it back.
fn yaml_value(value: &ParameterValue) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    match value {
        ParameterValue::String(text) => quoted(text),
        ParameterValue::StringArray(texts) => list(texts.iter().map(|t| quoted(t)).collect()),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
