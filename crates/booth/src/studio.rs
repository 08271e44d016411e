//! Where pictures are taken: the station with its lights, from a mesh to what the cameras give.

use std::sync::{Arc, OnceLock};

use vision::{ColorImage, DepthImage, ImageError, RgbdFrame};

use crate::mesh::{Mesh, V3};
use crate::random::Random;
use crate::render::{Eye, HeightMap, Layer, Rig, SUPERSAMPLE, Scene, ShadowSet, Window, raster, shade, to_linear_table};
use crate::sensor::{ColorSensor, DepthSensor, expose, measure};
use crate::station::Station;
use crate::truth::Plate;
use crate::types::Surface;

/// Which light is on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Light {
    /// That of the booth.
    Booth,
    /// That under which references are taken.
    Gallery,
}

/// Tray, camera and lights.
pub(crate) struct Studio {
    pub station: Station,
    eye: Eye,
    linear: [f32; 256],
    /// Fragments, truth and heights of the empty tray.
    empty: Layer,
    empty_plate: Plate,
    empty_heights: HeightMap,
    booth_light: LitTray,
    gallery_light: LitTray,
}

/// A rig with what it does to the empty tray.
struct LitTray {
    rig: Rig,
    state: OnceLock<(ShadowSet, Vec<[f32; 3]>)>,
}

/// A picture before the sensors.
pub(crate) struct Exposure {
    light: Vec<[f32; 3]>,
    pub plate: Plate,
    match_quality: Vec<f32>,
}

impl Studio {
    /// Builds the station and looks at its empty tray. The size has been checked.
    pub fn new(rng: &mut Random, width: u32, height: u32, surface: Surface) -> Studio {
        let station = Station::new(rng, width, height, surface);
        let rigs = [Rig::new(rng), Rig::new(rng)];
        Studio::of(station, rigs)
    }

    /// The same tray and lights through another camera.
    pub fn beside(&self, rng: &mut Random, k: usize, around: usize) -> Studio {
        Studio::of(self.station.beside(rng, k, around), [self.booth_light.rig.clone(), self.gallery_light.rig.clone()])
    }

    fn of(station: Station, rigs: [Rig; 2]) -> Studio {
        let (width, height) = (station.intrinsics.width, station.intrinsics.height);
        let [booth_light, gallery_light] = rigs.map(|rig| LitTray { rig, state: OnceLock::new() });
        let eye = Eye::new(&station.intrinsics, &station.cell_from_camera, SUPERSAMPLE);
        let mut empty = Layer::new(Window { x: 0, y: 0, w: eye.size[0], h: eye.size[1] });
        raster(&mut empty, &eye, &station.tray, 0);
        let mut empty_plate = Plate::new(width as usize, height as usize);
        empty_plate.take(&empty, &Scene { tray: &station.tray, items: &Mesh::default() });
        let empty_heights = HeightMap::new(&eye, &empty);
        let linear = to_linear_table();
        Studio { station, eye, linear, empty, empty_plate, empty_heights, booth_light, gallery_light }
    }

    /// Truth plate of a scene, without shading.
    pub fn plate(&self, items: &Mesh) -> Plate {
        let mut plate = self.empty_plate.clone();
        if let Some(window) = self.window(items, None) {
            let layer = self.layer(items, window);
            plate.take(&layer, &Scene { tray: &self.station.tray, items });
        }
        plate
    }

    fn layer(&self, items: &Mesh, window: Window) -> Layer {
        let mut layer = self.empty.crop(window);
        raster(&mut layer, &self.eye, items, self.station.tray.patches.len() as u16);
        layer.resolve_cuts();
        layer
    }

    /// Samples that the items and, with a rig, their shadows can touch, on whole pixels.
    fn window(&self, items: &Mesh, rig: Option<&Rig>) -> Option<Window> {
        let (lo, hi) = items.bounds();
        if !lo.x.is_finite() {
            return None;
        }
        let mut box_px = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
        for corner in 0..8 {
            let take = |bit: usize, axis: usize| if corner & bit == 0 { lo[axis] } else { hi[axis] };
            let p = V3::new(take(1, 0), take(2, 1), take(4, 2));
            let shadows = rig.iter().flat_map(|r| r.directions()).map(|d| p - d * ((p.z + 0.012) / d.z));
            for q in std::iter::once(p).chain(shadows) {
                let Some([x, y, _]) = self.eye.project(&q) else { continue };
                box_px = [box_px[0].min(x), box_px[1].min(y), box_px[2].max(x), box_px[3].max(y)];
            }
        }
        let align = 16;
        let margin = if rig.is_some() { 64.0 } else { 4.0 };
        let clip = |v: f32, size: usize| v.clamp(0.0, size as f32) as usize;
        let [w, h] = self.eye.size;
        let x = clip(box_px[0] - margin, w) / align * align;
        let y = clip(box_px[1] - margin, h) / align * align;
        let right = (clip(box_px[2] + margin, w).div_ceil(align) * align).min(w);
        let bottom = (clip(box_px[3] + margin, h).div_ceil(align) * align).min(h);
        (right > x && bottom > y).then_some(Window { x, y, w: right - x, h: bottom - y })
    }

