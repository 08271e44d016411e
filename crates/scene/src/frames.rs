//! Which frames hang together, so that nothing is placed where nobody has said it is.

use std::collections::HashMap;

/// Parents of frames, as far as known.
#[derive(Debug, Default)]
pub(crate) struct FrameTree {
    parents: HashMap<String, String>,
}

impl FrameTree {
    /// Notes that `child` is placed in `parent`.
    pub(crate) fn insert(&mut self, parent: &str, child: &str) {
        self.parents.insert(child.to_owned(), parent.to_owned());
    }

    /// Whether somebody has said where `frame` is.
    pub(crate) fn contains(&self, frame: &str) -> bool {
        self.parents.contains_key(frame)
    }

    /// Whether the two frames have a common ancestor.
    pub(crate) fn connected(&self, a: &str, b: &str) -> bool {
        self.root(a) == self.root(b)
    }

    fn root<'a>(&'a self, frame: &'a str) -> &'a str {
        let mut current = frame;
        // A circle of parents must not hang the viewer.
        for _ in 0..=self.parents.len() {
            match self.parents.get(current) {
                Some(parent) => current = parent,
                None => break,
            }
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use super::FrameTree;

    #[test]
    fn frames_are_connected_through_common_ancestors() {
        let mut tree = FrameTree::default();
        tree.insert("cell", "base_link");
        assert!(tree.contains("base_link") && !tree.contains("cell"));
        tree.insert("cell", "camera_link");
        tree.insert("camera_link", "camera_color_optical_frame");
        assert!(tree.connected("camera_color_optical_frame", "base_link"));
        assert!(tree.connected("cell", "cell"));
        assert!(!tree.connected("other_optical_frame", "cell"));
        tree.insert("base_link", "cell");
        // In a circle there is no root; that it ends is what counts.
        let _ = tree.connected("cell", "base_link");
    }
}
