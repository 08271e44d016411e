//! From clusters of patches to items: what physics says about parts that the surface alone cannot join.

use std::collections::BTreeMap;

use super::graph::bend_deg;
use super::supervoxels::{NONE, Patches, is_step};
use crate::grid::{Grid, V3};

/// What comes lower than this over the support stands on it, metres.
const STANDS_M: f32 = 0.015;
/// A part that hangs in the air belongs to the neighbour that it touches when it is smaller than this share of it: a
/// cap, a lid, a nozzle.
const CAP_SHARE: f32 = 0.12;
/// The same for parts that do not rise above the neighbour, which therefore cannot lie on it: a handle, a spout.
const HANDLE_SHARE: f32 = 0.4;
/// Smaller clusters are crumbs of a neighbour or noise, square metres (12 mm × 12 mm).
const MIN_AREA_M2: f32 = 1.5e-4;
/// The rims of the inside and the outside of a hollow item are level within this, metres.
const RIM_LEVEL_M: f32 = 0.03;
/// Mean bend of contacts inside a cluster below which it is the inside of something, degrees.
const INSIDE_BEND_DEG: f32 = -2.5;

/// Gaps without depth up to this many cells do not part an item.
const GAP_CELLS: usize = 14;
/// Surfaces on both sides of such a gap touch when they are this near, metres.
const GAP_M: f32 = 0.02;

/// One cluster while items are being made of clusters.
#[derive(Clone, Debug)]
struct Part {
    area_m2: f32,
    low_m: f32,
    high_m: f32,
    bend_sum_deg: f32,
    bends: f32,
}

impl Part {
    const EMPTY: Part = Part { area_m2: 0.0, low_m: f32::MAX, high_m: f32::MIN, bend_sum_deg: 0.0, bends: 0.0 };

    fn join(&mut self, other: &Part) {
        self.area_m2 += other.area_m2;
        self.low_m = self.low_m.min(other.low_m);
        self.high_m = self.high_m.max(other.high_m);
        self.bend_sum_deg += other.bend_sum_deg;
        self.bends += other.bends;
    }

    fn is_inside(&self) -> bool {
        self.bends >= 3.0 && self.bend_sum_deg / self.bends < INSIDE_BEND_DEG
    }
}

/// Common border of an ordered pair of clusters, in pairs of neighbouring cells.
#[derive(Clone, Copy, Debug, Default)]
struct Border {
    touching: u32,
    /// Pairs with a step where the first cluster is the nearer one.
    over: u32,
    /// Pairs with a step where the second cluster is the nearer one.
    under: u32,
}

impl Border {
    fn swapped(self) -> Border {
        Border { touching: self.touching, over: self.under, under: self.over }
    }

    fn add(&mut self, other: Border) {
        self.touching += other.touching;
        self.over += other.over;
        self.under += other.under;
    }
}

/// Clusters with their borders, shrinking as rules join them.
struct Scene {
    parts: Vec<Part>,
    alive: Vec<bool>,
    into: Vec<usize>,
    borders: Vec<BTreeMap<usize, Border>>,
}

impl Scene {
    fn join(&mut self, gone: usize, keep: usize) {
        let part = std::mem::replace(&mut self.parts[gone], Part::EMPTY);
        self.parts[keep].join(&part);
        self.alive[gone] = false;
        self.into[gone] = keep;
        for (other, border) in std::mem::take(&mut self.borders[gone]) {
            self.borders[other].remove(&gone);
            if other != keep {
                self.borders[keep].entry(other).or_default().add(border);
                self.borders[other].entry(keep).or_default().add(border.swapped());
            }
        }
    }

    fn living(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.parts.len()).filter(|i| self.alive[*i])
    }

    /// The neighbour of `part` that `score` likes best; neighbours scored `None` are out of the question.
    fn best_neighbour(&self, part: usize, score: impl Fn(usize, &Border) -> Option<u32>) -> Option<usize> {
        let scored = self.borders[part].iter().filter_map(|(n, b)| score(*n, b).map(|s| (s, *n)));
        scored.max_by_key(|(s, n)| (*s, std::cmp::Reverse(*n))).map(|(_, n)| n)
    }

    /// A crumb and the neighbour that it touches longest.
    fn crumb(&self) -> Option<(usize, usize)> {
        self.living().filter(|i| self.parts[*i].area_m2 < MIN_AREA_M2).find_map(|i| {
            let keep = self.best_neighbour(i, |_, b| Some(2 * b.touching + b.over + b.under))?;
            Some((i, keep))
        })
    }

    /// A part that hangs in the air and the item that it hangs on.
    fn appendage(&self) -> Option<(usize, usize)> {
        self.living().filter(|i| self.parts[*i].low_m > STANDS_M).find_map(|i| {
            let part = &self.parts[i];
            let keep = self.best_neighbour(i, |n, b| {
                let host = &self.parts[n];
                let level = part.high_m < host.high_m + 0.005;
                let share = part.area_m2 / host.area_m2;
                (b.touching >= 3 && (share < CAP_SHARE || (level && share < HANDLE_SHARE))).then_some(b.touching)
            })?;
            Some((i, keep))
        })
    }

    /// The inside of a hollow item and its outside, seen over the rim.
    fn hollow(&self) -> Option<(usize, usize)> {
        self.living().filter(|i| self.parts[*i].is_inside()).find_map(|i| {
            let inside = &self.parts[i];
            let keep = self.best_neighbour(i, |n, b| {
                let level = (self.parts[n].high_m - inside.high_m).abs() < RIM_LEVEL_M;
                (level && b.touching + b.under >= 6).then_some(b.touching + b.under)
            })?;
            Some((i, keep))
        })
    }
}

