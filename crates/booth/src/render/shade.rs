//! Fragments to light: diffuse key with soft shadow, fill, ambient with occlusion, highlights of film and plastic.

use super::light::{Rig, ShadowSet};
use super::raster::{Eye, Fragment, Layer, NO_PATCH};
use crate::mesh::{Mesh, Part, Patch, V3};
use crate::random::noise2;

/// Samples along one side of an occlusion cell.
const CELL: usize = 8;

/// sRGB byte to linear light.
pub(crate) fn to_linear_table() -> [f32; 256] {
    std::array::from_fn(|i| {
        let c = i as f32 / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    })
}

/// What is drawn: the tray and the items; patch numbers run through both.
pub(crate) struct Scene<'a> {
    pub tray: &'a Mesh,
    pub items: &'a Mesh,
}

impl Scene<'_> {
    /// The patch of a fragment.
    pub fn patch(&self, number: u16) -> Option<&Patch> {
        let n = usize::from(number);
        self.tray.patches.get(n).or_else(|| self.items.patches.get(n.checked_sub(self.tray.patches.len())?))
    }

    /// The item instance of a fragment, 0 for the tray and for spilt matter.
    pub fn instance(&self, number: u16) -> u16 {
        self.patch(number).filter(|p| !matches!(p.part, Part::Tray | Part::Spill)).map_or(0, |p| p.instance)
    }
}

/// Coarse heights of what is seen, for ambient occlusion.
#[derive(Clone)]
pub(crate) struct HeightMap {
    columns: usize,
    rows: usize,
    height_m: Vec<f32>,
    near: Vec<f32>,
    far: Vec<f32>,
}

impl HeightMap {
    /// The heights of a whole picture.
    pub fn new(eye: &Eye, layer: &Layer) -> HeightMap {
        let (columns, rows) = (eye.size[0].div_ceil(CELL), eye.size[1].div_ceil(CELL));
        let zeros = vec![0.0; columns * rows];
        let mut map = HeightMap { columns, rows, height_m: zeros.clone(), near: zeros.clone(), far: zeros };
        map.update(eye, layer);
        map
    }

    /// Takes over the heights of a window and blurs again.
    pub fn update(&mut self, eye: &Eye, layer: &Layer) {
        let w = layer.window;
        for row in w.y.div_ceil(CELL)..(w.y + w.h) / CELL {
            for column in w.x.div_ceil(CELL)..(w.x + w.w) / CELL {
                let (x, y) = (column * CELL + CELL / 2, row * CELL + CELL / 2);
                let fragment = &layer.fragments[(y - w.y) * w.w + x - w.x];
                if fragment.patch != NO_PATCH {
                    self.height_m[row * self.columns + column] = eye.deproject(x as f32, y as f32, fragment.inv_z).z;
                }
            }
        }
        self.near = self.blur(2);
        self.far = self.blur(6);
    }

    fn blur(&self, radius: usize) -> Vec<f32> {
        let (w, h) = (self.columns, self.rows);
        let pass = |data: &[f32], len: usize, lines: usize, stride: usize, jump: usize| {
            let mut out = vec![0.0; data.len()];
            for line in 0..lines {
                for i in 0..len {
                    let (from, to) = (i.saturating_sub(radius), (i + radius + 1).min(len));
                    let sum: f32 = (from..to).map(|k| data[line * jump + k * stride]).sum();
                    out[line * jump + i * stride] = sum / (to - from) as f32;
                }
            }
            out
        };
        let rows = pass(&self.height_m, w, h, 1, w);
        pass(&rows, h, w, w, 1)
    }

    /// Share of the sky that a point at that sample sees, [0, 1].
    fn openness(&self, x: usize, y: usize, height_m: f32) -> f32 {
        let fx = (x as f32 / CELL as f32 - 0.5).clamp(0.0, self.columns as f32 - 1.001);
        let fy = (y as f32 / CELL as f32 - 0.5).clamp(0.0, self.rows as f32 - 1.001);
        let (ix, iy) = (fx as usize, fy as usize);
        let (tx, ty) = (fx - ix as f32, fy - iy as f32);
        let at = iy * self.columns + ix;
        let read = |m: &[f32]| {
            let below = (at + self.columns).min(m.len() - 2);
            let top = m[at] * (1.0 - tx) + m[at + 1] * tx;
            let bottom = m[below] * (1.0 - tx) + m[below + 1] * tx;
            top * (1.0 - ty) + bottom * ty
        };
        let near = (read(&self.near) - height_m).max(0.0) / 0.025;
        let far = (read(&self.far) - height_m).max(0.0) / 0.06;
        1.0 / (1.0 + 0.55 * near + 0.55 * far)
    }
}

