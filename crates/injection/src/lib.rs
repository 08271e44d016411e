//! The exam's injector: damage put into real captures, colour and depth together, and for each its **sham**, a benign edit of the
//! same strength that goes through the same warp, blend, noise and depth path.
//!
//! Whoever tells damage by traces of editing fails here: both sides carry them. Nothing is shared with `training/inject.py`,
//! which puts damage into what networks learn from.
//!
//! Values in, values out: the same frame and seed give the same bytes on one machine.

mod canvas;
mod damage;
mod noise;
mod place;
mod plan;
mod sham;

use std::sync::Arc;

use canvas::Canvas;
use noise::dice;
use place::Place;
use plan::{Edited, Plan, apply};
use sham::Strength;
use vision::{ColorImage, DepthImage, ImageError, LabelMask, RgbdFrame};

/// Smaller items show no damage that anybody could judge, pixels.
pub(crate) const MIN_ITEM_PX: u32 = 600;

/// Why nothing can be put into a capture.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InjectionError {
    /// Colour, depth and mask differ in size.
    #[error("colour, depth and mask differ in size")]
    Sizes,
    /// The mask has no such label.
    #[error("the mask has no item {0}")]
    NoItem(u16),
    /// The item is too small.
    #[error("the item covers {0} pixels; {MIN_ITEM_PX} are the least")]
    Small(u32),
    /// The item has no place for the damage: its outline is cut off by the picture.
    #[error("the item has no place for this damage")]
    NoPlace,
    /// An impossible picture; kept for callers who pass wrong sizes.
    #[error("{0}")]
    Image(String),
}

impl From<ImageError> for InjectionError {
    fn from(error: ImageError) -> Self {
        InjectionError::Image(error.to_string())
    }
}

/// A way of damaging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// A hollow in a face.
    Dent,
    /// An edge pushed in.
    Crush,
    /// A long ragged opening.
    Tear,
    /// A round ragged opening.
    Hole,
    /// Scratches over a rubbed patch.
    Scuff,
    /// A dried liquid.
    Stain,
    /// Soaked through.
    WetPatch,
    /// A flap folded out over the outline.
    OpenedFlap,
    /// Liquid or powder across the outline.
    Spill,
}

impl Operator {
    /// All of them.
    pub const ALL: [Operator; 9] = [
        Operator::Dent,
        Operator::Crush,
        Operator::Tear,
        Operator::Hole,
        Operator::Scuff,
        Operator::Stain,
        Operator::WetPatch,
        Operator::OpenedFlap,
        Operator::Spill,
    ];

    /// As in tables.
    pub fn name(self) -> &'static str {
        match self {
            Operator::Dent => "dent",
            Operator::Crush => "crush",
            Operator::Tear => "tear",
            Operator::Hole => "hole",
            Operator::Scuff => "scuff",
            Operator::Stain => "stain",
            Operator::WetPatch => "wet_patch",
            Operator::OpenedFlap => "opened_flap",
            Operator::Spill => "spill",
        }
    }

    /// Kaputt's type, in its spelling.
    pub fn kaputt(self) -> &'static str {
        match self {
            Operator::Dent | Operator::Crush => "deformation",
            Operator::Tear | Operator::Hole => "penetration",
            Operator::Scuff | Operator::Stain | Operator::WetPatch => "superficial",
            Operator::OpenedFlap => "actuation",
            Operator::Spill => "spillage",
        }
    }

    /// True for what happens at the item's outline.
    pub(crate) fn is_at_outline(self) -> bool {
        matches!(self, Operator::Crush | Operator::OpenedFlap | Operator::Spill)
    }
}

/// A damaged capture and its benign twin.
#[derive(Clone, Debug)]
pub struct Twins {
    /// With damage.
    pub damaged: RgbdFrame,
    /// With the sham.
    pub sham: RgbdFrame,
    /// Damaged pixels of `damaged` (1), size of the colour picture.
    pub region: LabelMask,
    /// How large it is.
    pub extent: Extent,
}

/// How large a damage is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// Damaged pixels.
    pub area_px: u32,
    /// Their area facing the camera, mm²; without a measured scale a guess from the size of an ordinary item.
    pub area_mm2: f32,
    /// The item's area, mm², likewise.
    pub item_area_mm2: f32,
    /// How far the surface moved along the view ray, mm (90th percentile of the damaged pixels).
    pub depth_mm: f32,
    /// True when depth and camera give the scale, false when millimetres are a guess.
    pub is_measured: bool,
}

