//! From cues to scores: small sets of decision trees, fitted by `models/classical/fit_trees.py`.

use std::sync::OnceLock;

use super::cues::CUE_NAMES;
use crate::defect::DefectType;

/// The fitted trees: `forest NAME BIAS`, then a tree a line; nodes by `;`, a node is `cue,threshold,left,right` or a leaf.
pub(crate) const TREES: &str = include_str!("trees.txt");

#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// Go left where the cue is at most the threshold.
    Split {
        cue: usize,
        threshold: f32,
        left: usize,
        right: usize,
    },
    Leaf(f32),
}

/// The sum of some trees and a bias, in log odds.
#[derive(Clone, Debug)]
struct Forest {
    name: String,
    bias: f32,
    trees: Vec<Vec<Node>>,
}

impl Forest {
    fn log_odds(&self, cues: &[f32]) -> f32 {
        self.bias + self.trees.iter().map(|t| walk(t, cues)).sum::<f32>()
    }
}

fn walk(tree: &[Node], cues: &[f32]) -> f32 {
    let mut at = 0;
    // Children lie behind their parents, which `parse_node` checks: this ends.
    loop {
        match tree.get(at) {
            Some(Node::Split { cue, threshold, left, right }) => {
                at = if cues.get(*cue).is_some_and(|v| v <= threshold) { *left } else { *right };
            }
            Some(Node::Leaf(value)) => return *value,
            None => return 0.0,
        }
    }
}

fn parse_node(text: &str, at: usize) -> Option<Node> {
    let fields: Vec<&str> = text.split(',').collect();
    match fields[..] {
        [value] => value.parse().ok().map(Node::Leaf),
        [cue, threshold, left, right] => {
            let (left, right) = (left.parse().ok()?, right.parse().ok()?);
            (left > at && right > at)
                .then(|| Some(Node::Split { cue: cue.parse().ok()?, threshold: threshold.parse().ok()?, left, right }))?
        }
        _ => None,
    }
}

/// Reads the format of [`TREES`]; `None` when it is not that, or made for other cues.
fn parse(text: &str) -> Option<Vec<Forest>> {
    let mut forests: Vec<Forest> = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        if let Some(names) = line.strip_prefix("cues ") {
            if !names.split(' ').eq(CUE_NAMES) {
                return None;
            }
        } else if let Some(head) = line.strip_prefix("forest ") {
            let (name, bias) = head.split_once(' ')?;
            forests.push(Forest { name: name.to_owned(), bias: bias.parse().ok()?, trees: Vec::new() });
        } else {
            let tree = line.split(';').enumerate().map(|(i, n)| parse_node(n, i)).collect::<Option<Vec<Node>>>()?;
            forests.last_mut()?.trees.push(tree);
        }
    }
    Some(forests)
}

fn forests() -> &'static [Forest] {
    static FORESTS: OnceLock<Vec<Forest>> = OnceLock::new();
    FORESTS.get_or_init(|| parse(TREES).unwrap_or_default())
}

/// Scores per type, in the order of [`DefectType::ALL`]. The largest is the item's score, which one forest gives; the
/// types' own forests divide it among the types.
pub(crate) fn score(cues: &[f32; CUE_NAMES.len()]) -> [f32; DefectType::ALL.len()] {
    let squash = |v: f32| 1.0 / (1.0 + (-v).exp());
    let odds = |name: &str| forests().iter().find(|f| f.name == name).map(|f| f.log_odds(cues));
    // Without trees nothing can be called whole.
    let overall = odds("damage").map_or(1.0, squash);
    let own = DefectType::ALL.map(|kind| odds(kind.name()).map_or(0.0, squash));
    let largest = own.iter().copied().fold(1e-6, f32::max);
    own.map(|p| overall * p / largest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_fitted_trees_are_readable_and_made_for_these_cues() {
        let forests = parse(TREES).unwrap();
        assert!(forests.iter().any(|f| f.name == "damage" && f.trees.len() > 20));
        for f in &forests {
            assert!(f.name == "damage" || DefectType::ALL.iter().any(|k| k.name() == f.name), "{}", f.name);
        }
    }

    #[test]
    fn trees_walk_left_at_the_threshold() {
        let tree: Vec<Node> = "1,0.5,1,2;-2;3".split(';').enumerate().map(|(i, n)| parse_node(n, i).unwrap()).collect();
        assert_eq!(walk(&tree, &[9.0, 0.5]), -2.0);
        assert_eq!(walk(&tree, &[0.0, 0.6]), 3.0);
        assert_eq!(parse_node("1,0.5,0,2", 1), None, "a tree that turns back would never end");
    }

    #[test]
    fn the_items_score_is_its_largest_type() {
        let scores = score(&[0.0; CUE_NAMES.len()]);
        assert!(scores.iter().all(|s| (0.0..=1.0).contains(s)));
    }
}
