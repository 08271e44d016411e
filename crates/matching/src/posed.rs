//! What is odd about a picture of a product that is always pictured alike.

use rayon::prelude::*;
use vision::HeatMap;

use crate::patches::{PatchMemory, PatchVerdict, level};
use crate::pose::{Brought, Loose, NEARLY_ALL, Pose};
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
/// Where more pristine pictures than this share show no thing, one that shows none is nothing new.
const FEW: f32 = 0.01;
/// How odd it is otherwise: it is empty, or so much lies there that no single thing is seen.
const NO_THING: f32 = 0.95;

/// Two judges of pictures that are taken alike: a memory of patches, and a network that learnt what blemishes do to the
/// surface. Each says how odd a picture is, measured by what it says of pristine ones that it did not learn from. Things before an
/// even ground are brought into one pose first, where that puts their parts into the same places; then matter beside the thing is
/// odd by itself, and so is a picture in which no such thing is found.
pub struct Posed {
    pose: Option<(Pose, Beside)>,
    memory: PatchMemory,
    /// Not of a few cutouts: each may show another side.
    surface: Option<Surface>,
}

/// What pristine pictures show beside the thing.
#[derive(Clone, Copy)]
struct Beside {
    /// Matter that lies there in nearly all of them at most, share of the picture.
    usual: f32,
    /// All but a [`FEW`] show a thing at all.
    always_thing: bool,
}

impl Beside {
    fn of(pristine: &[Brought]) -> Beside {
        let mut shares: Vec<f32> = pristine.iter().filter(|b| b.shows_thing).map(|b| b.loose.share).collect();
        shares.sort_unstable_by(f32::total_cmp);
        // Rounded down: of a few pictures, too, one untidy one does not make dirt usual.
        let usual = shares.get((shares.len().saturating_sub(1) as f64 * NEARLY_ALL) as usize).copied().unwrap_or(0.0);
        Beside { usual, always_thing: (pristine.len() - shares.len()) as f32 <= FEW * pristine.len() as f32 }
    }

