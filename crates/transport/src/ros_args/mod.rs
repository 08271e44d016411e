//! ROS command-line arguments and parameter files.
//!
//! `--ros-args -r from:=to -r __ns:=/cell -r __node:=eye -p name:=value -p node:name:=value --params-file FILE
//! --log-level LEVEL [--]`. Everything outside `--ros-args … --` is the program's own and comes back in
//! [`RosArgs::rest`].

mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::TransportError;
use crate::names::{Remap, join, normalised_namespace};
use crate::node::NodeOptions;
use crate::parameters::ParameterValue;
use crate::suggest::nearest;

/// Arguments or parameter files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RosArgsError {
    /// A flag after `--ros-args` that ROS does not know.
    #[error("unknown ROS argument `{flag}`; did you mean `{suggestion}`?")]
    UnknownFlag {
        /// The flag.
        flag: String,
        /// The nearest known one.
        suggestion: String,
    },
    /// A flag without its value.
    #[error("ROS argument `{flag}` needs a value")]
    MissingValue {
        /// The flag.
        flag: String,
    },
    /// `-p` is not `name:=value`.
    #[error("parameter argument `{argument}`: {reason}")]
    BadParameter {
        /// The argument.
        argument: String,
        /// What is wrong.
        reason: String,
    },
    /// A remapping rule is wrong.
    #[error("remapping rule")]
    BadRemap(#[source] TransportError),
    /// A parameter file cannot be read.
    #[error("parameter file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A parameter file is not what ROS calls one.
    #[error("parameter file {}: {reason}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
}

/// What `--ros-args` said.
#[derive(Clone, Debug, Default)]
pub struct RosArgs {
    /// Remapping rules, `__node` and `__ns` included.
    pub remaps: Vec<Remap>,
    /// Parameters of files and of `-p`, in order.
    pub parameters: ParameterOverrides,
    /// `--log-level`, e.g. `debug` or `perception:=debug`.
    pub log_level: Option<String>,
    /// Arguments that are not ROS's.
    pub rest: Vec<String>,
}

/// Flags that take a value, and those that take none; the latter switch logging sinks and change nothing here.
const VALUE_FLAGS: [&str; 9] = ["-r", "--remap", "-p", "--param", "--params-file", "--log-level", "--log-config-file", "-e", "--enclave"];
const PLAIN_FLAGS: [&str; 6] = [
    "--enable-rosout-logs",
    "--disable-rosout-logs",
    "--enable-stdout-logs",
    "--disable-stdout-logs",
    "--enable-external-lib-logs",
    "--disable-external-lib-logs",
];

impl RosArgs {
    /// Parses arguments, the program's name excluded.
    ///
    /// # Errors
    /// The first argument that cannot be used.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, RosArgsError> {
        let mut parsed = Self::default();
        let mut from_arguments = ParameterOverrides::default();
        let mut args = args.into_iter();
        let mut in_ros = false;
        while let Some(arg) = args.next() {
            if !in_ros {
                if arg == "--ros-args" { in_ros = true } else { parsed.rest.push(arg) }
            } else if arg == "--" {
                in_ros = false;
            } else if arg != "--ros-args" && !PLAIN_FLAGS.contains(&arg.as_str()) {
                parsed.take(&arg, &mut args, &mut from_arguments)?;
            }
        }
        // Arguments override files, wherever they stand.
        parsed.parameters.rules.extend(from_arguments.rules);
        Ok(parsed)
    }

    fn take(
        &mut self,
        flag: &str,
        args: &mut impl Iterator<Item = String>,
        from_arguments: &mut ParameterOverrides,
    ) -> Result<(), RosArgsError> {
        if !VALUE_FLAGS.contains(&flag) {
            let known = VALUE_FLAGS.into_iter().chain(PLAIN_FLAGS);
            let suggestion = nearest(flag, known).unwrap_or_default().to_owned();
            return Err(RosArgsError::UnknownFlag { flag: flag.to_owned(), suggestion });
        }
        let value = args.next().ok_or_else(|| RosArgsError::MissingValue { flag: flag.to_owned() })?;
        match flag {
            "-r" | "--remap" => self.remaps.push(Remap::parse(&value).map_err(RosArgsError::BadRemap)?),
            "-p" | "--param" => from_arguments.add_argument(&value)?,
            "--params-file" => self.parameters.add_file(Path::new(&value))?,
            "--log-level" => self.log_level = Some(value),
            // --log-config-file and --enclave have no meaning here, as for ROS programs without that feature.
            _ => tracing::debug!(flag, value, "ROS argument has no effect"),
        }
        Ok(())
    }

    /// Options of a node of this process: its name unless remapped, its remaps, and `use_sim_time`.
    pub fn node_options(&self, name: &str) -> Result<NodeOptions, TransportError> {
        let mut options = NodeOptions::new(name).remap(self.remaps.iter().cloned());
        let (namespace, name) = self.identity(name)?;
        options.use_sim_time = self.parameters.for_node(&namespace, &name).get("use_sim_time") == Some(&ParameterValue::Bool(true));
        Ok(options)
    }

    /// Namespace and name that a node created as `name` ends up with.
    pub fn identity(&self, name: &str) -> Result<(String, String), TransportError> {
        let rule = |key: &str| self.remaps.iter().find(|rule| rule.from == key && rule.applies_to(name)).map(|rule| rule.to.clone());
        let namespace = normalised_namespace(rule("__ns").as_deref().unwrap_or("/"))?;
        Ok((namespace, rule("__node").unwrap_or_else(|| name.to_owned())))
    }
}

