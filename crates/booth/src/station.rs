//! The booth itself: tray, table, camera.

use nalgebra::{Isometry3, Rotation3, Translation3, UnitQuaternion, Vector3};
use vision::Intrinsics;

use crate::mesh::{Mesh, Part, Skin, V3};
use crate::paint::{Rgb, Texture, mix, scale};
use crate::random::{Random, chance, fractal, integer, pick, ridged, uniform};
use crate::types::Surface;
use rand::Rng;

/// Tray and camera of one booth.
#[derive(Debug)]
pub(crate) struct Station {
    pub tray: Mesh,
    /// Half inner size of the tray floor, metres.
    pub inner_m: [f32; 2],
    pub intrinsics: Intrinsics,
    pub cell_from_camera: Isometry3<f64>,
    /// Mean offset of depth against colour, pixels: calibration error.
    pub depth_offset_px: [f32; 2],
}

impl Station {
    /// Draws a booth.
    pub fn new(rng: &mut Random, width: u32, height: u32, surface: Surface) -> Station {
        let inner_m = [uniform(rng, 0.30, 0.345), uniform(rng, 0.225, 0.255)];
        let tray = tray(rng, inner_m, surface);
        let focal = 1.281 * f64::from(height) * f64::from(uniform(rng, 0.985, 1.015));
        let jitter = |rng: &mut Random| f64::from(uniform(rng, -4.0, 4.0)) * f64::from(height) / 480.0;
        let intrinsics = Intrinsics {
            fx: focal,
            fy: focal * f64::from(uniform(rng, 0.998, 1.002)),
            cx: f64::from(width) / 2.0 - 0.5 + jitter(rng),
            cy: f64::from(height) / 2.0 - 0.5 + jitter(rng),
            width,
            height,
        };
        let camera_height = f64::from(uniform(rng, 0.89, 0.99));
        let tilt = f64::from(uniform(rng, -0.07, 0.07));
        let roll = f64::from(uniform(rng, -0.03, 0.03));
        // Looking down: camera x along cell x, camera y along −y, z along −z; then a little tilt about x and y.
        let down = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI);
        let lean = UnitQuaternion::from_euler_angles(tilt, roll, f64::from(uniform(rng, -0.02, 0.02)));
        // Moved so that the optical axis still meets the middle of the tray.
        let axis = (down * lean) * Vector3::z();
        let position = -axis * (camera_height / -axis.z);
        let cell_from_camera = Isometry3::from_parts(Translation3::from(position), down * lean);
        let offset = |rng: &mut Random| uniform(rng, -1.1, 1.1);
        Station { tray, inner_m, intrinsics, cell_from_camera, depth_offset_px: [offset(rng), offset(rng)] }
    }
}

impl Station {
    /// The same tray through another camera, number `k` of those around it (1 …, of `around`): it stands aside and looks down obliquely.
    pub fn beside(&self, rng: &mut Random, k: usize, around: usize) -> Station {
        let mut other = Station { tray: self.tray.clone(), inner_m: self.inner_m, ..*self };
        let stretch = f64::from(uniform(rng, 0.98, 1.02));
        (other.intrinsics.fx, other.intrinsics.fy) = (self.intrinsics.fx * stretch, self.intrinsics.fy * stretch);
        let turn = std::f64::consts::TAU * (k as f64 - 0.5) / around as f64 + f64::from(uniform(rng, -0.12, 0.12));
        let (rise, far) = (f64::from(uniform(rng, 0.85, 1.05)), f64::from(uniform(rng, 0.92, 1.02)));
        let eye = Vector3::new(rise.cos() * turn.cos(), rise.cos() * turn.sin(), rise.sin()) * far;
        // Optical frame: z to the middle of the tray, x level, y down.
        let z = -eye.normalize();
        let x = z.cross(&Vector3::z()).normalize();
        let axes = Rotation3::from_basis_unchecked(&[x, z.cross(&x), z]);
        other.cell_from_camera = Isometry3::from_parts(Translation3::from(eye), UnitQuaternion::from_rotation_matrix(&axes));
        other.depth_offset_px = [uniform(rng, -1.1, 1.1), uniform(rng, -1.1, 1.1)];
        other
    }
}

/// Kinds of floor.
#[derive(Clone, Copy, PartialEq)]
enum Floor {
    Ribbed,
    Smooth,
    Felt,
}

fn tray(rng: &mut Random, inner: [f32; 2], surface: Surface) -> Mesh {
    let floor_rgb: Rgb = pick(rng, [[92, 96, 102], [64, 68, 74], [132, 134, 132], [58, 82, 118], [44, 46, 48], [150, 146, 136]]);
    let kind = pick(rng, [Floor::Ribbed, Floor::Smooth, Floor::Felt]);
    // A belt runs on beyond the picture.
    let inner = if surface == Surface::Conveyor { [0.85, inner[1]] } else { inner };
    let [hx, hy] = inner;
    let mut mesh = Mesh::default();
    let floor = floor_texture(rng, floor_rgb, kind, [hx * 2000.0, hy * 2000.0]);
    let (x, y) = (V3::x() * (2.0 * hx), V3::y() * (2.0 * hy));
    let corner = V3::new(-hx, -hy, 0.0);
    mesh.sheet([24, 20], Skin::new(floor, floor_rgb, Part::Tray), corner + y, x, -y);
    let wall = match surface {
        Surface::Tray | Surface::Conveyor => uniform(rng, 0.025, 0.045),
        Surface::Tote => uniform(rng, 0.09, 0.14),
    };
    let every = if surface == Surface::Conveyor { 2 } else { 1 };
    rim(&mut mesh, rng, scale(floor_rgb, 1.12), inner, wall, every);
    table(&mut mesh, rng);
    mesh.compute_normals();
    mesh
}