    /// One half where three times as much lies there as usual, and never for less than a speck.
    fn level(self, loose: &Loose) -> f32 {
        level(loose.share, (3.0 * self.usual + SPECK, self.usual + SPECK))
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
            let brought = brought?;
            let beside = Beside::of(&brought);
            let brought: Vec<Cutout> = brought.into_iter().filter(|b| b.shows_thing).map(|b| b.cutout).collect();
            let in_pose = PatchMemory::of(&brought).filter(|m| m.disorder() < BETTER_ORDER * memory.disorder());
            if let Some(memory) = in_pose {
                return Ok(Some(Posed { pose: Some((pose, beside)), memory, surface: surface(&brought)? }));
            }
        }
        Ok(Some(Posed { pose: None, memory, surface: surface(pictures)? }))
    }

    /// Judges a picture; `None` of one without pixels.
    ///
    /// # Errors
    /// A failure inside OpenCV.
    pub fn judge(&self, picture: &Cutout) -> Result<Option<PatchVerdict>, MatchError> {
        let Some((pose, pristine)) = &self.pose else { return self.judge_in_pose(picture) };
        let brought = pose.bring(picture)?;
        let Some(verdict) = self.judge_in_pose(&brought.cutout)? else { return Ok(None) };
        let (width, height) = (picture.color().width(), picture.color().height());
        let map = brought.map_of_picture(&verdict.map, width, height)?;
        let no_thing = pristine.always_thing && !brought.shows_thing;
        let odd = if no_thing { NO_THING } else { pristine.level(&brought.loose) };
        if odd <= 0.5 {
            return Ok(Some(PatchVerdict { map, ..verdict }));
        }
        // Where the thing should be cannot be told when there is none: all of the picture is odd.
        let is_odd = |i: usize| no_thing || brought.loose.is_at(i as u32 % width, i as u32 / width, width, height);
        let values = map.data().iter().enumerate().map(|(i, v)| if is_odd(i) { v.max(odd) } else { *v });
        Ok(Some(PatchVerdict { map: HeatMap::new(width, height, values.collect())?, score: verdict.score.max(odd) }))
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
    #![allow(clippy::unwrap_used)]
    use vision::ColorImage;

    use super::*;

    /// A dark bar with a bright end before a light ground, turned; `fragment` lies in a corner.
    fn bar(n: u32, fragment: bool) -> Cutout {
        let (sin, cos) = (0.3 * f64::from(n)).sin_cos();
        let data = (0..200 * 160u32).flat_map(|i| {
            let (x, y) = (f64::from(i % 200) - 100.0, f64::from(i / 200) - 80.0);
            let (u, v) = (x * cos + y * sin, y * cos - x * sin);
            let level = if u.abs() < 45.0 && v.abs() < 9.0 { if u > 30.0 { 140 } else { 60 } } else { 205 };
            let level = if fragment && i % 200 < 16 && i / 200 < 14 && i % 200 > 5 && i / 200 > 5 { 60 } else { level };
            [level + ((i.wrapping_mul(2_654_435_761).wrapping_add(n * 977) >> 13) % 5) as u8; 3]
        });
        Cutout::whole(ColorImage::new(200, 160, data.collect()).unwrap())
    }

    /// As [`Posed::learn`], in the pose whatever the order, and without a surface.
    fn learnt(pictures: &[Cutout]) -> Posed {
        let pose = Pose::of(pictures).unwrap().unwrap();
        let brought: Vec<Brought> = pictures.iter().map(|p| pose.bring(p).unwrap()).collect();
        let beside = Beside::of(&brought);
        let brought: Vec<Cutout> = brought.into_iter().filter(|b| b.shows_thing).map(|b| b.cutout).collect();
        Posed { pose: Some((pose, beside)), memory: PatchMemory::of(&brought).unwrap(), surface: None }
    }

    #[test]
    fn a_fragment_beside_the_thing_is_odd_and_shown() {
        let posed = learnt(&(0..10).map(|n| bar(n, false)).collect::<Vec<_>>());
        let (whole, broken) = (posed.judge(&bar(17, false)).unwrap().unwrap(), posed.judge(&bar(17, true)).unwrap().unwrap());
        assert!(broken.score > 0.9 && broken.score > whole.score, "{} {}", whole.score, broken.score);
        let at = |v: &PatchVerdict, x: usize, y: usize| v.map.data()[y * 200 + x];
        assert!(at(&broken, 10, 9) > 0.9 && at(&whole, 10, 9) == 0.0 && at(&broken, 10, 150) == 0.0);
    }

    #[test]
    fn a_picture_without_a_thing_is_odd_wherever_one_always_is() {
        let mut pictures: Vec<Cutout> = (0..20).map(|n| bar(n, false)).collect();
        let gray = |level: &dyn Fn(u32) -> u8| {
            let data = (0..200 * 160u32).flat_map(|i| [level(i) + ((i.wrapping_mul(2_654_435_761) >> 13) % 5) as u8; 3]);
            Cutout::whole(ColorImage::new(200, 160, data.collect()).unwrap())
        };
        let empty = gray(&|_| 205);
        let dirt = |i: u32| (i % 200) % 12 < 6 && (i / 200) % 12 < 9;
        let bare: Vec<u8> = pictures[17].color().data().iter().step_by(3).copied().collect();
        let dirty = gray(&|i| if dirt(i) { 60 } else { bare[i as usize].min(240) });
        let posed = learnt(&pictures);
        for (what, picture) in [("empty", &empty), ("dirty", &dirty)] {
            let odd = posed.judge(picture).unwrap().unwrap();
            assert!(odd.score > 0.9 && odd.map.data().iter().all(|v| *v > 0.9), "{what}: {}", odd.score);
        }
        // Where one pristine picture of twenty shows none, it is nothing new.
        pictures[4] = empty.clone();
        let (pose, beside) = learnt(&pictures).pose.unwrap();
        assert!(!beside.always_thing && !pose.bring(&empty).unwrap().shows_thing);
    }

    #[test]
    fn one_untidy_picture_does_not_make_dirt_usual() {
        for (untidy, n, odd) in [(0, 20, true), (1, 20, true), (1, 8, true), (10, 20, false)] {
            let pictures: Vec<Cutout> = (0..n).map(|k| bar(k, k < untidy)).collect();
            let (pose, beside) = learnt(&pictures).pose.unwrap();
            let fragment = beside.level(&pose.bring(&bar(30, true)).unwrap().loose);
            assert_eq!(fragment > 0.9, odd, "{untidy} of {n}: {fragment}");
        }
    }

    #[test]
    fn opinions_add_up_and_doubt_changes_nothing() {
        assert!((together(0.5, 0.8, (1.0, 1.0)) - 0.8).abs() < 1e-6);
        assert!(together(0.8, 0.8, (1.0, 1.0)) > 0.9 && together(0.2, 0.2, (1.0, 1.0)) < 0.1);
        assert!((together(0.2, 0.8, (1.0, 1.0)) - 0.5).abs() < 1e-6 && (together(0.0, 1.0, (1.0, 1.0)) - 0.5).abs() < 1e-6);
        assert!(together(0.8, 0.2, (1.0, 0.5)) > 0.6 && (together(0.8, 0.2, (1.0, 0.0)) - 0.8).abs() < 1e-6);
    }
}
