//! How well maps find the damaged pixels.

use serde::Serialize;

/// Steps between thresholds on [0, 1].
const LEVELS: usize = 256;
/// Regions of fewer pixels are crumbs and speckle: they count among the pixels, not among the regions.
const SMALLEST_REGION_PX: usize = 8;
/// Rate of false pixels up to which the overlap is integrated (Bergmann et al., MVTec AD, IJCV 2021).
const PRO_LIMIT: f64 = 0.3;

/// Gathers maps and true regions, a picture at a time: pictures are not kept, a histogram a true region is.
#[derive(Clone, Debug)]
pub struct Localisation {
    /// Pixels a level: whole, damaged.
    whole: Vec<u64>,
    damaged: Vec<u64>,
    /// Pixels a level, one histogram a true region.
    regions: Vec<Vec<u32>>,
}

/// Figures over all pictures; `None` without damaged pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LocalisationScore {
    /// AUROC over pixels.
    pub pixel_auroc: Option<f64>,
    /// Mean overlap of the regions, integrated up to 30 % false pixels, divided by 0.3. A region is connected over sides and
    /// corners, as in MVTec's reference implementation, and has eight pixels or more; `None` where there is none.
    pub aupro: Option<f64>,
    /// Regions that it is the mean over.
    pub regions: usize,
}

impl Default for Localisation {
    fn default() -> Self {
        Self { whole: vec![0; LEVELS], damaged: vec![0; LEVELS], regions: Vec::new() }
    }
}

impl Localisation {
    /// Adds one picture: `map` in [0, 1] and the `truth` of the same pixels, rows of `width`.
    pub fn add(&mut self, map: &[f32], truth: &[bool], width: usize) {
        let level = |v: f32| ((v * (LEVELS - 1) as f32).round().max(0.0) as usize).min(LEVELS - 1);
        for (v, t) in map.iter().zip(truth) {
            let counts = if *t { &mut self.damaged } else { &mut self.whole };
            counts[level(*v)] += 1;
        }
        for region in regions(truth, width).into_iter().filter(|r| r.len() >= SMALLEST_REGION_PX) {
            let mut histogram = vec![0; LEVELS];
            for i in region {
                histogram[level(map.get(i).copied().unwrap_or(0.0))] += 1;
            }
            self.regions.push(histogram);
        }
    }

    /// The figures.
    pub fn score(&self) -> LocalisationScore {
        let (whole, damaged): (u64, u64) = (self.whole.iter().sum(), self.damaged.iter().sum());
        if whole == 0 || damaged == 0 {
            return LocalisationScore::default();
        }
        let share = 1.0 / self.regions.len().max(1) as f64;
        let mut gains = vec![0.0f64; LEVELS];
        for region in &self.regions {
            let size = region.iter().map(|n| f64::from(*n)).sum::<f64>().max(1.0);
            for (gain, n) in gains.iter_mut().zip(region) {
                *gain += share * f64::from(*n) / size;
            }
        }
        // From the highest level down: rates of false and true pixels, and the mean overlap of the regions.
        let (mut false_rate, mut true_rate, mut overlap) = (0.0, 0.0, 0.0);
        let (mut area, mut pro) = (0.0, 0.0);
        for level in (0..LEVELS).rev() {
            let f = false_rate + self.whole[level] as f64 / whole as f64;
            let t = true_rate + self.damaged[level] as f64 / damaged as f64;
            let o = overlap + gains[level];
            area += (f - false_rate) * (t + true_rate) / 2.0;
            if false_rate < PRO_LIMIT {
                let end = f.min(PRO_LIMIT);
                let at_end = if f > false_rate { overlap + (o - overlap) * (end - false_rate) / (f - false_rate) } else { o };
                pro += (end - false_rate) * (overlap + at_end) / 2.0;
            }
            (false_rate, true_rate, overlap) = (f, t, o);
        }
        let aupro = (!self.regions.is_empty()).then_some(pro / PRO_LIMIT);
        LocalisationScore { pixel_auroc: Some(area), aupro, regions: self.regions.len() }
    }
}

/// Connected regions (8-neighbourhood) of the set pixels.
fn regions(set: &[bool], width: usize) -> Vec<Vec<usize>> {
    let mut seen = vec![false; set.len()];
    let mut found = Vec::new();
    for start in (0..set.len()).filter(|i| set[*i]) {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let (mut region, mut next) = (vec![start], 0);
        while let Some(i) = region.get(next).copied() {
            next += 1;
            let x = i % width.max(1);
            let rows = [i.checked_sub(width), Some(i), Some(i + width)];
            let around = rows.into_iter().flatten().flat_map(|j| [(x > 0).then(|| j - 1), Some(j), (x + 1 < width).then(|| j + 1)]);
            for j in around.flatten().filter(|j| *j < set.len()) {
                if set[j] && !seen[j] {
                    seen[j] = true;
                    region.push(j);
                }
            }
        }
        found.push(region);
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_perfect_map_scores_one_and_a_flat_map_one_half() {
        let truth: Vec<bool> = (0..400).map(|i| (i % 20) < 5 && i / 20 < 5).collect();
        let perfect: Vec<f32> = truth.iter().map(|t| if *t { 0.9 } else { 0.1 }).collect();
        let mut l = Localisation::default();
        l.add(&perfect, &truth, 20);
        let score = l.score();
        assert!((score.pixel_auroc.unwrap() - 1.0).abs() < 1e-9 && score.aupro.unwrap() > 0.99, "{score:?}");
        let mut l = Localisation::default();
        l.add(&[0.5; 400], &truth, 20);
        let score = l.score();
        assert!((score.pixel_auroc.unwrap() - 0.5).abs() < 1e-9 && (score.aupro.unwrap() - 0.15).abs() < 1e-9, "{score:?}");
        assert_eq!(Localisation::default().score(), LocalisationScore::default());
    }

    #[test]
    fn a_small_region_counts_as_much_as_a_large_one() {
        // The large region is found, the small one is not: overlap one half, pixels nearly all.
        let small = |i: usize| i % 20 >= 17 && i / 20 >= 17;
        let truth: Vec<bool> = (0..400).map(|i| (i % 20 < 8) || small(i)).collect();
        let map: Vec<f32> = (0..400).map(|i| if i % 20 < 8 { 1.0 } else { 0.0 }).collect();
        let mut l = Localisation::default();
        l.add(&map, &truth, 20);
        let score = l.score();
        assert!(score.pixel_auroc.unwrap() > 0.95 && score.aupro.unwrap() < 0.7 && score.regions == 2, "{score:?}");
    }

    #[test]
    fn corners_connect_and_crumbs_are_no_regions() {
        // A diagonal of twelve pixels is one region; three pixels apart are none.
        let truth: Vec<bool> = (0..400).map(|i| (i % 20 == i / 20 && i / 20 < 12) || [15, 57, 399].contains(&i)).collect();
        let mut l = Localisation::default();
        l.add(&[0.5; 400], &truth, 20);
        assert_eq!(l.score().regions, 1);
        let mut crumbs = Localisation::default();
        crumbs.add(&[0.5; 400], &(0..400).map(|i| i == 7).collect::<Vec<_>>(), 20);
        let score = crumbs.score();
        assert!(score.pixel_auroc.is_some() && score.aupro.is_none(), "{score:?}");
    }
}