fn scene(grid: &Grid, normals: &[Option<V3>], patches: &Patches, clusters: &[usize], count: usize) -> Scene {
    let mut scene = Scene {
        parts: vec![Part::EMPTY; count],
        alive: vec![true; count],
        into: (0..count).collect(),
        borders: vec![BTreeMap::new(); count],
    };
    let f2 = (grid.camera.fx * grid.camera.fy) as f32;
    for (patch, c) in patches.list.iter().zip(clusters) {
        let z = patch.centre.z;
        scene.parts[*c].join(&Part {
            area_m2: patch.cells as f32 * z * z / f2,
            low_m: patch.low_m,
            high_m: patch.high_m,
            bend_sum_deg: 0.0,
            bends: 0.0,
        });
    }
    let mut inner: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for i in 0..grid.len() {
        let a = patches.of[i];
        if a == NONE {
            continue;
        }
        let right = (i % grid.w + 1 < grid.w).then(|| i + 1);
        let below = (i / grid.w + 1 < grid.h).then(|| i + grid.w);
        for j in [right, below].into_iter().flatten() {
            let b = patches.of[j];
            if b == NONE || a == b {
                continue;
            }
            let (ca, cb) = (clusters[a as usize], clusters[b as usize]);
            let step = is_step(grid, normals, i, j);
            if ca == cb {
                if !step {
                    *inner.entry((a.min(b), a.max(b))).or_insert(0) += 1;
                }
                continue;
            }
            let nearer = grid.z[i] < grid.z[j];
            let border = Border { touching: u32::from(!step), over: u32::from(step && nearer), under: u32::from(step && !nearer) };
            scene.borders[ca].entry(cb).or_default().add(border);
            scene.borders[cb].entry(ca).or_default().add(border.swapped());
        }
    }
    bridge(grid, patches, clusters, &mut scene);
    for ((a, b), n) in inner {
        let (pa, pb) = (&patches.list[a as usize], &patches.list[b as usize]);
        let part = &mut scene.parts[clusters[a as usize]];
        part.bend_sum_deg += n as f32 * bend_deg((&pa.centre, &pa.normal), (&pb.centre, &pb.normal)).clamp(-40.0, 40.0);
        part.bends += n as f32;
    }
    scene
}

/// Adds borders across narrow gaps without depth (rims, gloss, shadows of thin parts) to those that touch.
fn bridge(grid: &Grid, patches: &Patches, clusters: &[usize], scene: &mut Scene) {
    for (stride, lines, length) in [(1usize, grid.h, grid.w), (grid.w, grid.w, grid.h)] {
        for line in 0..lines {
            let start = if stride == 1 { line * grid.w } else { line };
            let mut last: Option<(usize, usize)> = None;
            for t in 0..length {
                let i = start + t * stride;
                if patches.of[i] == NONE {
                    if grid.z[i] > 0.0 {
                        last = None;
                    }
                    continue;
                }
                if let Some((j, _)) = last.filter(|(_, s)| t > s + 1 && t - s <= GAP_CELLS) {
                    let (a, b) = (clusters[patches.of[j] as usize], clusters[patches.of[i] as usize]);
                    if a != b {
                        let touches = (grid.point(i) - grid.point(j)).norm() < GAP_M;
                        let nearer = grid.z[j] < grid.z[i];
                        let border = Border {
                            touching: u32::from(touches),
                            over: u32::from(!touches && nearer),
                            under: u32::from(!touches && !nearer),
                        };
                        scene.borders[a].entry(b).or_default().add(border);
                        scene.borders[b].entry(a).or_default().add(border.swapped());
                    }
                }
                last = Some((i, t));
            }
        }
    }
}

/// Items (1.. , 0 none) per cell from the cluster of each patch.
pub(crate) fn from_clusters(grid: &Grid, normals: &[Option<V3>], patches: &Patches, clusters: &[u32]) -> Vec<u16> {
    let mut index: BTreeMap<u32, usize> = BTreeMap::new();
    for c in clusters {
        let next = index.len();
        index.entry(*c).or_insert(next);
    }
    let clusters: Vec<usize> = clusters.iter().filter_map(|c| index.get(c).copied()).collect();
    let mut scene = scene(grid, normals, patches, &clusters, index.len());
    // Every join removes one part, so this ends.
    while let Some((gone, keep)) = scene.crumb().or_else(|| scene.hollow()).or_else(|| scene.appendage()) {
        scene.join(gone, keep);
    }
    let root = |mut c: usize| {
        while scene.into[c] != c {
            c = scene.into[c];
        }
        c
    };
    let mut label = vec![0u16; scene.parts.len()];
    let mut next = 0u16;
    for c in scene.living() {
        if scene.parts[c].area_m2 >= MIN_AREA_M2 {
            next = next.saturating_add(1);
            label[c] = next;
        }
    }
    let of_patch: Vec<u16> = clusters.iter().map(|c| label[root(*c)]).collect();
    patches.of.iter().map(|p| of_patch.get(*p as usize).copied().unwrap_or(0)).collect()
}
