//! Booth lights: an area light as a handful of directions with a shadow map each, a weak fill, and the room.

use rand::Rng;

use crate::mesh::{Mesh, V3};
use crate::random::{Random, uniform};

/// Directions that stand for the area light.
const AREA_SAMPLES: usize = 6;
/// Texels of a shadow map along each side.
const MAP: usize = 400;
/// Half the side of the square that a shadow map covers, metres.
const REACH_M: f32 = 0.56;

/// One lighting of the booth.
#[derive(Clone, Debug)]
pub(crate) struct Rig {
    /// Towards the light, one an area sample.
    directions: Vec<V3>,
    pub key_direction: V3,
    pub key: [f32; 3],
    pub fill_direction: V3,
    pub fill: [f32; 3],
    pub sky: [f32; 3],
    pub bounce: [f32; 3],
}

impl Rig {
    /// A light over one side of the tray, its height, size and colour drawn from `rng`.
    pub fn new(rng: &mut Random) -> Rig {
        let azimuth = uniform(rng, 0.0, std::f32::consts::TAU);
        let elevation = uniform(rng, 0.85, 1.25);
        let direction =
            |azimuth: f32, elevation: f32| V3::new(azimuth.cos() * elevation.cos(), azimuth.sin() * elevation.cos(), elevation.sin());
        let key_direction = direction(azimuth, elevation);
        let half_size = uniform(rng, 0.1, 0.24);
        let side = key_direction.cross(&V3::x()).normalize();
        let up = key_direction.cross(&side);
        let turn: f32 = rng.random::<f32>();
        let directions = (0..AREA_SAMPLES)
            .map(|i| {
                let angle = (i as f32 + turn) * std::f32::consts::TAU / AREA_SAMPLES as f32;
                let radius = half_size * if i % 2 == 0 { 1.0 } else { 0.45 };
                (key_direction + side * (radius * angle.cos()) + up * (radius * angle.sin())).normalize()
            })
            .collect();
        let warm = uniform(rng, -0.06, 0.06);
        let tint = |level: f32| [level * (1.0 + warm), level, level * (1.0 - warm)];
        let share = uniform(rng, 0.3, 0.5);
        Rig {
            directions,
            key_direction,
            key: tint(1.0 - share),
            fill_direction: direction(azimuth + 2.4, uniform(rng, 0.7, 1.1)),
            fill: tint(share * 0.3),
            sky: tint(share * 0.85),
            bounce: tint(share * 0.3),
        }
    }

    /// Towards the samples of the area light.
    pub fn directions(&self) -> &[V3] {
        &self.directions
    }
}

/// Orthographic depth of the occluders along one direction.
#[derive(Clone)]
struct ShadowMap {
    direction: V3,
    side: V3,
    up: V3,
    /// Largest coordinate along `direction` a texel.
    nearest: Vec<f32>,
}

impl ShadowMap {
    fn new(direction: V3) -> ShadowMap {
        let side = direction.cross(&V3::x()).normalize();
        ShadowMap { direction, side, up: direction.cross(&side), nearest: vec![f32::NEG_INFINITY; MAP * MAP] }
    }

    /// Texel coordinates and the coordinate along the light.
    fn map(&self, p: &V3) -> [f32; 3] {
        let to_texel = |m: f32| (m + REACH_M) / (2.0 * REACH_M) * MAP as f32;
        [to_texel(p.dot(&self.side)), to_texel(p.dot(&self.up)), p.dot(&self.direction)]
    }

    fn draw(&mut self, mesh: &Mesh) {
        let projected: Vec<[f32; 3]> = mesh.positions.iter().map(|p| self.map(p)).collect();
        for patch in &mesh.patches {
            for tri in &mesh.triangles[patch.triangles.clone()] {
                let corners = tri.map(|i| projected[i as usize]);
                let uvs = tri.map(|i| mesh.uvs[i as usize]);
                self.triangle(corners, |b| {
                    let uv: [f32; 2] = std::array::from_fn(|c| b[0] * uvs[0][c] + b[1] * uvs[1][c] + b[2] * uvs[2][c]);
                    !patch.cut || patch.texture.nearest(uv[0], uv[1]).solid
                });
            }
        }
    }

    fn triangle(&mut self, p: [[f32; 3]; 3], opaque: impl Fn([f32; 3]) -> bool) {
        let area = (p[1][0] - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (p[1][1] - p[0][1]);
        if area.abs() < 1e-7 {
            return;
        }
        let lo = |i: usize| (p[0][i].min(p[1][i]).min(p[2][i]) - 0.5).ceil().clamp(0.0, MAP as f32) as usize;
        let hi = |i: usize| (p[0][i].max(p[1][i]).max(p[2][i]) + 0.5).clamp(0.0, MAP as f32) as usize;
        for row in lo(1)..hi(1) {
            let y = row as f32 + 0.5;
            for column in lo(0)..hi(0) {
                let x = column as f32 + 0.5;
                let b1 = ((x - p[0][0]) * (p[2][1] - p[0][1]) - (p[2][0] - p[0][0]) * (y - p[0][1])) / area;
                let b2 = ((p[1][0] - p[0][0]) * (y - p[0][1]) - (x - p[0][0]) * (p[1][1] - p[0][1])) / area;
                let b0 = 1.0 - b1 - b2;
                if b0 < 0.0 || b1 < 0.0 || b2 < 0.0 {
                    continue;
                }
                let along = b0 * p[0][2] + b1 * p[1][2] + b2 * p[2][2];
                let texel = &mut self.nearest[row * MAP + column];
                if along > *texel && opaque([b0, b1, b2]) {
                    *texel = along;
                }
            }
        }
    }

    /// Share of light that reaches the point, by a 2 × 2 weighted comparison.
    fn visible(&self, p: &V3) -> f32 {
        let [x, y, along] = self.map(p);
        let (x, y) = (x - 0.5, y - 0.5);
        if x < 0.0 || y < 0.0 || x >= (MAP - 1) as f32 || y >= (MAP - 1) as f32 {
            return 1.0;
        }
        let (ix, iy) = (x as usize, y as usize);
        let (fx, fy) = (x - ix as f32, y - iy as f32);
        let at = iy * MAP + ix;
        let lit = |i: usize| f32::from(u8::from(self.nearest[i] < along + 0.004));
        let top = lit(at) * (1.0 - fx) + lit(at + 1) * fx;
        let bottom = lit(at + MAP) * (1.0 - fx) + lit(at + MAP + 1) * fx;
        top * (1.0 - fy) + bottom * fy
    }
}

/// The shadow maps of one rig.
#[derive(Clone)]
pub(crate) struct ShadowSet {
    maps: Vec<ShadowMap>,
}

impl ShadowSet {
    /// Maps without occluders.
    pub fn new(rig: &Rig) -> ShadowSet {
        ShadowSet { maps: rig.directions().iter().map(|d| ShadowMap::new(*d)).collect() }
    }

    /// Adds the shadow of a mesh.
    pub fn draw(&mut self, mesh: &Mesh) {
        for map in &mut self.maps {
            map.draw(mesh);
        }
    }

    /// Share of the area light that a point with that normal sees, times the cosine.
    pub fn irradiance(&self, p: &V3, normal: &V3) -> f32 {
        let from = p + normal * 0.003;
        let sum: f32 = self
            .maps
            .iter()
            .map(|map| {
                let cosine = normal.dot(&map.direction);
                if cosine > 0.0 { cosine * map.visible(&from) } else { 0.0 }
            })
            .sum();
        sum / self.maps.len() as f32
    }
}
