//! ROS parameter files: `node: ros__parameters: name: value`, nodes and names nested at will.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::parameters::ParameterValue;

const PARAMETERS: &str = "ros__parameters";

/// YAML with duplicate keys refused (the parser alone would keep the last one silently).
#[derive(Debug)]
enum Yaml {
    Null,
    Bool(bool),
    Integer(i64),
    Double(f64),
    String(String),
    Sequence(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a bool",
            Self::Integer(_) => "an integer",
            Self::Double(_) => "a double",
            Self::String(_) => "a string",
            Self::Sequence(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a parameter value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Yaml, E> {
        i64::try_from(value).map(Yaml::Integer).map_err(|_| E::custom(format!("{value} does not fit into 64 bits with a sign")))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Yaml::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Yaml, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Yaml::Sequence(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Yaml, A::Error> {
        let mut entries: Vec<(String, Yaml)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.iter().any(|(other, _)| *other == key) {
                return Err(serde::de::Error::custom(format!("`{key}` is given twice")));
            }
            entries.push((key, map.next_value()?));
        }
        Ok(Yaml::Map(entries))
    }
}

/// The value of a `-p` argument, typed as YAML types it.
pub(super) fn value(text: &str) -> Result<ParameterValue, String> {
    if text.is_empty() {
        return Ok(ParameterValue::String(String::new()));
    }
    let yaml: Yaml = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    to_value(yaml, "the value")
}

/// All parameters of a file: node pattern, dotted name, value; in the file's order.
pub(super) fn parameters(text: &str) -> Result<Vec<(String, String, ParameterValue)>, String> {
    let mut found = Vec::new();
    match serde_yaml::from_str(text).map_err(|error| error.to_string())? {
        Yaml::Null => {}
        Yaml::Map(entries) => nodes(String::new(), entries, &mut found)?,
        other => return Err(format!("the file holds {}, not nodes with `{PARAMETERS}`", other.kind())),
    }
    Ok(found)
}

fn nodes(path: String, entries: Vec<(String, Yaml)>, found: &mut Vec<(String, String, ParameterValue)>) -> Result<(), String> {
    for (key, value) in entries {
        let here = format!("{path}/{}", key.trim_matches('/'));
        match value {
            Yaml::Map(entries) if key == PARAMETERS => {
                if path.is_empty() {
                    return Err(format!("`{PARAMETERS}` stands without a node above it"));
                }
                names(&path, "", entries, found)?;
            }
            Yaml::Null if key == PARAMETERS => {}
            Yaml::Map(entries) => nodes(here, entries, found)?,
            other => {
                return Err(format!("`{here}` is {}; parameters belong under `{PARAMETERS}` of a node", other.kind()));
            }
        }
    }
    Ok(())
}

fn names(node: &str, prefix: &str, entries: Vec<(String, Yaml)>, found: &mut Vec<(String, String, ParameterValue)>) -> Result<(), String> {
    for (key, value) in entries {
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Yaml::Map(entries) => names(node, &name, entries, found)?,
            scalar => {
                let value = to_value(scalar, &format!("parameter `{name}` of `{node}`"))?;
                found.push((node.to_owned(), name, value));
            }
        }
    }
    Ok(())
}

fn to_value(yaml: Yaml, what: &str) -> Result<ParameterValue, String> {
    match yaml {
        Yaml::Bool(value) => Ok(ParameterValue::Bool(value)),
        Yaml::Integer(value) => Ok(ParameterValue::Integer(value)),
        Yaml::Double(value) => Ok(ParameterValue::Double(value)),
        Yaml::String(value) => Ok(ParameterValue::String(value)),
        Yaml::Sequence(values) => array(values, what),
        Yaml::Null | Yaml::Map(_) => Err(format!("{what} has no value")),
    }
}

/// An array of one type; integers among doubles count as doubles.
fn array(values: Vec<Yaml>, what: &str) -> Result<ParameterValue, String> {
    let all = |fits: fn(&Yaml) -> bool| values.iter().all(fits);
    if values.is_empty() || all(|value| matches!(value, Yaml::String(_))) {
        let texts = values.into_iter().filter_map(|value| if let Yaml::String(text) = value { Some(text) } else { None });
        Ok(ParameterValue::StringArray(texts.collect()))
    } else if all(|value| matches!(value, Yaml::Bool(_))) {
        let bools = values.into_iter().filter_map(|value| if let Yaml::Bool(value) = value { Some(value) } else { None });
        Ok(ParameterValue::BoolArray(bools.collect()))
    } else if all(|value| matches!(value, Yaml::Integer(_))) {
        let integers = values.into_iter().filter_map(|value| if let Yaml::Integer(value) = value { Some(value) } else { None });
        Ok(ParameterValue::IntegerArray(integers.collect()))
    } else if all(|value| matches!(value, Yaml::Integer(_) | Yaml::Double(_))) {
        let doubles = values.into_iter().filter_map(|value| match value {
            Yaml::Integer(value) => Some(value as f64),
            Yaml::Double(value) => Some(value),
            _ => None,
        });
        Ok(ParameterValue::DoubleArray(doubles.collect()))
    } else {
        Err(format!("{what} is a list of different types"))
    }
}
