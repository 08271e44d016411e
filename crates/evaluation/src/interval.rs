//! Confidence intervals.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::ranking::{Judged, Ranking};

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Wilson's 95 % interval of a share of `k` among `n`; [0, 1] of nothing.
pub fn wilson(k: usize, n: usize) -> Interval {
    if n == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (k, n, z) = (k as f64, n as f64, 1.959_964);
    let p = k / n;
    let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Interval { low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
}

/// 95 % intervals of some figures by the bootstrap: groups are drawn with replacement `rounds` times, from a fixed seed.
///
/// A figure that a round does not have (a class was not drawn) is left out of that round; `None` when it is missing in
/// half of them.
pub fn bootstrap<const N: usize>(items: &[Judged], rounds: usize, figures: impl Fn(&Ranking) -> [Option<f64>; N]) -> [Option<Interval>; N] {
    let groups = items.iter().map(|i| i.group + 1).max().unwrap_or(0);
    let mut members: Vec<Vec<Judged>> = vec![Vec::new(); groups];
    for item in items {
        members[item.group].push(*item);
    }
    members.retain(|m| !m.is_empty());
    let mut rng = ChaCha8Rng::seed_from_u64(0x0017_ac7d);
    let mut drawn: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    let mut sample = Vec::with_capacity(items.len());
    for _ in 0..rounds {
        sample.clear();
        for _ in 0..members.len() {
            sample.extend_from_slice(&members[rng.random_range(0..members.len())]);
        }
        for (all, value) in drawn.iter_mut().zip(figures(&Ranking::of(&sample))) {
            all.extend(value);
        }
    }
    drawn.map(|mut values| {
        values.sort_unstable_by(f64::total_cmp);
        let at = |q: f64| values[((values.len() - 1) as f64 * q).round() as usize];
        (values.len() * 2 > rounds).then(|| Interval { low: at(0.025), high: at(0.975) })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn wilson_holds_the_share_and_stays_inside() {
        for (k, n, low, high) in [(0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0), (90, 100, 0.826, 0.945)] {
            let i = wilson(k, n);
            assert!((i.low - low).abs() < 2e-3 && (i.high - high).abs() < 2e-3, "{k}/{n}: {i:?}");
        }
    }

    #[test]
    fn more_items_narrow_the_interval_around_the_figure() {
        let items = |n: usize| -> Vec<Judged> {
            (0..n)
                .map(|i| {
                    let damaged = i % 3 == 0;
                    let score = f64::from((i * 7919 % 101) as u32) + if damaged { 30.0 } else { 0.0 };
                    Judged { score, damaged, major: damaged, group: i }
                })
                .collect()
        };
        let width = |n: usize| {
            let items = items(n);
            let [Some(i)] = bootstrap(&items, 300, |r| [r.auroc]) else { panic!("an interval") };
            let auroc = Ranking::of(&items).auroc.unwrap();
            assert!(i.low < auroc && auroc < i.high, "{i:?} {auroc}");
            i.high - i.low
        };
        assert!(width(900) < 0.6 * width(90));
        assert_eq!(bootstrap(&[], 10, |r| [r.auroc]), [None]);
    }
}
