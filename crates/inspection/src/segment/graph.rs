//! Joins patches into items: a signed graph over touching patches, cut greedily.
//!
//! Convex and smooth contacts vote for one item, concave creases and steps for two (the convexity principle of LCCP,
//! Stein et al., CVPR 2014). Votes add up along the whole common border, and the pair with the strongest sum is joined
//! first (greedy additive edge contraction, Keuper et al., ICCV 2015), so that one noisy contact cannot glue two items.

use std::collections::{BTreeMap, BinaryHeap};

use super::supervoxels::{NONE, Patches, is_step};
use crate::grid::{Grid, V3};

/// How contacts vote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Votes {
    /// Concave bend up to which a surface counts as smooth, degrees: noise, and the insides of round things.
    pub smooth_deg: f32,
    /// Concave bend at which a contact votes fully for a cut, degrees.
    pub crease_deg: f32,
    /// Weight of a full vote for a cut against one for a join.
    pub cut: f32,
    /// Weight of a step against a join.
    pub step: f32,
}

/// What two patches share.
#[derive(Clone, Copy, Debug, Default)]
struct Contact {
    /// Pairs of cells that touch on the surface.
    touching: u32,
    /// Pairs of cells with a step between them, and how often the first patch was the nearer one.
    steps: u32,
}

/// Signed edge weights between clusters; keys are ordered pairs.
#[derive(Default)]
pub(crate) struct SignedGraph {
    edges: Vec<BTreeMap<u32, f32>>,
}

/// Contacts of each patch with the patches after it, in the order in which the picture shows them.
fn contacts(grid: &Grid, normals: &[Option<V3>], patches: &Patches) -> Vec<Vec<(u32, Contact)>> {
    // A patch has a handful of neighbours: a list is searched faster than a map.
    let mut out: Vec<Vec<(u32, Contact)>> = vec![Vec::new(); patches.list.len()];
    for y in 0..grid.h {
        for x in 0..grid.w {
            let i = y * grid.w + x;
            let a = patches.of[i];
            if a == NONE {
                continue;
            }
            let right = (x + 1 < grid.w).then(|| i + 1);
            let below = (y + 1 < grid.h).then(|| i + grid.w);
            for j in [right, below].into_iter().flatten() {
                let b = patches.of[j];
                if b == NONE || a == b {
                    continue;
                }
                let list = &mut out[a.min(b) as usize];
                let at = list.iter().position(|(other, _)| *other == a.max(b)).unwrap_or_else(|| {
                    list.push((a.max(b), Contact::default()));
                    list.len() - 1
                });
                if is_step(grid, normals, i, j) {
                    list[at].1.steps += 1;
                } else {
                    list[at].1.touching += 1;
                }
            }
        }
    }
    out
}

/// Bend of the surface from one patch to the other in degrees: positive over a convex edge, negative in a crease.
pub(crate) fn bend_deg(a: (&V3, &V3), b: (&V3, &V3)) -> f32 {
    let (pa, na) = a;
    let (pb, nb) = b;
    let angle = na.dot(nb).clamp(-1.0, 1.0).acos().to_degrees();
    if (na - nb).dot(&(pa - pb)) >= 0.0 { angle } else { -angle }
}

/// Vote of a touching pair in [−cut, 1].
fn vote(votes: &Votes, a: (&V3, &V3), b: (&V3, &V3)) -> f32 {
    let bend = bend_deg(a, b);
    let gap = a.0 - b.0;
    // Two parallel faces side by side at different heights: a step too low for a jump of depth.
    let offset = a.1.dot(&gap).abs().max(b.1.dot(&gap).abs());
    let allowed = 0.004 + 0.003 * a.0.z * a.0.z + 0.35 * gap.norm() * (bend.abs().to_radians() * 0.5).sin().abs() * 2.0;
    if bend.abs() < 20.0 && offset > allowed + 0.25 * gap.norm() {
        return -0.5 * votes.cut;
    }
    let fall = (bend + votes.smooth_deg) / (votes.crease_deg - votes.smooth_deg).max(1.0);
    (1.0 + fall * (1.0 + votes.cut)).clamp(-votes.cut, 1.0)
}

/// The signed graph of all patches.
pub(crate) fn build(grid: &Grid, normals: &[Option<V3>], patches: &Patches, votes: &Votes) -> SignedGraph {
    let mut graph = SignedGraph { edges: vec![BTreeMap::new(); patches.list.len()] };
    for (a, list) in contacts(grid, normals, patches).into_iter().enumerate() {
        for (b, contact) in list {
            let (pa, pb) = (&patches.list[a], &patches.list[b as usize]);
            let mut weight = -(contact.steps as f32) * votes.step;
            if contact.touching > 0 {
                weight += contact.touching as f32 * vote(votes, (&pa.centre, &pa.normal), (&pb.centre, &pb.normal));
            }
            graph.add(a as u32, b, weight);
        }
    }
    graph
}

