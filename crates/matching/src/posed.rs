//! What is odd about a picture of a product that is always pictured alike.

use rayon::prelude::*;
use vision::HeatMap;

use crate::patches::{PatchMemory, PatchVerdict, level};
use crate::pose::{Brought, Loose, Pose};
use crate::surface::Surface;
use crate::{Cutout, MatchError};

/// So many pictures of things that are cut out of their background show it in the same pose again and again.
const MANY: usize = 24;

/// What the opinions of memory and surface count where it is known what lies where, and elsewhere: there the surface sees more.
const COUNTS: [(f32, f32); 2] = [(1.0, 0.5), (0.5, 1.0)];
/// The pose is used where it lowers the memory's disorder by this factor.
const BETTER_ORDER: f32 = 0.9;
/// Matter beside the thing that is none, share of the picture: noise and dust.
const SPECK: f32 = 2e-4;

/// Two judges of pictures that are taken alike: a memory of patches, and a network that learnt what blemishes do to the
/// surface. Each says how odd a picture is, measured by what it says of pristine ones that it did not learn from. Things before an
/// even ground are brought into one pose first, where that puts their parts into the same places; then matter beside the thing is
/// odd by itself.
pub struct Posed {
    pose: Option<(Pose, UsualLoose)>,
    memory: PatchMemory,
    /// Not of a few cutouts: each may show another side.
    surface: Option<Surface>,
}

/// How much matter lies beside pristine things at most, share of the picture.
#[derive(Clone, Copy)]
struct UsualLoose(f32);

impl UsualLoose {
    /// One half where three times as much lies there as usual, and never for less than a speck.
    fn level(self, loose: &Loose) -> f32 {
        level(loose.share, (3.0 * self.0 + SPECK, self.0 + SPECK))
    }
}

impl Posed {
    /// Learns from pristine pictures, about half a minute on two cores; `None` of fewer than [`crate::MIN_PICTURES`].
    ///
    /// # Errors
    /// A failure inside OpenCV.
    pub fn learn(pictures: &[Cutout]) -> Result<Option<Posed>, MatchError> {
        let Some(memory) = PatchMemory::of(pictures) else { return Ok(None) };
        let alike = pictures.len() >= MANY || pictures.iter().all(|p| !p.is_cut_out());
        let surface = |of: &[Cutout]| if alike { Surface::learn(of) } else { Ok(None) };
        if let Some(pose) = Pose::of(pictures)? {
            // A few may show no such thing; they teach nothing.
            let brought: Result<Vec<Brought>, MatchError> = pictures.par_iter().map(|p| pose.bring(p)).collect();
            let brought: Vec<Brought> = brought?.into_iter().filter(|b| b.shows_thing).collect();
            let loose = UsualLoose(brought.iter().map(|b| b.loose.share).fold(0.0, f32::max));
            let brought: Vec<Cutout> = brought.into_iter().map(|b| b.cutout).collect();
            let in_pose = PatchMemory::of(&brought).filter(|m| m.disorder() < BETTER_ORDER * memory.disorder());
            if let Some(memory) = in_pose {
                return Ok(Some(Posed { pose: Some((pose, loose)), memory, surface: surface(&brought)? }));
            }
        }
        Ok(Some(Posed { pose: None, memory, surface: surface(pictures)? }))
    }

    /// Judges a picture; `None` of one without pixels.
    ///
    /// # Errors
    /// A failure inside OpenCV.
    pub fn judge(&self, picture: &Cutout) -> Result<Option<PatchVerdict>, MatchError> {
        let Some((pose, usual)) = &self.pose else { return self.judge_in_pose(picture) };
        let brought = pose.bring(picture)?;
        let Some(verdict) = self.judge_in_pose(&brought.cutout)? else { return Ok(None) };
        let (width, height) = (picture.color().width(), picture.color().height());
        let map = brought.map_of_picture(&verdict.map, width, height)?;
        let loose = usual.level(&brought.loose);
        if loose <= 0.5 {
            return Ok(Some(PatchVerdict { map, ..verdict }));
        }
        let beside = |i: usize| brought.loose.is_at(i as u32 % width, i as u32 / width, width, height);
        let values = map.data().iter().enumerate().map(|(i, v)| if beside(i) { v.max(loose) } else { *v });
        Ok(Some(PatchVerdict { map: HeatMap::new(width, height, values.collect())?, score: verdict.score.max(loose) }))
    }

    fn judge_in_pose(&self, picture: &Cutout) -> Result<Option<PatchVerdict>, MatchError> {
        let Some(patches) = self.memory.judge(picture) else { return Ok(None) };
        let Some(surface) = &self.surface else { return Ok(Some(patches)) };
        let surface = surface.judge(picture)?;
        let counts = COUNTS[usize::from(!self.memory.knows_places())];
        let map = patches.map.data().iter().zip(surface.map.data()).map(|(a, b)| together(*a, *b, counts)).collect();
        let map = HeatMap::new(patches.map.width(), patches.map.height(), map)?;
        Ok(Some(PatchVerdict { score: together(patches.score, surface.score, counts), map }))
    }

    /// Each judge's score of a picture by itself, memory and surface, for measuring what each adds.
    ///
    /// # Errors
    /// A failure inside OpenCV.
    pub fn opinions(&self, picture: &Cutout) -> Result<(Option<f32>, Option<f32>), MatchError> {
        let brought = self.pose.as_ref().map(|(pose, _)| pose.bring(picture)).transpose()?;
        let picture = brought.as_ref().map_or(picture, |b| &b.cutout);
        let surface = self.surface.as_ref().map(|s| s.judge(picture)).transpose()?;
        Ok((self.memory.judge(picture).map(|v| v.score), surface.map(|v| v.score)))
    }

    /// How the pictures were taken to lie, in words.
    pub fn about(&self) -> String {
        let pose = if self.pose.is_some() { "brought into one pose" } else { "as they are" };
        format!("{pose}, disorder {:.2}", self.memory.disorder())
    }
}

/// Two opinions that know nothing of each other: their odds multiply, each as much as it counts. One half, the limit of the usual,
/// stays one half.
fn together(a: f32, b: f32, (a_counts, b_counts): (f32, f32)) -> f32 {
    let (yes, no) = (a.powf(a_counts) * b.powf(b_counts), (1.0 - a).powf(a_counts) * (1.0 - b).powf(b_counts));
    if yes + no > 0.0 { yes / (yes + no) } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opinions_add_up_and_doubt_changes_nothing() {
        assert!((together(0.5, 0.8, (1.0, 1.0)) - 0.8).abs() < 1e-6);
        assert!(together(0.8, 0.8, (1.0, 1.0)) > 0.9 && together(0.2, 0.2, (1.0, 1.0)) < 0.1);
        assert!((together(0.2, 0.8, (1.0, 1.0)) - 0.5).abs() < 1e-6 && (together(0.0, 1.0, (1.0, 1.0)) - 0.5).abs() < 1e-6);
        assert!(together(0.8, 0.2, (1.0, 0.5)) > 0.6 && (together(0.8, 0.2, (1.0, 0.0)) - 0.8).abs() < 1e-6);
    }
}
