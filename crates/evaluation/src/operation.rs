//! What one threshold does, on these items and on the floor.

use serde::Serialize;

use crate::interval::{Interval, wilson};
use crate::ranking::Judged;

/// Items of the line that figures are stated for.
pub const LINE_ITEMS: f64 = 1e6;
/// Share of damaged items on that line.
pub const LINE_DAMAGE_RATE: f64 = 1e-3;

/// One threshold at work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Operation {
    /// Above it an item is not sorted.
    pub threshold: f64,
    /// Whole items that alarm.
    pub false_alarms: usize,
    /// Whole items.
    pub whole: usize,
    /// Share of the whole items that alarm, 95 %.
    pub false_alarm_rate: Interval,
    /// Damaged items that alarm.
    pub found: usize,
    /// Damaged items.
    pub damaged: usize,
    /// Share of the damaged items that alarm, 95 %.
    pub recall: Interval,
    /// Of a million items, one in a thousand damaged: good ones sidelined.
    pub good_sidelined_per_million: f64,
    /// … and bad ones shipped.
    pub bad_shipped_per_million: f64,
}

impl Operation {
    /// Judges `items` at `threshold`.
    pub fn at(items: &[Judged], threshold: f64) -> Operation {
        let count =
            |damaged: bool, alarmed: bool| items.iter().filter(|i| i.damaged == damaged && (!alarmed || i.score > threshold)).count();
        let (whole, damaged) = (count(false, false), count(true, false));
        let (false_alarms, found) = (count(false, true), count(true, true));
        let share = |k: usize, n: usize| if n == 0 { f64::NAN } else { k as f64 / n as f64 };
        Operation {
            threshold,
            false_alarms,
            whole,
            false_alarm_rate: wilson(false_alarms, whole),
            found,
            damaged,
            recall: wilson(found, damaged),
            good_sidelined_per_million: share(false_alarms, whole) * LINE_ITEMS * (1.0 - LINE_DAMAGE_RATE),
            bad_shipped_per_million: (1.0 - share(found, damaged)) * LINE_ITEMS * LINE_DAMAGE_RATE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_million_items() {
        let item = |score: f64, damaged: bool| Judged { score, damaged, major: damaged, group: 0 };
        let items: Vec<Judged> =
            (0..100).map(|i| item(f64::from(i) / 100.0, false)).chain((0..4).map(|i| item(f64::from(i) / 4.0, true))).collect();
        let o = Operation::at(&items, 0.5);
        assert_eq!((o.false_alarms, o.whole, o.found, o.damaged), (49, 100, 1, 4));
        assert!(
            (o.good_sidelined_per_million - 0.49 * 999_000.0).abs() < 1e-6 && (o.bad_shipped_per_million - 750.0).abs() < 1e-9,
            "{o:?}"
        );
    }
}
