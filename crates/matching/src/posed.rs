//! What is odd about a picture of a product that is always pictured alike.

use vision::HeatMap;

use crate::patches::{PatchMemory, PatchVerdict};
use crate::surface::Surface;
use crate::{Cutout, MatchError};

/// So many pictures of things that are cut out of their background show it in the same pose again and again.
const MANY: usize = 24;

/// Two judges of pictures that are taken alike: a memory of patches, and a network that learnt what blemishes do to the
/// surface. Each says how odd a picture is, measured by what it says of pristine ones that it did not learn from.
pub struct Posed {
    memory: PatchMemory,
    /// Not of a few cutouts: each may show another side.
    surface: Option<Surface>,
}

impl Posed {
    /// Learns from pristine pictures, about half a minute on two cores; `None` of fewer than [`crate::MIN_PICTURES`].
    ///
    /// # Errors
    /// A failure inside OpenCV.
    pub fn learn(pictures: &[Cutout]) -> Result<Option<Posed>, MatchError> {
        let Some(memory) = PatchMemory::of(pictures) else { return Ok(None) };
        let alike = pictures.len() >= MANY || pictures.iter().all(|p| !p.is_cut_out());
        Ok(Some(Posed { memory, surface: if alike { Surface::learn(pictures)? } else { None } }))
    }

    /// Judges a picture; `None` of one without pixels.
    ///
    /// # Errors
    /// A failure inside OpenCV.
    pub fn judge(&self, picture: &Cutout) -> Result<Option<PatchVerdict>, MatchError> {
        let Some(patches) = self.memory.judge(picture) else { return Ok(None) };
        let Some(surface) = &self.surface else { return Ok(Some(patches)) };
        let surface = surface.judge(picture)?;
        let map = patches.map.data().iter().zip(surface.map.data()).map(|(a, b)| together(*a, *b)).collect();
        let map = HeatMap::new(patches.map.width(), patches.map.height(), map)?;
        Ok(Some(PatchVerdict { score: together(patches.score, surface.score), map }))
    }
}

/// Two opinions that know nothing of each other: their odds multiply. One half, the limit of the usual, stays one half.
fn together(a: f32, b: f32) -> f32 {
    let (yes, no) = (a * b, (1.0 - a) * (1.0 - b));
    if yes + no > 0.0 { yes / (yes + no) } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opinions_add_up_and_doubt_changes_nothing() {
        assert!((together(0.5, 0.8) - 0.8).abs() < 1e-6);
        assert!(together(0.8, 0.8) > 0.9 && together(0.2, 0.2) < 0.1);
        assert!((together(0.2, 0.8) - 0.5).abs() < 1e-6 && (together(0.0, 1.0) - 0.5).abs() < 1e-6);
    }
}