impl SignedGraph {
    fn add(&mut self, a: u32, b: u32, weight: f32) {
        *self.edges[a as usize].entry(b).or_insert(0.0) += weight;
        *self.edges[b as usize].entry(a).or_insert(0.0) += weight;
    }

    /// Contracts the strongest positive edge until none is left; gives the cluster of every node.
    pub fn contract(mut self) -> Vec<u32> {
        let n = self.edges.len();
        let mut parent: Vec<u32> = (0..n as u32).collect();
        let mut heap: BinaryHeap<Candidate> = BinaryHeap::new();
        for (a, row) in self.edges.iter().enumerate() {
            heap.extend(
                row.iter().filter(|(b, w)| **b > a as u32 && **w > 0.0).map(|(b, w)| Candidate { weight: *w, pair: (a as u32, *b) }),
            );
        }
        while let Some(Candidate { weight, pair: (a, b) }) = heap.pop() {
            // Stale entries are those whose edge has changed or gone.
            if self.edges[a as usize].get(&b) != Some(&weight) {
                continue;
            }
            let (keep, gone) = if self.edges[a as usize].len() >= self.edges[b as usize].len() { (a, b) } else { (b, a) };
            parent[gone as usize] = keep;
            let moved = std::mem::take(&mut self.edges[gone as usize]);
            self.edges[keep as usize].remove(&gone);
            for (other, w) in moved.into_iter().filter(|(o, _)| *o != keep) {
                self.edges[other as usize].remove(&gone);
                let sum = self.edges[keep as usize].get(&other).copied().unwrap_or(0.0) + w;
                self.edges[keep as usize].insert(other, sum);
                self.edges[other as usize].insert(keep, sum);
                if sum > 0.0 {
                    heap.push(Candidate { weight: sum, pair: (keep.min(other), keep.max(other)) });
                }
            }
        }
        (0..n as u32).map(|i| root(&parent, i)).collect()
    }
}

fn root(parent: &[u32], mut i: u32) -> u32 {
    while parent[i as usize] != i {
        i = parent[i as usize];
    }
    i
}

#[derive(PartialEq)]
struct Candidate {
    weight: f32,
    pair: (u32, u32),
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The pair breaks ties, so that the order never depends on how the heap was filled.
        self.weight.total_cmp(&other.weight).then_with(|| other.pair.cmp(&self.pair))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(n: usize, edges: &[(u32, u32, f32)]) -> SignedGraph {
        let mut g = SignedGraph { edges: vec![BTreeMap::new(); n] };
        for (a, b, w) in edges {
            g.add(*a, *b, *w);
        }
        g
    }

    #[test]
    fn one_leak_does_not_join_two_clusters() {
        // Two triangles; a single positive contact between them is outvoted by two negative ones.
        let cut = graph(
            6,
            &[(0, 1, 5.0), (1, 2, 5.0), (0, 2, 5.0), (3, 4, 5.0), (4, 5, 5.0), (3, 5, 5.0), (2, 3, 2.0), (1, 4, -2.0), (0, 5, -1.0)],
        )
        .contract();
        assert_eq!(cut[0], cut[2]);
        assert_eq!(cut[3], cut[5]);
        assert_ne!(cut[0], cut[3]);
    }

    #[test]
    fn positive_sums_join() {
        let cut = graph(4, &[(0, 1, 1.0), (2, 3, 1.0), (1, 2, 3.0), (0, 3, -0.5)]).contract();
        assert!(cut.iter().all(|c| *c == cut[0]));
    }

    #[test]
    fn creases_vote_against_and_ridges_for() {
        let votes = Votes { smooth_deg: 12.0, crease_deg: 35.0, cut: 2.0, step: 1.0 };
        let (up, side) = (V3::new(0.0, 0.0, -1.0), V3::new(-1.0, 0.0, 0.0));
        // A ridge: the top lies to the right of and above a face that looks left.
        let ridge = vote(&votes, (&V3::new(0.01, 0.0, 0.5), &up), (&V3::new(0.0, 0.0, 0.51), &side));
        // A crease: the floor lies to the left of that face.
        let crease = vote(&votes, (&V3::new(-0.01, 0.0, 0.51), &up), (&V3::new(0.0, 0.0, 0.5), &side));
        assert!(ridge > 0.9 && crease < -1.9, "{ridge} {crease}");
    }
}
