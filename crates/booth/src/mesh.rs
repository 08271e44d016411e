//! Surfaces as regular grids: each patch carries a texture and can be bent, cut and looked up by texture position.

use std::ops::Range;
use std::sync::Arc;

use nalgebra::Vector3;

use crate::paint::{Rgb, Texture};

/// A point or direction in metres, z up.
pub(crate) type V3 = Vector3<f32>;

/// What a patch is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Printed outer skin; may be cut and marked.
    Skin,
    /// Cap, lid, rim, pages: outer surface that is neither cut nor marked.
    Trim,
    /// Countable unit number n.
    Unit(u16),
    /// Contents behind the skin.
    Inside,
    /// A piece that came off and lies beside its item.
    Loose,
    /// Spilt matter: damage, but no part of the item's mask.
    Spill,
    /// Tray and table.
    Tray,
}

/// One grid of `nu` × `nv` vertices.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    pub texture: Arc<Texture>,
    /// Seen from behind.
    pub inner_rgb: Rgb,
    pub part: Part,
    pub instance: u16,
    /// Fine wrinkles of film, as a slope.
    pub film: f32,
    /// Parts of the texture are cut away.
    pub cut: bool,
    pub vertices: Range<usize>,
    pub triangles: Range<usize>,
    nu: usize,
    nv: usize,
}

/// Looks shared by the patches of one call.
#[derive(Clone)]
pub(crate) struct Skin {
    pub texture: Arc<Texture>,
    pub inner_rgb: Rgb,
    pub part: Part,
    pub film: f32,
}

impl Skin {
    /// Plain board or plastic.
    pub fn new(texture: Texture, inner_rgb: Rgb, part: Part) -> Skin {
        Skin { texture: Arc::new(texture), inner_rgb, part, film: 0.0 }
    }
}

/// Triangle meshes of one or more items.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mesh {
    pub positions: Vec<V3>,
    pub normals: Vec<V3>,
    pub uvs: Vec<[f32; 2]>,
    pub damage: Vec<u16>,
    pub triangles: Vec<[u32; 3]>,
    pub patches: Vec<Patch>,
}

impl Mesh {
    /// Adds a grid: `at(s, t)` for s along texture columns, t along texture rows (down). The outside is where
    /// ∂t × ∂s points.
    pub fn grid(&mut self, cells: [usize; 2], skin: Skin, at: impl Fn(f32, f32) -> V3) -> usize {
        let (nu, nv) = (cells[0].max(1) + 1, cells[1].max(1) + 1);
        let first = self.positions.len();
        for j in 0..nv {
            for i in 0..nu {
                let (s, t) = (i as f32 / (nu - 1) as f32, j as f32 / (nv - 1) as f32);
                self.positions.push(at(s, t));
                self.uvs.push([s, t]);
                self.damage.push(0);
            }
        }
        self.normals.resize(self.positions.len(), V3::z());
        let first_triangle = self.triangles.len();
        for j in 0..nv - 1 {
            for i in 0..nu - 1 {
                let v = (first + j * nu + i) as u32;
                let below = v + nu as u32;
                self.triangles.push([v, below, v + 1]);
                self.triangles.push([v + 1, below, below + 1]);
            }
        }
        self.patches.push(Patch {
            cut: skin.texture.has_cuts(),
            texture: skin.texture,
            inner_rgb: skin.inner_rgb,
            part: skin.part,
            film: skin.film,
            instance: 0,
            vertices: first..self.positions.len(),
            triangles: first_triangle..self.triangles.len(),
            nu,
            nv,
        });
        self.patches.len() - 1
    }

    /// A flat parallelogram: corner, edge along texture columns, edge along texture rows.
    pub fn sheet(&mut self, cells: [usize; 2], skin: Skin, corner: V3, along_s: V3, along_t: V3) -> usize {
        self.grid(cells, skin, |s, t| corner + along_s * s + along_t * t)
    }

