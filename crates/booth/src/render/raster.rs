//! Triangles to fragments: a z-buffer with cut-outs.

use nalgebra::{Isometry3, Matrix3};
use vision::Intrinsics;

use crate::mesh::{Mesh, V3};

/// Patch number of a fragment that nothing covers.
pub(crate) const NO_PATCH: u16 = u16::MAX;

/// A pinhole eye in the cell frame, in supersampled pixels.
#[derive(Clone, Debug)]
pub(crate) struct Eye {
    camera_from_cell: Matrix3<f32>,
    translation: V3,
    /// Position of the eye in the cell, metres.
    pub position: V3,
    fx: f32,
    fy: f32,
    cx: f32,
    cy: f32,
    /// Supersampled columns and rows of the whole picture.
    pub size: [usize; 2],
}

impl Eye {
    /// The eye of a camera at that pose, `factor` samples a pixel.
    pub fn new(intrinsics: &Intrinsics, cell_from_camera: &Isometry3<f64>, factor: usize) -> Eye {
        let inverse = cell_from_camera.inverse();
        let k = factor as f64;
        let to_sample = |c: f64| ((c + 0.5) * k - 0.5) as f32;
        Eye {
            camera_from_cell: inverse.rotation.to_rotation_matrix().matrix().cast(),
            translation: inverse.translation.vector.cast(),
            position: cell_from_camera.translation.vector.cast(),
            fx: (intrinsics.fx * k) as f32,
            fy: (intrinsics.fy * k) as f32,
            cx: to_sample(intrinsics.cx),
            cy: to_sample(intrinsics.cy),
            size: [intrinsics.width as usize * factor, intrinsics.height as usize * factor],
        }
    }

    /// Sample column, row and 1/z of a point; `None` behind the eye.
    pub fn project(&self, p_cell: &V3) -> Option<[f32; 3]> {
        let p = self.camera_from_cell * p_cell + self.translation;
        if p.z < 0.05 {
            return None;
        }
        let inv_z = 1.0 / p.z;
        Some([p.x * inv_z * self.fx + self.cx, p.y * inv_z * self.fy + self.cy, inv_z])
    }

    /// The cell point seen at a sample.
    pub fn deproject(&self, x: f32, y: f32, inv_z: f32) -> V3 {
        let z = 1.0 / inv_z;
        let p = V3::new((x - self.cx) / self.fx * z, (y - self.cy) / self.fy * z, z);
        self.camera_from_cell.tr_mul(&(p - self.translation))
    }
}

/// A rectangle of supersampled pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    pub x: usize,
    pub y: usize,
    pub w: usize,
    pub h: usize,
}

/// What is seen at one sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    pub inv_z: f32,
    pub uv: [f32; 2],
    pub normal: [f32; 3],
    /// Index into the scene's patches; tray patches come first.
    pub patch: u16,
    pub damage: u16,
    pub back: bool,
}

impl Default for Fragment {
    fn default() -> Self {
        Fragment { inv_z: 0.0, uv: [0.0; 2], normal: [0.0, 0.0, 1.0], patch: NO_PATCH, damage: 0, back: false }
    }
}

/// The fragments of a window.
#[derive(Clone)]
pub(crate) struct Layer {
    pub window: Window,
    pub fragments: Vec<Fragment>,
    /// Nearest cut-out that was looked through: its 1/z and damage bits.
    cuts: Vec<(f32, u16)>,
}

impl Layer {
    /// An empty window.
    pub fn new(window: Window) -> Layer {
        let n = window.w * window.h;
        Layer { window, fragments: vec![Fragment::default(); n], cuts: vec![(0.0, 0); n] }
    }

    /// A copy of a part of this layer.
    pub fn crop(&self, window: Window) -> Layer {
        let mut layer = Layer::new(window);
        for row in 0..window.h {
            let from = (window.y + row - self.window.y) * self.window.w + window.x - self.window.x;
            layer.fragments[row * window.w..(row + 1) * window.w].copy_from_slice(&self.fragments[from..from + window.w]);
        }
        layer
    }

    /// Gives samples that are seen through a cut the damage bits of the cut.
    pub fn resolve_cuts(&mut self) {
        for (fragment, (inv_z, bits)) in self.fragments.iter_mut().zip(&self.cuts) {
            if *inv_z > fragment.inv_z {
                fragment.damage |= bits;
            }
        }
    }
}