/// Floor with structure, scratches and old stains.
fn floor_texture(rng: &mut Random, rgb: Rgb, kind: Floor, size: [f32; 2]) -> Texture {
    let gloss = if kind == Floor::Smooth { integer(rng, 20, 60) as u8 } else { 12 };
    let mut texture = Texture::new(size[0], size[1], 1.0, rgb, gloss);
    let seed = rng.random::<u32>();
    let pitch = uniform(rng, 14.0, 26.0);
    texture.paint_all(|x, y, texel| {
        let worn = 0.06 * fractal(x * 0.012, y * 0.012, 3, seed) + 0.03 * fractal(x * 0.3, y * 0.3, 2, seed ^ 9);
        let structure = match kind {
            Floor::Ribbed => -0.16 * f32::from(u8::from((x.rem_euclid(pitch) - pitch / 2.0).abs() < 1.1)),
            Floor::Smooth => 0.0,
            Floor::Felt => 0.09 * fractal(x * 0.8, y * 0.8, 1, seed ^ 4),
        };
        texel.rgb = scale(texel.rgb, 1.0 + worn + structure);
    });
    for _ in 0..integer(rng, 25, 70) {
        let (x, y, a) = (uniform(rng, 0.0, size[0]), uniform(rng, 0.0, size[1]), uniform(rng, 0.0, std::f32::consts::TAU));
        let length = uniform(rng, 8.0, 90.0);
        let light = mix(rgb, if chance(rng, 0.7) { [210, 210, 206] } else { [20, 20, 20] }, uniform(rng, 0.06, 0.3));
        let bend = uniform(rng, -0.3, 0.3);
        let mid = [x + 0.5 * length * a.cos(), y + 0.5 * length * a.sin()];
        let end = [mid[0] + 0.5 * length * (a + bend).cos(), mid[1] + 0.5 * length * (a + bend).sin()];
        texture.stroke(&[[x, y], mid, end], uniform(rng, 0.3, 1.0), light);
    }
    for _ in 0..integer(rng, 0, 4) {
        let (cx, cy, r) = (uniform(rng, 0.0, size[0]), uniform(rng, 0.0, size[1]), uniform(rng, 10.0, 50.0));
        let (dark, s) = (uniform(rng, 0.8, 0.93), rng.random::<u32>());
        texture.paint([cx - r * 1.4, cy - r * 1.4, cx + r * 1.4, cy + r * 1.4], |x, y, texel| {
            if (x - cx).hypot(y - cy) / r + 0.4 * fractal(x * 0.05, y * 0.05, 2, s) < 1.0 {
                texel.rgb = scale(texel.rgb, dark);
            }
        });
    }
    texture
}

/// Walls of that height that lean outwards, with a flat top: on all four sides, or on `every` second one.
fn rim(mesh: &mut Mesh, rng: &mut Random, rgb: Rgb, [hx, hy]: [f32; 2], height: f32, every: usize) {
    let (lean, flat) = (uniform(rng, 0.006, 0.014) * (height / 0.035).sqrt(), uniform(rng, 0.012, 0.02));
    let seed = rng.random::<u32>();
    // Profile outwards and up: (outward, up).
    let profile = move |t: f32| match t {
        t if t < 0.34 => [lean * t / 0.34, height * t / 0.34],
        t if t < 0.67 => [lean + flat * (t - 0.34) / 0.33, height],
        t => [lean + flat + lean * (t - 0.67) / 0.33, height - (height + 0.012) * (t - 0.67) / 0.33],
    };
    for side in (0..4u32).step_by(every) {
        let (along, across) = if side % 2 == 0 { (hx, hy) } else { (hy, hx) };
        let turn = side as f32 * std::f32::consts::FRAC_PI_2;
        let (sin, cos) = turn.sin_cos();
        let mut texture = Texture::new(along * 2000.0, 80.0, 1.2, rgb, 40);
        texture.paint_all(|x, y, texel| {
            let wear = ridged(x * 0.03, y * 0.06, 2, seed ^ side);
            texel.rgb = scale(texel.rgb, 0.9 + 0.18 * wear);
        });
        let skin = Skin::new(texture, rgb, Part::Tray);
        mesh.grid([12, 12], skin, |s, t| {
            let [out, up] = profile(1.0 - t);
            let (x, y) = ((2.0 * s - 1.0) * (along + out), -(across + out));
            V3::new(x * cos - y * sin, x * sin + y * cos, up)
        });
    }
}

/// What the tray stands on: a belt or a bench.
fn table(mesh: &mut Mesh, rng: &mut Random) {
    let rgb = pick(rng, [[40, 40, 42], [70, 74, 70], [120, 112, 100], [30, 34, 40]]);
    let mut texture = Texture::new(1800.0, 1300.0, 2.5, rgb, 15);
    let seed = rng.random::<u32>();
    texture.paint_all(|x, y, texel| {
        texel.rgb = scale(texel.rgb, 1.0 + 0.12 * fractal(x * 0.02, y * 0.02, 3, seed) + 0.06 * fractal(x * 0.4, y * 0.4, 1, seed));
    });
    let skin = Skin::new(texture, rgb, Part::Tray);
    mesh.sheet([18, 13], skin, V3::new(-0.9, 0.65, -0.012), V3::x() * 1.8, V3::y() * -1.3);
}