/// Parameters for nodes that are named by patterns; later rules win.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParameterOverrides {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    nodes: NodePattern,
    name: String,
    value: ParameterValue,
}

/// Which nodes a rule is for.
#[derive(Clone, Debug, PartialEq)]
enum NodePattern {
    /// `-p name:=value`: every node of the process.
    Every,
    /// `-p node:name:=value`: the node of this base name.
    Base(String),
    /// A key of a file: `/ns/node`, `node` (in the root namespace), with `*` for one part and `**` for any.
    Path(String),
}

impl NodePattern {
    fn matches(&self, namespace: &str, name: &str) -> bool {
        match self {
            Self::Every => true,
            Self::Base(base) => base == name,
            Self::Path(pattern) => {
                let full = join(namespace, name);
                path_matches(&parts(pattern), &parts(&full))
            }
        }
    }
}

fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

fn path_matches(pattern: &[&str], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((&"**", rest)) => (0..=path.len()).any(|skip| path.get(skip..).is_some_and(|tail| path_matches(rest, tail))),
        Some((part, rest)) => path.split_first().is_some_and(|(first, tail)| (*part == "*" || part == first) && path_matches(rest, tail)),
    }
}

impl ParameterOverrides {
    /// Reads a parameter file in ROS's format; its rules come after those that are there.
    ///
    /// # Errors
    /// [`RosArgsError::Unreadable`], [`RosArgsError::BadFile`].
    pub fn add_file(&mut self, path: &Path) -> Result<(), RosArgsError> {
        let text = std::fs::read_to_string(path).map_err(|source| RosArgsError::Unreadable { path: path.to_owned(), source })?;
        self.add_yaml(&text).map_err(|reason| RosArgsError::BadFile { path: path.to_owned(), reason })
    }

    /// Adds what another source says; it outranks what is there.
    pub fn extend(&mut self, other: ParameterOverrides) {
        self.rules.extend(other.rules);
    }

    /// Reads the text of a parameter file.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn add_yaml(&mut self, text: &str) -> Result<(), String> {
        for (node, name, value) in yaml::parameters(text)? {
            self.rules.push(Rule { nodes: NodePattern::Path(node), name, value });
        }
        Ok(())
    }

    /// Adds `[node:]name:=value`.
    ///
    /// # Errors
    /// [`RosArgsError::BadParameter`].
    pub fn add_argument(&mut self, argument: &str) -> Result<(), RosArgsError> {
        let broken = |reason: String| RosArgsError::BadParameter { argument: argument.to_owned(), reason };
        let (name, value) = argument.split_once(":=").ok_or_else(|| broken("the form is name:=value or node:name:=value".to_owned()))?;
        let (nodes, name) = match name.split_once(':') {
            Some((node, name)) => (NodePattern::Base(node.to_owned()), name),
            None => (NodePattern::Every, name),
        };
        if name.is_empty() {
            return Err(broken("the name is empty".to_owned()));
        }
        self.rules.push(Rule { nodes, name: name.to_owned(), value: yaml::value(value).map_err(broken)? });
        Ok(())
    }

    /// Sets a parameter for every node.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<ParameterValue>) {
        self.rules.push(Rule { nodes: NodePattern::Every, name: name.into(), value: value.into() });
    }

    /// The parameters of one node, later rules over earlier ones.
    pub fn for_node(&self, namespace: &str, name: &str) -> BTreeMap<String, ParameterValue> {
        let ours = self.rules.iter().filter(|rule| rule.nodes.matches(namespace, name));
        ours.map(|rule| (rule.name.clone(), rule.value.clone())).collect()
    }

    /// Leaves what was set for every node (`-p name:=value`) to the nodes that have such a parameter. `known`: names of nodes, and of their
    /// parameters. What none of them knows stays for every node, which then say so.
    pub fn leave_to_those_who_know(&mut self, known: &[(&str, Vec<String>)]) {
        let settled = std::mem::take(&mut self.rules).into_iter().flat_map(|rule| {
            let of: Vec<Rule> = (known.iter())
                .filter(|(_, names)| rule.nodes == NodePattern::Every && names.contains(&rule.name))
                .map(|(node, _)| Rule { nodes: NodePattern::Base((*node).to_owned()), ..rule.clone() })
                .collect();
            if of.is_empty() { vec![rule] } else { of }
        });
        self.rules = settled.collect();
    }

    /// Keys of files that match none of `nodes` (namespace, name): most likely a mistyped node name.
    pub fn unmatched<'a>(&'a self, nodes: &[(String, String)]) -> Vec<&'a str> {
        let mut keys: Vec<&str> = self
            .rules
            .iter()
            .filter(|rule| !nodes.iter().any(|(namespace, name)| rule.nodes.matches(namespace, name)))
            .filter_map(|rule| match &rule.nodes {
                NodePattern::Path(pattern) => Some(pattern.as_str()),
                NodePattern::Base(base) => Some(base.as_str()),
                NodePattern::Every => None,
            })
            .collect();
        keys.dedup();
        keys
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
