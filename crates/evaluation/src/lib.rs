//! How good scores are. Values in, values out: labels and scores become figures with confidence intervals.
//!
//! [`Ranking`] holds the figures that need no threshold (AUROC, average precision, recall at a rate of false alarms),
//! [`bootstrap`] their intervals, [`Operation`] what a threshold does on a line of a million items, [`reliability`] how
//! far a score is a probability, [`recall_by_size`] how small a damage is still found, [`risk_coverage`] what leaving doubtful items to a person gains, [`Localisation`] how well maps find the damaged pixels.

mod calibration;
mod interval;
mod localisation;
mod operation;
mod ranking;
mod selective;
mod size;

pub use calibration::{Bin, expected_calibration_error, reliability};
pub use interval::{Interval, bootstrap, wilson};
pub use localisation::{Localisation, LocalisationScore};
pub use operation::{LINE_DAMAGE_RATE, LINE_ITEMS, Operation};
pub use ranking::{Curve, Judged, Ranking, auroc, average_precision, threshold_at_false_alarms};
pub use selective::{RiskPoint, certainty, risk_coverage};
pub use size::{SizeBin, recall_by_size};
