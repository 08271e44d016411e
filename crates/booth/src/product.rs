//! Products: reproducible identities from which items are made.

use std::sync::{Arc, OnceLock};

use crate::families;
use crate::paint::{Identity, Texture};
use crate::random::{Random, Stream, chance, integer, pick, stream, uniform};
use crate::types::{BoothSpec, Family, ProductInfo};
use rand::Rng;

/// One identity: shape, print, barcode.
#[derive(Debug)]
pub(crate) struct Product {
    pub name: String,
    pub family: Family,
    /// Length (x), width (y), height (z) in its drawing pose, metres.
    pub size_m: [f32; 3],
    pub identity: Identity,
    /// Columns and rows of countable units; one by one where there are none.
    pub units: [u32; 2],
    /// The units lie elsewhere in every item.
    pub shuffled: bool,
    /// Neck radius of a bottle as a share of the body's.
    pub neck: f32,
    /// A carton closed by two flaps with a seam (else: a folding box).
    pub seamed: bool,
    faces: OnceLock<Vec<Arc<Texture>>>,
}

impl Product {
    /// Product number `index` of a booth.
    pub fn new(spec: &BoothSpec, index: usize) -> Product {
        let mut rng = stream(spec.seed, Stream::Product, index as u64);
        let family = spec.families[index % spec.families.len()];
        let wanted = chance(&mut rng, spec.lookalike_fraction as f32) && !spec.lookalikes.is_empty();
        let lookalike = wanted.then(|| spec.lookalikes[rng.random_range(0..spec.lookalikes.len())]);
        let (kraft, gloss) = surface(family, &mut rng);
        let art_seed = rng.random::<u64>();
        let identity = Identity::new(&mut rng, art_seed, kraft, gloss, lookalike);
        let units = units(family, &mut rng);
        let size_m = size(family, units, &mut rng);
        Product {
            name: format!("P{index:04}"),
            family,
            size_m,
            identity,
            units,
            shuffled: spec.shuffled_units && family == Family::MultiPack,
            neck: uniform(&mut rng, 0.3, 0.65),
            seamed: family == Family::Carton && size_m[1] > 0.1,
            faces: OnceLock::new(),
        }
    }

    /// How many units an item holds.
    pub fn unit_count(&self) -> u32 {
        self.units[0] * self.units[1]
    }

    /// True for packs whose units are counted.
    pub fn countable(&self) -> bool {
        matches!(self.family, Family::Blister | Family::MultiPack)
    }

    /// Radius of a unit of a multi-pack, metres.
    pub fn unit_radius_m(&self) -> f32 {
        self.size_m[0] / self.units[0] as f32 / 2.0
    }

    /// The painted faces, made on first use.
    pub fn faces(&self, texel_mm: f32) -> &[Arc<Texture>] {
        self.faces.get_or_init(|| families::faces(self, texel_mm))
    }

    /// What others may know.
    pub fn info(&self) -> ProductInfo {
        ProductInfo {
            name: self.name.clone(),
            barcode: self.identity.barcode.clone(),
            family: self.family,
            size_m: self.size_m.map(f64::from),
            lookalike: self.identity.lookalike,
        }
    }
}

/// Chance of bare board or plain film, and the gloss of the print.
fn surface(family: Family, rng: &mut Random) -> (f32, u8) {
    match family {
        Family::Carton => (0.4, integer(rng, 10, 120) as u8),
        Family::PaddedMailer => (0.85, 15),
        Family::PolyMailer => (0.0, integer(rng, 110, 190) as u8),
        Family::Pouch => (0.1, integer(rng, 60, 180) as u8),
        Family::BubbleWrap => (0.2, integer(rng, 130, 200) as u8),
        Family::Can => (0.0, integer(rng, 120, 190) as u8),
        Family::Bottle | Family::Tube => (0.0, integer(rng, 90, 180) as u8),
        Family::Book => (0.0, integer(rng, 30, 130) as u8),
        Family::Blister | Family::MultiPack => (0.15, integer(rng, 20, 90) as u8),
    }
}

fn units(family: Family, rng: &mut Random) -> [u32; 2] {
    match family {
        Family::Blister => pick(rng, [[2, 1], [3, 1], [3, 2], [4, 2], [5, 2], [4, 3]]),
        Family::MultiPack => pick(rng, [[2, 2], [3, 2], [4, 2], [3, 3]]),
        _ => [1, 1],
    }
}

fn size(family: Family, units: [u32; 2], rng: &mut Random) -> [f32; 3] {
    let mut u = |a, b| uniform(rng, a, b);
    match family {
        Family::Carton => {
            let (l, w) = (u(0.11, 0.32), u(0.08, 0.23));
            [l.max(w), l.min(w), u(0.035, 0.16)]
        }
        Family::PaddedMailer => [u(0.18, 0.33), u(0.13, 0.24), u(0.012, 0.035)],
        Family::PolyMailer => [u(0.18, 0.33), u(0.14, 0.25), u(0.018, 0.055)],
        Family::BubbleWrap => [u(0.14, 0.28), u(0.11, 0.22), u(0.03, 0.07)],
        Family::Pouch => [u(0.16, 0.28), u(0.11, 0.19), u(0.03, 0.06)],
        Family::Bottle => {
            let d = u(0.05, 0.085);
            [d, d, u(0.15, 0.26)]
        }
        Family::Can => {
            let d = u(0.06, 0.1);
            [d, d, u(0.06, 0.17)]
        }
        Family::Tube => [u(0.12, 0.19), u(0.045, 0.06), u(0.03, 0.045)],
        Family::Blister => {
            let cell = u(0.028, 0.042);
            let l = cell * units[0] as f32 / 0.88 + 0.02;
            let w = cell * u(0.9, 1.2) * units[1] as f32 / 0.56 + 0.01;
            [l, w.min(0.22), u(0.012, 0.022)]
        }
        Family::MultiPack => {
            let d = u(0.058, 0.068);
            [d * units[0] as f32, d * units[1] as f32, u(0.07, 0.12)]
        }
        Family::Book => [u(0.14, 0.26), u(0.11, 0.2), u(0.01, 0.05)],
    }
}
