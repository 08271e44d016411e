//! ROS names: validation, expansion and remapping (design.ros2.org, "Topic and Service names").

use crate::error::TransportError;

/// A remapping rule `[node:]from:=to`; `__node` and `__ns` rename the node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remap {
    /// Only for the node of this base name, when given.
    pub node: Option<String>,
    /// Name as the node knows it: relative, absolute, private, `__node` or `__ns`.
    pub from: String,
    /// Name that it becomes.
    pub to: String,
}

impl Remap {
    /// A rule for every node.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self { node: None, from: from.into(), to: to.into() }
    }

    /// Parses `[node:]from:=to`.
    pub fn parse(rule: &str) -> Result<Self, TransportError> {
        let broken = |reason| TransportError::InvalidName { name: rule.to_owned(), reason };
        let (from, to) = rule.split_once(":=").ok_or(broken("a remapping rule has the form from:=to"))?;
        if from.is_empty() || to.is_empty() {
            return Err(broken("both sides of := must be given"));
        }
        let (node, from) = match from.split_once(':') {
            Some((node, from)) => (Some(node.to_owned()), from),
            None => (None, from),
        };
        // ROS accepts `__name` as an older spelling of `__node`.
        let from = if from == "__name" { "__node" } else { from };
        match from {
            "__node" => check_token(to, rule)?,
            "__ns" => drop(normalised_namespace(to)?),
            _ => {
                check_relative_or_absolute(from)?;
                check_relative_or_absolute(to)?;
            }
        }
        Ok(Self { node, from: from.to_owned(), to: to.to_owned() })
    }

    /// Whether the rule is meant for the node that was created as `node`.
    pub(crate) fn applies_to(&self, node: &str) -> bool {
        self.node.as_deref().is_none_or(|only| only == node)
    }
}

/// Joins namespace and base name: `/` + `a` → `/a`, `/ns` + `a` → `/ns/a`.
pub fn join(namespace: &str, name: &str) -> String {
    if namespace == "/" { format!("/{name}") } else { format!("{namespace}/{name}") }
}

/// Expands a relative, private (`~/…`) or absolute name of the node `namespace`/`node` to a full name.
pub fn expand(name: &str, namespace: &str, node: &str) -> Result<String, TransportError> {
    check_relative_or_absolute(name)?;
    Ok(match name.strip_prefix('~') {
        Some("") => join(namespace, node),
        Some(rest) => format!("{}{rest}", join(namespace, node)),
        None if name.starts_with('/') => name.to_owned(),
        None => join(namespace, name),
    })
}

/// Expands `name` and applies the first rule that matches; `created_as` is the node's name before remapping.
pub fn resolve(name: &str, namespace: &str, node: &str, created_as: &str, remaps: &[Remap]) -> Result<String, TransportError> {
    let full = expand(name, namespace, node)?;
    for rule in remaps.iter().filter(|rule| rule.applies_to(created_as) && !rule.from.starts_with("__")) {
        if expand(&rule.from, namespace, node)? == full {
            return expand(&rule.to, namespace, node);
        }
    }
    Ok(full)
}

/// A namespace with a leading and without a trailing slash; empty becomes `/`.
pub fn normalised_namespace(namespace: &str) -> Result<String, TransportError> {
    let inner = namespace.trim_start_matches('/').trim_end_matches('/');
    if inner.is_empty() {
        return Ok("/".to_owned());
    }
    for token in inner.split('/') {
        check_token(token, namespace)?;
    }
    Ok(format!("/{inner}"))
}

/// Whether `token` is one part of a name: letters, digits, underscores, not starting with a digit.
pub fn check_token(token: &str, whole: &str) -> Result<(), TransportError> {
    let broken = |reason| Err(TransportError::InvalidName { name: whole.to_owned(), reason });
    if token.is_empty() {
        return broken("a part between slashes is empty");
    }
    if token.starts_with(|c: char| c.is_ascii_digit()) {
        return broken("a part starts with a digit");
    }
    if !token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return broken("only letters, digits and underscores are allowed between slashes");
    }
    if token.contains("__") {
        return broken("two underscores in a row are not allowed");
    }
    Ok(())
}

fn check_relative_or_absolute(name: &str) -> Result<(), TransportError> {
    let inner = match name.strip_prefix('~') {
        Some("") => return Ok(()),
        Some(rest) => rest
            .strip_prefix('/')
            .ok_or_else(|| TransportError::InvalidName { name: name.to_owned(), reason: "a private name has the form ~/name" })?,
        None => name.strip_prefix('/').unwrap_or(name),
    };
    if inner.is_empty() {
        return Err(TransportError::InvalidName { name: name.to_owned(), reason: "the name is empty" });
    }
    inner.split('/').try_for_each(|token| check_token(token, name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_expand_as_in_ros() {
        for (name, namespace, expected) in [
            ("chatter", "/", "/chatter"),
            ("chatter", "/cell", "/cell/chatter"),
            ("camera/color/image_raw", "/cell", "/cell/camera/color/image_raw"),
            ("/chatter", "/cell", "/chatter"),
            ("~/set", "/cell", "/cell/node/set"),
            ("~", "/", "/node"),
            ("divert_item/_action/send_goal", "/", "/divert_item/_action/send_goal"),
        ] {
            assert_eq!(expand(name, namespace, "node").unwrap(), expected, "{name} in {namespace}");
        }
    }

    #[test]
    fn broken_names_are_refused() {
        for name in ["", "/", "a//b", "a/", "1a", "a/2", "a-b", "a b", "ä", "a__b", "~x", "/~"] {
            assert!(expand(name, "/", "node").is_err(), "{name}");
        }
    }

    #[test]
    fn namespaces_are_normalised() {
        for (given, expected) in [("", "/"), ("/", "/"), ("cell", "/cell"), ("/cell/", "/cell"), ("/a/b", "/a/b")] {
            assert_eq!(normalised_namespace(given).unwrap(), expected);
        }
        assert!(normalised_namespace("/a//b").is_err());
    }

    #[test]
    fn the_first_matching_rule_wins() {
        let rules: Vec<Remap> = ["image:=/cam/image", "/cell/image:=late", "other:node2:=x", "node:~/set:=adjust", "/abs:=rel"]
            .iter()
            .filter_map(|rule| Remap::parse(rule).ok())
            .collect();
        for (name, expected) in [
            ("image", "/cam/image"),
            ("/cell/image", "/cam/image"),
            ("/image", "/image"),
            ("~/set", "/cell/adjust"),
            ("/abs", "/cell/rel"),
            ("node2", "/cell/node2"),
        ] {
            assert_eq!(resolve(name, "/cell", "node", "node", &rules).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn rules_parse_or_say_why() {
        assert_eq!(Remap::parse("__name:=eye").unwrap(), Remap::new("__node", "eye"));
        assert_eq!(Remap::parse("cam:image:=/x").unwrap(), Remap { node: Some("cam".into()), from: "image".into(), to: "/x".into() });
        for rule in ["a", "a:=", ":=b", "a:=b c", "__node:=a/b", "a b:=c"] {
            assert!(Remap::parse(rule).is_err(), "{rule}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_full_name_expands_to_itself(name in "~?/?[a-z_][a-z0-9_/]{0,12}", namespace in "(/[a-z]{1,3}){1,2}") {
            if let Ok(full) = expand(&name, &namespace, "node") {
                proptest::prop_assert!(full.starts_with('/'));
                proptest::prop_assert_eq!(expand(&full, "/other", "other").ok(), Some(full));
            }
        }
    }
}