/// Puts a damage into the item `label` of a capture, and its sham into another copy. `depth_step_m` is the step in which the
/// capture's depth was written, so that new depths do not betray themselves by finer ones.
///
/// # Errors
/// When the pictures do not fit each other, or the item is missing, too small or has no place for the damage.
pub fn inject(
    frame: &RgbdFrame,
    mask: &LabelMask,
    label: u16,
    operator: Operator,
    depth_step_m: f32,
    seed: u64,
) -> Result<Twins, InjectionError> {
    let canvas = Canvas::of(&frame.color, frame.depth.as_deref(), mask, label)?;
    let focal_px = frame.intrinsics.map(|k| k.fx as f32);
    let picture = (frame.color.width(), frame.color.height());
    let place = Place::draw(&canvas, operator, picture, focal_px, &mut dice(seed, 1))?;
    let plan = damage::draw(operator, &canvas, &place, &mut dice(seed, 2));
    let like = Strength::of(&canvas, &plan, &place);
    let benign = sham::draw(operator, &canvas, &place, &like, &mut dice(seed, 3));
    let cut = frame.color.crop(canvas.window).ok_or(InjectionError::NoItem(label))?;
    let bytes = cut.data().as_chunks::<3>().0;
    let step = depth_step_m.max(1e-5);
    let side = |plan: &Plan, purpose| paste(frame, &canvas, &apply(&canvas, plan, &place, bytes, step, &mut dice(seed, purpose)));
    Ok(Twins {
        damaged: side(&plan, 4)?,
        sham: side(&benign, 5)?,
        region: region(&canvas, &plan, picture)?,
        extent: extent(&canvas, &plan, &place),
    })
}

/// The capture with the edited window in it.
fn paste(frame: &RgbdFrame, canvas: &Canvas, edited: &Edited) -> Result<RgbdFrame, InjectionError> {
    let (width, height) = (frame.color.width(), frame.color.height());
    let place = |i: usize| (canvas.window.y as usize + i / canvas.w) * width as usize + canvas.window.x as usize + i % canvas.w;
    let mut color = frame.color.data().to_vec();
    for (i, rgb) in edited.rgb.iter().enumerate() {
        color[3 * place(i)..3 * place(i) + 3].copy_from_slice(rgb);
    }
    let depth = match (&frame.depth, &edited.depth) {
        (Some(depth), Some(edited)) => {
            let mut data = depth.data().to_vec();
            for (i, z) in edited.iter().enumerate() {
                data[place(i)] = *z;
            }
            Some(Arc::new(DepthImage::from_raw_m(width, height, data)?))
        }
        _ => None,
    };
    Ok(RgbdFrame { color: Arc::new(ColorImage::new(width, height, color)?), depth, intrinsics: frame.intrinsics })
}

fn region(canvas: &Canvas, plan: &Plan, (width, height): (u32, u32)) -> Result<LabelMask, InjectionError> {
    let mut data = vec![0; width as usize * height as usize];
    for (i, _) in plan.touches.iter().enumerate().filter(|(_, t)| t.damaged) {
        data[(canvas.window.y as usize + i / canvas.w) * width as usize + canvas.window.x as usize + i % canvas.w] = 1;
    }
    Ok(LabelMask::new(width, height, data)?)
}

fn extent(canvas: &Canvas, plan: &Plan, place: &Place) -> Extent {
    let marked = || plan.touches.iter().filter(|t| t.damaged);
    let mut moved: Vec<f32> = marked().map(|t| (t.relief_mm + t.sink_mm).abs()).collect();
    moved.sort_unstable_by(f32::total_cmp);
    let area_px = moved.len() as u32;
    let pixel_mm2 = place.mm_per_px * place.mm_per_px;
    // A flap stands as far off as it is long; its sheet is no relief.
    let sheet_mm = marked()
        .filter_map(|t| t.sheet_m)
        .fold(None, |range: Option<(f32, f32)>, z| Some(range.map_or((z, z), |(a, b)| (a.min(z), b.max(z)))))
        .map_or(0.0, |(a, b)| 1000.0 * (b - a));
    Extent {
        area_px,
        area_mm2: area_px as f32 * pixel_mm2,
        item_area_mm2: canvas.area_px() as f32 * pixel_mm2,
        depth_mm: moved.get(moved.len() * 9 / 10).copied().unwrap_or(0.0).max(sheet_mm),
        is_measured: place.is_measured,
    }
}
