//! How well found items cover true ones.

use vision::LabelMask;

use crate::captures::IGNORE;

/// IoU of each true item with the item matched to it; a miss is 0.
pub fn ious(truth: &[u16], mask: &LabelMask) -> Vec<f64> {
    let mut labels: Vec<u16> = truth.iter().copied().filter(|l| *l != 0 && *l != IGNORE).collect();
    labels.sort_unstable();
    labels.dedup();
    let found = usize::from(mask.data().iter().copied().max().unwrap_or(0));
    let mut both = vec![vec![0u32; found + 1]; labels.len()];
    let (mut of_truth, mut of_found) = (vec![0u32; labels.len()], vec![0u32; found + 1]);
    for (t, m) in truth.iter().zip(mask.data()).filter(|(t, _)| **t != IGNORE) {
        of_found[usize::from(*m)] += 1;
        if let Ok(k) = labels.binary_search(t) {
            of_truth[k] += 1;
            both[k][usize::from(*m)] += 1;
        }
    }
    let table: Vec<Vec<f64>> = (0..labels.len())
        .map(|k| (1..=found).map(|m| f64::from(both[k][m]) / f64::from((of_truth[k] + of_found[m] - both[k][m]).max(1))).collect())
        .collect();
    assign(&table)
}

/// The one-to-one assignment of rows to columns with the largest sum (Hungarian method); the value of each row.
fn assign(value: &[Vec<f64>]) -> Vec<f64> {
    let rows = value.len();
    let n = rows.max(value.first().map_or(0, Vec::len));
    let cost = |i: usize, j: usize| -value.get(i).and_then(|r| r.get(j)).copied().unwrap_or(0.0);
    let (mut u, mut v) = (vec![0.0; n + 1], vec![0.0; n + 1]);
    let mut row_of = vec![0usize; n + 1];
    for i in 1..=n {
        row_of[0] = i;
        let mut j0 = 0;
        let mut least = vec![f64::INFINITY; n + 1];
        let mut used = vec![false; n + 1];
        let mut way = vec![0usize; n + 1];
        while row_of[j0] != 0 {
            used[j0] = true;
            let (i0, mut delta, mut j1) = (row_of[j0], f64::INFINITY, 0);
            for j in (1..=n).filter(|j| !used[*j]) {
                let reduced = cost(i0 - 1, j - 1) - u[i0] - v[j];
                if reduced < least[j] {
                    (least[j], way[j]) = (reduced, j0);
                }
                if least[j] < delta {
                    (delta, j1) = (least[j], j);
                }
            }
            for j in 0..=n {
                if used[j] {
                    u[row_of[j]] += delta;
                    v[j] -= delta;
                } else {
                    least[j] -= delta;
                }
            }
            j0 = j1;
        }
        while j0 != 0 {
            row_of[j0] = row_of[way[j0]];
            j0 = way[j0];
        }
    }
    let mut out = vec![0.0; rows];
    for j in 1..=n {
        if (1..=rows).contains(&row_of[j]) {
            out[row_of[j] - 1] = -cost(row_of[j] - 1, j - 1);
        }
    }
    out
}
