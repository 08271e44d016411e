//! The node's parameters.

use std::{collections::BTreeMap, time::Duration};

use manipulation::{DivertSettings, RobotModel};
use node_kit::{Mode, NodeError};

use crate::{DEMO_URDF, controller::Pace};

node_kit::parameters! {
    /// Parameters of the robot node.
    pub struct RobotParams {
        /// URDF file. Empty: the demo cell's, which is built in.
        urdf: String = String::new();
        /// Link at the lip of the suction cup; its z axis points out of it.
        tip: String = "tool0".into();
        /// Bins: `lane` (a link of the same name in the URDF) or `lane=link`. The link is the middle of the bin's mouth, z up.
        bins: Vec<String> = ["sort_a", "sort_b", "sideline", "reimage"].map(String::from).to_vec();
        /// Joint angles to wait at, radians, from the base to the tip.
        home_rad: Vec<f64> = vec![1.2, -0.35, 1.75, 0.0, 1.74, 0.0];
        /// Acceleration limits, radians per second squared: one for all joints, or one each (a URDF has none).
        accelerations_rad_s2: Vec<f64> = vec![6.0];
        /// Share of the URDF's velocity limits that motions use.
        speed_scale: f64 = 0.8, range 0.01..=1.0;
        /// The cup stops this far before the item and goes on in a straight line, metres.
        standoff_m: f64 = 0.08, range 0.01..=0.5;
        /// The item is lifted straight up by this, metres.
        lift_m: f64 = 0.22, range 0.0..=1.0;
        /// The cup lets go this far above the bin's mouth, metres.
        release_height_m: f64 = 0.06, range 0.0..=0.5;
        /// Greatest angle between the item's surface and the horizontal, degrees.
        max_tilt_deg: f64 = 57.0, range 0.0..=90.0;
        /// How long the cup takes to grip or to let go, seconds.
        suction_s: f64 = 0.15, range 0.0..=5.0;
        /// Rate of joint_states and /tf (live), hertz.
        state_hz: f64 = 50.0, range 1.0..=1000.0;
        /// Live: the simulated arm moves this many times as fast as planned. In lockstep it takes no time.
        simulation_speed: f64 = 1.0, range 0.01..=1000.0;
        /// Lockstep: joint states that are published of each motion.
        lockstep_samples: usize = 6, range 1..=1000;
    }
}

impl RobotParams {
    /// The URDF's text.
    pub(crate) fn read_urdf(&self) -> Result<String, NodeError> {
        if self.urdf.is_empty() {
            return Ok(DEMO_URDF.to_owned());
        }
        let unreadable = |error| NodeError::because(format!("cannot read the URDF {}", self.urdf), error);
        std::fs::read_to_string(&self.urdf).map_err(unreadable)
    }

    /// Lane → link of the bin.
    pub(crate) fn bins(&self, model: &RobotModel) -> Result<BTreeMap<String, String>, NodeError> {
        let mut bins = BTreeMap::new();
        for entry in &self.bins {
            let (lane, link) = entry.split_once('=').unwrap_or((entry, entry));
            if lane.is_empty() || !model.has_link(link) {
                return Err(NodeError::msg(format!("bins: the URDF has no link `{link}` for lane `{lane}`")));
            }
            bins.insert(lane.to_owned(), link.to_owned());
        }
        Ok(bins)
    }

    pub(crate) fn settings(&self) -> DivertSettings {
        DivertSettings {
            standoff_m: self.standoff_m,
            lift_m: self.lift_m,
            release_height_m: self.release_height_m,
            max_tilt_rad: self.max_tilt_deg.to_radians(),
            speed_scale: self.speed_scale,
            ..DivertSettings::default()
        }
    }

    pub(crate) fn pace(&self, mode: Mode) -> Pace {
        match mode {
            Mode::Live => Pace::Timed { period: Duration::from_secs_f64(1.0 / self.state_hz), speed: self.simulation_speed },
            Mode::Lockstep => Pace::AtOnce { samples: self.lockstep_samples },
        }
    }
}