    /// Position on a patch at texture coordinates in [0, 1].
    pub fn point(&self, patch: usize, s: f32, t: f32) -> V3 {
        let p = &self.patches[patch];
        let (x, y) = (s.clamp(0.0, 1.0) * (p.nu - 1) as f32, t.clamp(0.0, 1.0) * (p.nv - 1) as f32);
        let (i, j) = ((x as usize).min(p.nu - 2), (y as usize).min(p.nv - 2));
        let (fx, fy) = (x - i as f32, y - j as f32);
        let at = |i: usize, j: usize| self.positions[p.vertices.start + j * p.nu + i];
        let top = at(i, j) * (1.0 - fx) + at(i + 1, j) * fx;
        let bottom = at(i, j + 1) * (1.0 - fx) + at(i + 1, j + 1) * fx;
        top * (1.0 - fy) + bottom * fy
    }

    /// Outward unit normal of a patch at texture coordinates.
    pub fn normal(&self, patch: usize, s: f32, t: f32) -> V3 {
        let e = 0.02;
        let ds = self.point(patch, s + e, t) - self.point(patch, s - e, t);
        let dt = self.point(patch, s, t + e) - self.point(patch, s, t - e);
        dt.cross(&ds).try_normalize(1e-12).unwrap_or_else(V3::z)
    }

    /// Moves every vertex.
    pub fn transform(&mut self, f: impl Fn(&V3) -> V3) {
        for p in &mut self.positions {
            *p = f(p);
        }
    }

    /// Smooth normals inside patches, hard edges between them.
    pub fn compute_normals(&mut self) {
        self.normals = vec![V3::zeros(); self.positions.len()];
        for &[a, b, c] in &self.triangles {
            let (a, b, c) = (a as usize, b as usize, c as usize);
            let n = (self.positions[b] - self.positions[a]).cross(&(self.positions[c] - self.positions[a]));
            for v in [a, b, c] {
                self.normals[v] += n;
            }
        }
        for n in &mut self.normals {
            *n = n.try_normalize(1e-20).unwrap_or_else(V3::z);
        }
    }

    /// Lowest and highest corner.
    pub fn bounds(&self) -> (V3, V3) {
        self.positions.iter().fold((V3::repeat(f32::INFINITY), V3::repeat(f32::NEG_INFINITY)), |(lo, hi), p| (lo.inf(p), hi.sup(p)))
    }

    /// Shifts so that the lowest point touches z = 0 and x, y are centred.
    pub fn settle(&mut self) {
        let (lo, hi) = self.bounds();
        let shift = V3::new((lo.x + hi.x) / 2.0, (lo.y + hi.y) / 2.0, lo.z);
        self.transform(|p| p - shift);
    }

    /// Marks all patches as belonging to that instance.
    pub fn set_instance(&mut self, instance: u16) {
        for patch in &mut self.patches {
            patch.instance = instance;
        }
    }

    /// Takes over the patches of another mesh.
    pub fn append(&mut self, other: Mesh) {
        let (v, t) = (self.positions.len(), self.triangles.len());
        self.positions.extend(other.positions);
        self.normals.extend(other.normals);
        self.uvs.extend(other.uvs);
        self.damage.extend(other.damage);
        self.triangles.extend(other.triangles.iter().map(|tri| tri.map(|i| i + v as u32)));
        self.patches.extend(other.patches.into_iter().map(|mut p| {
            p.vertices = p.vertices.start + v..p.vertices.end + v;
            p.triangles = p.triangles.start + t..p.triangles.end + t;
            p
        }));
    }

    /// Sets a damage bit on all vertices of a patch.
    pub fn mark(&mut self, patch: usize, bit: u16) {
        let range = self.patches[patch].vertices.clone();
        for d in &mut self.damage[range] {
            *d |= bit;
        }
    }

    /// Skin patches that look upwards, the most visible first: (patch, projected area weight).
    pub fn visible_skin(&self) -> Vec<(usize, f32)> {
        let mut list: Vec<(usize, f32)> = self
            .patches
            .iter()
            .enumerate()
            .filter(|(_, p)| p.part == Part::Skin)
            .map(|(i, p)| (i, self.upward_area(p)))
            .filter(|(_, area)| *area > 2e-4)
            .collect();
        list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        list
    }

    /// Area of a patch as seen from straight above, m².
    fn upward_area(&self, patch: &Patch) -> f32 {
        self.triangles[patch.triangles.clone()]
            .iter()
            .map(|&[a, b, c]| {
                let (a, b, c) = (self.positions[a as usize], self.positions[b as usize], self.positions[c as usize]);
                ((b - a).cross(&(c - a)).z * 0.5).max(0.0)
            })
            .sum()
    }
}