/// Everything a sample needs.
pub(crate) struct Shader<'a> {
    scene: &'a Scene<'a>,
    eye: &'a Eye,
    rig: &'a Rig,
    shadows: &'a ShadowSet,
    heights: &'a HeightMap,
    linear: &'a [f32; 256],
}

/// Shades a window: linear RGB a sample.
pub(crate) fn shade(
    layer: &Layer,
    scene: &Scene<'_>,
    eye: &Eye,
    rig: &Rig,
    shadows: &ShadowSet,
    heights: &HeightMap,
    linear: &[f32; 256],
) -> Vec<[f32; 3]> {
    let shader = Shader { scene, eye, rig, shadows, heights, linear };
    let w = layer.window;
    layer.fragments.iter().enumerate().map(|(i, fragment)| shader.sample(w.x + i % w.w, w.y + i / w.w, fragment)).collect()
}

impl Shader<'_> {
    fn sample(&self, x: usize, y: usize, fragment: &Fragment) -> [f32; 3] {
        let Some(patch) = self.scene.patch(fragment.patch) else { return [0.01; 3] };
        let p = self.eye.deproject(x as f32, y as f32, fragment.inv_z);
        let (albedo, gloss) = if fragment.back {
            let shade = 0.85 + 0.15 * noise2(fragment.uv[0] * 40.0, fragment.uv[1] * 40.0, 5);
            (patch.inner_rgb.map(|c| self.linear[usize::from(c)] * shade), 0.05)
        } else {
            patch.texture.sample(fragment.uv[0], fragment.uv[1], self.linear)
        };
        let normal = self.normal(fragment, patch);
        let key = self.shadows.irradiance(&p, &normal) * 1.15;
        let open = self.heights.openness(x, y, p.z);
        let fill = normal.dot(&self.rig.fill_direction).max(0.0) * open;
        let up = 0.5 + 0.5 * normal.z;
        let view = (self.eye.position - p).normalize();
        let shine = self.highlight(&normal, &view, gloss, key);
        std::array::from_fn(|c| {
            let ambient = (self.rig.sky[c] * up + self.rig.bounce[c] * (1.0 - up)) * open;
            albedo[c] * (self.rig.key[c] * key + self.rig.fill[c] * fill + ambient) + self.rig.key[c] * shine * open
        })
    }

    fn normal(&self, fragment: &Fragment, patch: &Patch) -> V3 {
        let n = V3::from(fragment.normal);
        let n = n.try_normalize(1e-9).unwrap_or_else(V3::z);
        if patch.film <= 0.0 {
            return n;
        }
        let (x, y) = (fragment.uv[0] * patch.texture.width_mm(), fragment.uv[1] * patch.texture.height_mm());
        // Creases of film: ridges at two scales, as a slope.
        let height = |x: f32, y: f32| {
            let (long, fine) = (noise2(x * 0.045, y * 0.06, 11), noise2(x * 0.15 + y * 0.04, y * 0.13, 12));
            -(long.abs() * 9.0 + fine.abs() * 2.6)
        };
        let base = height(x, y);
        let (dx, dy) = (height(x + 1.0, y) - base, height(x, y + 1.0) - base);
        (n + V3::new(dx, -dy, 0.0) * patch.film).normalize()
    }

    fn highlight(&self, normal: &V3, view: &V3, gloss: f32, key: f32) -> f32 {
        if gloss < 0.04 || key <= 0.0 {
            return 0.0;
        }
        let half = (view + self.rig.key_direction).normalize();
        let sharpness = 6.0 + 130.0 * gloss * gloss;
        let lobe = normal.dot(&half).max(0.0).powf(sharpness);
        let grazing = (1.0 - normal.dot(view).max(0.0)).powi(4);
        gloss * (0.04 + 0.55 * gloss) * lobe + 0.05 * gloss * grazing
    }
}