/// Draws a mesh into a layer; `first_patch` is added to its patch numbers.
pub(crate) fn raster(layer: &mut Layer, eye: &Eye, mesh: &Mesh, first_patch: u16) {
    let projected: Vec<Option<[f32; 3]>> = mesh.positions.iter().map(|p| eye.project(p)).collect();
    for (number, patch) in mesh.patches.iter().enumerate() {
        let brush = Brush { eye, mesh, texture_cut: patch.cut, number, id: first_patch + number as u16 };
        for tri in &mesh.triangles[patch.triangles.clone()] {
            let [a, b, c] = tri.map(|i| projected[i as usize]);
            if let (Some(a), Some(b), Some(c)) = (a, b, c) {
                brush.triangle(layer, *tri, [a, b, c]);
            }
        }
    }
}

struct Brush<'a> {
    eye: &'a Eye,
    mesh: &'a Mesh,
    texture_cut: bool,
    number: usize,
    id: u16,
}

impl Brush<'_> {
    fn triangle(&self, layer: &mut Layer, tri: [u32; 3], p: [[f32; 3]; 3]) {
        let area = (p[1][0] - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (p[1][1] - p[0][1]);
        if area.abs() < 1e-6 {
            return;
        }
        let w = layer.window;
        let lo = |i: usize| p[0][i].min(p[1][i]).min(p[2][i]);
        let hi = |i: usize| p[0][i].max(p[1][i]).max(p[2][i]);
        let clip = |v: f32, from: usize, len: usize| (v - from as f32).clamp(0.0, len as f32) as usize;
        let (x0, x1) = (clip(lo(0).ceil(), w.x, w.w), clip(hi(0).floor() + 1.0, w.x, w.w));
        let (y0, y1) = (clip(lo(1).ceil(), w.y, w.h), clip(hi(1).floor() + 1.0, w.y, w.h));
        let back = self.faces_away(tri);
        for row in y0..y1 {
            let y = (row + w.y) as f32;
            for column in x0..x1 {
                let x = (column + w.x) as f32;
                let b1 = ((x - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (y - p[0][1])) / area;
                let b2 = ((p[1][0] - p[0][0]) * (y - p[0][1]) - (x - p[0][0]) * (p[1][1] - p[0][1])) / area;
                let b0 = 1.0 - b1 - b2;
                if b0 < 0.0 || b1 < 0.0 || b2 < 0.0 {
                    continue;
                }
                let inv_z = b0 * p[0][2] + b1 * p[1][2] + b2 * p[2][2];
                let at = row * w.w + column;
                if inv_z > layer.fragments[at].inv_z {
                    self.write(layer, at, tri, [b0 * p[0][2] / inv_z, b1 * p[1][2] / inv_z, b2 * p[2][2] / inv_z], inv_z, back);
                }
            }
        }
    }

    fn faces_away(&self, tri: [u32; 3]) -> bool {
        let [a, b, c] = tri.map(|i| self.mesh.positions[i as usize]);
        (b - a).cross(&(c - a)).dot(&(self.eye.position - a)) < 0.0
    }

    fn write(&self, layer: &mut Layer, at: usize, tri: [u32; 3], weight: [f32; 3], inv_z: f32, back: bool) {
        let [i, j, k] = tri.map(|v| v as usize);
        let uv: [f32; 2] =
            std::array::from_fn(|c| weight[0] * self.mesh.uvs[i][c] + weight[1] * self.mesh.uvs[j][c] + weight[2] * self.mesh.uvs[k][c]);
        let mut damage = self.mesh.damage[i] & self.mesh.damage[j] & self.mesh.damage[k];
        let texel = self.mesh.patches[self.number].texture.nearest(uv[0], uv[1]);
        if self.texture_cut && !texel.solid {
            let bits = texel.damage | damage;
            if bits != 0 && inv_z > layer.cuts[at].0 {
                layer.cuts[at] = (inv_z, bits);
            }
            return;
        }
        if !back {
            damage |= texel.damage;
        }
        let n = self.mesh.normals[i] * weight[0] + self.mesh.normals[j] * weight[1] + self.mesh.normals[k] * weight[2];
        let n = if back { -n } else { n };
        layer.fragments[at] = Fragment { inv_z, uv, normal: n.into(), patch: self.id, damage, back };
    }
}