    /// Shadows and light of the empty tray under a rig.
    fn lit(&self, light: Light) -> (&Rig, &ShadowSet, &[[f32; 3]]) {
        let lit = match light {
            Light::Booth => &self.booth_light,
            Light::Gallery => &self.gallery_light,
        };
        let (shadows, light) = lit.state.get_or_init(|| {
            let mut shadows = ShadowSet::new(&lit.rig);
            shadows.draw(&self.station.tray);
            let scene = Scene { tray: &self.station.tray, items: &Mesh::default() };
            let samples = shade(&self.empty, &scene, &self.eye, &lit.rig, &shadows, &self.empty_heights, &self.linear);
            let (w, h) = (self.empty_plate.width, self.empty_plate.height);
            let mut light = vec![[0.0; 3]; w * h];
            average(&samples, self.empty.window, &mut light, w);
            (shadows, light)
        });
        (&lit.rig, shadows, light)
    }

    /// Light and truth of a scene.
    pub fn render(&self, items: &Mesh, light: Light) -> Exposure {
        let (rig, tray_shadows, tray_light) = self.lit(light);
        let mut exposure = Exposure { light: tray_light.to_vec(), plate: self.empty_plate.clone(), match_quality: Vec::new() };
        let width = self.empty_plate.width;
        if let Some(window) = self.window(items, Some(rig)) {
            let layer = self.layer(items, window);
            let scene = Scene { tray: &self.station.tray, items };
            let mut shadows = tray_shadows.clone();
            shadows.draw(items);
            let mut heights = self.empty_heights.clone();
            heights.update(&self.eye, &layer);
            let samples = shade(&layer, &scene, &self.eye, rig, &shadows, &heights, &self.linear);
            average(&samples, window, &mut exposure.light, width);
            exposure.plate.take(&layer, &scene);
        }
        exposure.match_quality = exposure.light.iter().map(match_quality).collect();
        exposure
    }

    /// Colour and depth sensors.
    pub fn sense(&self, mut exposure: Exposure, rng: &mut Random) -> (RgbdFrame, Plate) {
        let (w, h) = (self.empty_plate.width, self.empty_plate.height);
        let focal_px = self.station.intrinsics.fx as f32;
        let depth_sensor = DepthSensor::new(rng, self.station.depth_offset_px, self.station.intrinsics.width);
        let depth = measure(&exposure.plate.depth_m, &exposure.match_quality, w, h, focal_px, &depth_sensor);
        let color = expose(&mut exposure.light, w, h, &ColorSensor::new(rng));
        let frame = RgbdFrame {
            color: Arc::new(sized(ColorImage::new(self.station.intrinsics.width, self.station.intrinsics.height, color))),
            depth: Some(Arc::new(sized(DepthImage::from_raw_m(self.station.intrinsics.width, self.station.intrinsics.height, depth)))),
            intrinsics: Some(self.station.intrinsics),
        };
        (frame, exposure.plate)
    }
}

/// The mean of each pixel's samples.
fn average(samples: &[[f32; 3]], window: Window, light: &mut [[f32; 3]], width: usize) {
    let share = 1.0 / (SUPERSAMPLE * SUPERSAMPLE) as f32;
    for row in (0..window.h).step_by(SUPERSAMPLE) {
        for column in (0..window.w).step_by(SUPERSAMPLE) {
            let at = row * window.w + column;
            let four = [at, at + 1, at + window.w, at + window.w + 1];
            let pixel = (window.y + row) / SUPERSAMPLE * width + (window.x + column) / SUPERSAMPLE;
            light[pixel] = std::array::from_fn(|c| four.iter().map(|i| samples[*i][c]).sum::<f32>() * share);
        }
    }
}

/// How well stereo matches there, [0, 1]: neither black nor dazzling.
fn match_quality(light: &[f32; 3]) -> f32 {
    let luma = 0.3 * light[0] + 0.59 * light[1] + 0.11 * light[2];
    let dark = (luma / 0.03).min(1.0);
    let dazzled = ((1.25 - luma) / 0.4).clamp(0.0, 1.0);
    (0.45 + 0.55 * dark) * (0.3 + 0.7 * dazzled)
}

/// Pictures of the booth's own size: `Booth::new` has checked it, and every buffer is made with it.
#[expect(clippy::expect_used, reason = "the size was checked when the booth was built")]
pub(crate) fn sized<T>(image: Result<T, ImageError>) -> T {
    image.expect("booth buffers have the booth's size")
}
