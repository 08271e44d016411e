//! A small tf tree: the latest transform of every frame to its parent.
//!
//! It keeps no history: the cell asks where things are now, and everything it asks about is fixed (`/tf_static`) or
//! still (the arm between two motions).

use std::collections::BTreeMap;

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};

/// Longer chains are taken for loops.
const MAX_DEPTH: usize = 64;

/// Why two frames are not connected, or a transform was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No transform names this frame.
    #[error("frame `{frame}` is not in the tf tree; publish its transform on /tf_static")]
    Unknown {
        /// Frame.
        frame: String,
    },
    /// Both are known, but they have no common ancestor.
    #[error("frames `{target}` and `{source_frame}` are in two unconnected tf trees; a transform between them is missing")]
    Unconnected {
        /// Wanted frame.
        target: String,
        /// Given frame.
        source_frame: String,
    },
    /// A chain of parents that does not end.
    #[error("the tf tree has a loop at `{frame}`")]
    Loop {
        /// Frame.
        frame: String,
    },
    /// A name that is empty, or a frame that is its own parent.
    #[error("transform from `{parent}` to `{child}` does not name two different frames")]
    BadNames {
        /// Parent.
        parent: String,
        /// Child.
        child: String,
    },
    /// NaN, infinity, or a quaternion that is none.
    #[error("{what} of `{frame}` is not a pose: position {position:?}, quaternion {quaternion:?} (x, y, z, w)")]
    NotAPose {
        /// Transform or pose.
        what: &'static str,
        /// Frame.
        frame: String,
        /// As text, since NaN is not comparable.
        position: String,
        /// As text.
        quaternion: String,
    },
}

/// A pose from ROS numbers: position in metres and quaternion x, y, z, w.
///
/// The quaternion must be of unit length within 1 %; it is normalised. `what` and `frame` are for the message.
pub fn checked_pose(
    what: &'static str,
    frame: &str,
    position_m: [f64; 3],
    quaternion_xyzw: [f64; 4],
) -> Result<Isometry3<f64>, FrameError> {
    let [x, y, z, w] = quaternion_xyzw;
    let quaternion = Quaternion::new(w, x, y, z);
    let sound = position_m.iter().all(|v| v.is_finite()) && (quaternion.norm() - 1.0).abs() < 0.01; // false for NaN
    if !sound {
        return Err(FrameError::NotAPose {
            what,
            frame: frame.to_owned(),
            position: format!("{position_m:?}"),
            quaternion: format!("{quaternion_xyzw:?}"),
        });
    }
    let [px, py, pz] = position_m;
    Ok(Isometry3::from_parts(Translation3::new(px, py, pz), UnitQuaternion::from_quaternion(quaternion)))
}

/// The latest known transforms.
#[derive(Clone, Debug, Default)]
pub struct FrameTree {
    parents: BTreeMap<String, (String, Isometry3<f64>)>,
}

/// tf1 wrote frames with a leading slash; tf2 does not.
fn tf2_name(frame: &str) -> &str {
    frame.strip_prefix('/').unwrap_or(frame)
}

impl FrameTree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a transform; it replaces an earlier one of the same child.
    pub fn set(&mut self, parent: &str, child: &str, parent_from_child: Isometry3<f64>) -> Result<(), FrameError> {
        let (parent, child) = (tf2_name(parent), tf2_name(child));
        if parent.is_empty() || child.is_empty() || parent == child {
            return Err(FrameError::BadNames { parent: parent.to_owned(), child: child.to_owned() });
        }
        let q = parent_from_child.rotation.coords;
        let t = parent_from_child.translation.vector;
        let checked = checked_pose("transform", child, [t.x, t.y, t.z], [q.x, q.y, q.z, q.w])?;
        self.parents.insert(child.to_owned(), (parent.to_owned(), checked));
        Ok(())
    }

    /// Takes a transform in ROS numbers: position in metres, quaternion x, y, z, w (see [`checked_pose`]).
    ///
    /// # Errors
    /// [`FrameError::NotAPose`] or [`FrameError::BadNames`]; the tree stays as it was.
    pub fn set_from_numbers(
        &mut self,
        parent: &str,
        child: &str,
        position_m: [f64; 3],
        quaternion_xyzw: [f64; 4],
    ) -> Result<(), FrameError> {
        self.set(parent, child, checked_pose("transform", child, position_m, quaternion_xyzw)?)
    }

    /// Whether a transform names this frame.
    pub fn knows(&self, frame: &str) -> bool {
        let frame = tf2_name(frame);
        self.parents.contains_key(frame) || self.parents.values().any(|(parent, _)| parent == frame)
    }

    /// Number of frames that have a parent.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Whether no transform has come yet.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// `target_from_source`: maps points given in `source` into `target`.
    pub fn lookup(&self, target: &str, source: &str) -> Result<Isometry3<f64>, FrameError> {
        let (target, source) = (tf2_name(target), tf2_name(source));
        if target == source && !target.is_empty() {
            return Ok(Isometry3::identity());
        }
        for frame in [source, target] {
            if !self.knows(frame) {
                return Err(FrameError::Unknown { frame: frame.to_owned() });
            }
        }
        let above_target = self.ancestors(target)?;
        let above_source = self.ancestors(source)?;
        for (frame, ancestor_from_source) in &above_source {
            if let Some((_, ancestor_from_target)) = above_target.iter().find(|(name, _)| name == frame) {
                return Ok(ancestor_from_target.inverse() * ancestor_from_source);
            }
        }
        Err(FrameError::Unconnected { target: target.to_owned(), source_frame: source.to_owned() })
    }

    /// The frame itself and all above it, each with `ancestor_from_frame`.
    fn ancestors<'a>(&'a self, frame: &'a str) -> Result<Vec<(&'a str, Isometry3<f64>)>, FrameError> {
        let mut chain = vec![(frame, Isometry3::identity())];
        let (mut current, mut current_from_frame) = (frame, Isometry3::identity());
        while let Some((parent, parent_from_current)) = self.parents.get(current) {
            current_from_frame = parent_from_current * current_from_frame;
            current = parent;
            chain.push((current, current_from_frame));
            if chain.len() > MAX_DEPTH {
                return Err(FrameError::Loop { frame: frame.to_owned() });
            }
        }
        Ok(chain)
    }
}
