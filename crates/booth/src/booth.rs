//! The booth: products go in, captures come out.

use nalgebra::{Isometry3, Rotation3};
use rand::Rng;
use rayon::prelude::*;
use vision::{Intrinsics, RgbdFrame};

use crate::damage;
use crate::item::{self, Recipe, assemble};
use crate::mesh::{Mesh, V3};
use crate::product::Product;
use crate::random::{Random, Stream, chance, integer, stream, uniform};
use crate::studio::{Exposure, Light, Studio, sized};
use crate::truth::{self, Plate};
use crate::types::{BoothError, BoothSpec, Capture, DamageTruth, InstanceTruth, ProductInfo, Reference, Severity, SideView, Truth};

/// A booth built from a [`BoothSpec`]: tray, camera, light and products. Cheap to share between threads.
pub struct Booth {
    spec: BoothSpec,
    studio: Studio,
    /// Through the other cameras.
    beside: Vec<Studio>,
    products: Vec<Product>,
    texel_mm: f32,
}

/// How often damage that nobody can see is drawn anew.
const ATTEMPTS: usize = 5;
/// Cameras that a booth may have.
const MOST_CAMERAS: usize = 8;
/// Pristine views of a product, at least.
const LEAST_VIEWS: usize = 3;

impl Booth {
    /// Builds the booth. Prints are painted when a product is first seen.
    ///
    /// # Errors
    /// When the size, a fraction, the families or the number of products make no booth.
    pub fn new(spec: BoothSpec) -> Result<Booth, BoothError> {
        check(&spec)?;
        let studio = Studio::new(&mut stream(spec.seed, Stream::Station, 0), spec.width, spec.height, spec.surface);
        let around = spec.cameras - 1;
        let beside = (1..=around).map(|k| studio.beside(&mut stream(spec.seed, Stream::Camera, k as u64), k, around)).collect();
        let products = (0..spec.products).map(|i| Product::new(&spec, i)).collect();
        let texel_mm = (0.9 * 480.0 / spec.height as f32).clamp(0.55, 1.8);
        Ok(Booth { spec, studio, beside, products, texel_mm })
    }

    /// What the booth was built from.
    pub fn spec(&self) -> &BoothSpec {
        &self.spec
    }

    /// Pinhole model of colour and aligned depth of the first camera.
    pub fn intrinsics(&self) -> Intrinsics {
        self.studio.station.intrinsics
    }

    /// Pose of the first camera's optical frame in the cell: about a metre above the tray, looking down.
    pub fn cell_from_camera(&self) -> Isometry3<f64> {
        self.studio.station.cell_from_camera
    }

    /// Cameras of the booth, at least one; those below count from 0.
    pub fn cameras(&self) -> usize {
        1 + self.beside.len()
    }

    fn studio_of(&self, camera: usize) -> Option<&Studio> {
        if camera == 0 { Some(&self.studio) } else { self.beside.get(camera - 1) }
    }

    /// Pinhole model of a camera; `None` when the booth has no such camera.
    pub fn intrinsics_of(&self, camera: usize) -> Option<Intrinsics> {
        Some(self.studio_of(camera)?.station.intrinsics)
    }

    /// Pose of a camera's optical frame in the cell; `None` when the booth has no such camera.
    pub fn cell_from_camera_of(&self, camera: usize) -> Option<Isometry3<f64>> {
        Some(self.studio_of(camera)?.station.cell_from_camera)
    }

    /// The empty tray through a camera, with noise of its own; `None` when the booth has no such camera.
    pub fn background_of(&self, camera: usize) -> Option<RgbdFrame> {
        let studio = self.studio_of(camera)?;
        let mut rng = stream(self.spec.seed, Stream::Background, camera as u64);
        Some(studio.sense(studio.render(&Mesh::default(), Light::Booth), &mut rng).0)
    }

    /// All products, in the order of their names.
    pub fn products(&self) -> Vec<ProductInfo> {
        self.products.iter().map(Product::info).collect()
    }

    /// The empty tray through the same cameras, with noise of its own.
    pub fn background(&self) -> RgbdFrame {
        let mut rng = stream(self.spec.seed, Stream::Background, 0);
        let exposure = self.studio.render(&Mesh::default(), Light::Booth);
        self.studio.sense(exposure, &mut rng).0
    }

    /// Capture number `index`. Any index is valid; the same index gives the same bytes.
    pub fn capture(&self, index: usize) -> Capture {
        let mut rng = stream(self.spec.seed, Stream::Item, index as u64);
        let stamp_offset_ns = index as i64 * 2_000_000_000 + rng.random_range(0..200_000_000i64);
        let mut recipes = self.draw_recipes(&mut rng);
        let (exposure, damage, intact) = self.stage(&mut recipes, &mut rng);
        let (frame, plate) = self.studio.sense(exposure, &mut rng);
        let first = recipes.first().map(|r| &self.products[r.product]);
        let beside = (1..self.cameras()).filter_map(|k| self.side_view(k, index, &recipes, &damage)).collect();
        Capture {
            item_id: format!("booth-{}-{index:06}", self.spec.seed),
            product: first.map(|p| p.name.clone()).unwrap_or_default(),
            barcode: first.map(|p| p.identity.barcode.clone()).unwrap_or_default(),
            frame,
            truth: self.truth(&recipes, &plate, intact.as_ref(), damage),
            beside,
            stamp_offset_ns,
        }
    }

    /// The scene of a capture through another camera, with the item's damage as it shows there.
    fn side_view(&self, camera: usize, index: usize, recipes: &[Recipe], damage: &[DamageTruth]) -> Option<SideView> {
        let studio = self.studio_of(camera)?;
        let exposure = studio.render(&self.assemble_all(recipes, true), Light::Booth);
        let (frame, plate) = studio.sense(exposure, &mut stream(self.spec.seed, Stream::View, (index * MOST_CAMERAS + camera) as u64));
        let intact = (!damage.is_empty()).then(|| studio.plate(&self.assemble_all(recipes, false)));
        let focal_px = [studio.station.intrinsics.fx as f32, studio.station.intrinsics.fy as f32];
        let mut shown = Vec::new();
        for (number, recipe) in recipes.iter().enumerate() {
            let known: Vec<&DamageTruth> = damage.iter().filter(|d| usize::from(d.instance) == number + 1).collect();
            if let Some(intact) = intact.as_ref().filter(|_| !known.is_empty()) {
                shown.extend(sized(truth::label_beside(recipe, &known, &plate, intact, focal_px)));
            }
        }
        // Whether an item is damaged is the item's, not the camera's, to say.
        let whole = self.truth(recipes, &plate, intact.as_ref(), damage.to_vec());
        Some(SideView { frame, truth: Truth { damage: shown, ..whole } })
    }

    /// Captures of a range of indices, on all cores, in order.
    pub fn captures(&self, range: std::ops::Range<usize>) -> Vec<Capture> {
        range.into_par_iter().map(|i| self.capture(i)).collect()
    }

    /// Pristine views of a product: its resting poses, other turns, another light; without tape and labels. There are three, one
    /// a pose, or `least`, whichever is more; the first ones are the same however many are wanted.
    ///
    /// # Errors
    /// When the booth has no product of that name.
    pub fn references(&self, product: &str, least: usize) -> Result<Vec<Reference>, BoothError> {
        let number = self.products.iter().position(|p| p.name == product).ok_or_else(|| BoothError::UnknownProduct(product.to_string()))?;
        let mut rng = stream(self.spec.seed, Stream::Reference, number as u64);
        let mut poses = item::resting_poses(self.products[number].family);
        let least = poses.len().max(LEAST_VIEWS).max(least);
        // A view may show nothing of the product; then another takes its place.
        poses = poses.iter().copied().cycle().take(2 * least).collect();
        Ok(poses.into_iter().filter_map(|resting| self.reference(number, resting, &mut rng)).take(least).collect())
    }

    fn reference(&self, product: usize, resting: Rotation3<f32>, rng: &mut Random) -> Option<Reference> {
        let recipe = Recipe {
            product,
            resting,
            yaw: item::draw_yaw(rng),
            at_m: [uniform(rng, -0.03, 0.03), uniform(rng, -0.03, 0.03)],
            seed: rng.random(),
            handled: false,
            damage: Vec::new(),
            absent: Vec::new(),
        };
        let mesh = assemble(&recipe, &self.products[product], 1, false, self.texel_mm);
        let exposure = self.studio.render(&mesh, Light::Gallery);
        let (frame, plate) = self.studio.sense(exposure, rng);
        let mask = plate.mask().ok()?;
        let rect = mask.extent(1)?.0.with_margin(0.15, self.spec.width, self.spec.height);
        Some(Reference { color: frame.color.crop(rect)?, mask: mask.crop(rect)?, frame, rect })
    }

    /// Chooses products, poses and accidents.
    fn draw_recipes(&self, rng: &mut Random) -> Vec<Recipe> {
        let wanted = if self.spec.clutter { integer(rng, 2, 5) } else { 1 };
        let mut recipes: Vec<(Recipe, V3, V3)> = Vec::new();
        for _ in 0..wanted * 12 {
            if recipes.len() as u32 >= wanted {
                break;
            }
            let recipe = self.draw_recipe(rng);
            let mesh = assemble(&recipe, &self.products[recipe.product], 1, false, self.texel_mm);
            let Some((recipe, lo, hi)) = self.find_place(recipe, &mesh, &recipes, rng) else {
                continue;
            };
            recipes.push((recipe, lo, hi));
        }
        recipes.into_iter().map(|(recipe, _, _)| recipe).collect()
    }

    fn draw_recipe(&self, rng: &mut Random) -> Recipe {
        let product = rng.random_range(0..self.products.len());
        let family = self.products[product].family;
        let mut recipe = Recipe {
            product,
            resting: item::draw_resting(family, rng),
            yaw: item::draw_yaw(rng),
            at_m: [0.0, 0.0],
            seed: rng.random(),
            handled: true,
            damage: Vec::new(),
            absent: Vec::new(),
        };
        if chance(rng, self.spec.damage_fraction as f32) {
            self.draw_damage(&mut recipe, rng);
        }
        recipe
    }

    fn draw_damage(&self, recipe: &mut Recipe, rng: &mut Random) {
        let product = &self.products[recipe.product];
        recipe.damage = damage::plan(&self.spec.damage_kinds, product.family, rng);
        recipe.absent = if item::wants_missing_unit(&recipe.damage) { item::draw_absent(product, rng) } else { Vec::new() };
    }

    /// A free place on the tray floor, and the box that the item takes there.
    fn find_place(&self, mut recipe: Recipe, mesh: &Mesh, others: &[(Recipe, V3, V3)], rng: &mut Random) -> Option<(Recipe, V3, V3)> {
        let (lo, hi) = mesh.bounds();
        let room = [0, 1].map(|i| (self.studio.station.inner_m[i] - (hi[i] - lo[i]) / 2.0 - 0.004).max(0.0));
        let spread = if self.spec.clutter { 1.0 } else { 0.6 };
        for _ in 0..24 {
            let at = room.map(|r| uniform(rng, -spread, spread) * r);
            let shift = V3::new(at[0], at[1], 0.0);
            let (low, high) = (lo + shift, hi + shift);
            let gap = 0.006;
            let free = others.iter().all(|(_, a, b)| low.x > b.x + gap || high.x < a.x - gap || low.y > b.y + gap || high.y < a.y - gap);
            if free {
                recipe.at_m = at;
                return Some((recipe, low, high));
            }
        }
        None
    }

    /// Renders; where damage cannot be seen another is drawn, in the end none.
    fn stage(&self, recipes: &mut [Recipe], rng: &mut Random) -> (Exposure, Vec<DamageTruth>, Option<Plate>) {
        for attempt in 0..=ATTEMPTS {
            let mesh = self.assemble_all(recipes, true);
            if recipes.iter().all(|r| r.damage.is_empty()) {
                return (self.studio.render(&mesh, Light::Booth), Vec::new(), None);
            }
            let (damaged, intact) = (self.studio.plate(&mesh), self.studio.plate(&self.assemble_all(recipes, false)));
            let mut all_seen = true;
            let mut found = Vec::new();
            for (number, recipe) in recipes.iter_mut().enumerate() {
                let labels = self.label(recipe, number as u16 + 1, &damaged, &intact);
                if labels.len() < recipe.damage.len() {
                    all_seen = false;
                    if attempt + 1 < ATTEMPTS {
                        self.draw_damage(recipe, rng);
                    } else {
                        recipe.damage.clear();
                        recipe.absent.clear();
                    }
                }
                found.extend(labels);
            }
            if all_seen {
                return (self.studio.render(&mesh, Light::Booth), found, Some(intact));
            }
        }
        for recipe in recipes.iter_mut() {
            recipe.damage.clear();
            recipe.absent.clear();
        }
        (self.studio.render(&self.assemble_all(recipes, true), Light::Booth), Vec::new(), None)
    }

    fn label(&self, recipe: &Recipe, instance: u16, damaged: &Plate, intact: &Plate) -> Vec<DamageTruth> {
        let focal_px = [self.studio.station.intrinsics.fx as f32, self.studio.station.intrinsics.fy as f32];
        sized(truth::label(recipe, instance, damaged, intact, focal_px))
    }

    fn assemble_all(&self, recipes: &[Recipe], damaged: bool) -> Mesh {
        let mut all = Mesh::default();
        for (number, recipe) in recipes.iter().enumerate() {
            all.append(assemble(recipe, &self.products[recipe.product], number as u16 + 1, damaged, self.texel_mm));
        }
        all
    }

    fn truth(&self, recipes: &[Recipe], plate: &Plate, intact: Option<&Plate>, damage: Vec<DamageTruth>) -> Truth {
        let instances: Vec<InstanceTruth> = recipes
            .iter()
            .enumerate()
            .map(|(i, recipe)| {
                let product = &self.products[recipe.product];
                let instance = i as u16 + 1;
                let mut own = damage.iter().filter(|d| d.instance == instance);
                InstanceTruth {
                    instance,
                    product: product.name.clone(),
                    family: product.family,
                    lookalike: product.identity.lookalike,
                    is_damaged: own.clone().next().is_some(),
                    is_gross: own.any(|d| d.severity == Severity::Major),
                    units: product.countable().then(|| (product.unit_count(), product.unit_count() - recipe.absent.len() as u32)),
                }
            })
            .collect();
        Truth {
            mask: sized(plate.mask()),
            depth: sized(plate.depth_image()),
            intact_depth: intact.map(|p| sized(p.depth_image())),
            is_damaged: instances.iter().any(|i| i.is_damaged),
            is_gross: instances.iter().any(|i| i.is_gross),
            instances,
            damage,
        }
    }
}

fn check(spec: &BoothSpec) -> Result<(), BoothError> {
    if !(160..=1280).contains(&spec.width) || !(120..=720).contains(&spec.height) {
        return Err(BoothError::Size { width: spec.width, height: spec.height });
    }
    for (name, value) in [("damage_fraction", spec.damage_fraction), ("lookalike_fraction", spec.lookalike_fraction)] {
        if !(0.0..=1.0).contains(&value) {
            return Err(BoothError::Fraction { name, value });
        }
    }
    if !(1..=MOST_CAMERAS).contains(&spec.cameras) {
        return Err(BoothError::Cameras(spec.cameras));
    }
    if spec.families.is_empty() {
        return Err(BoothError::Empty("families"));
    }
    if spec.products == 0 {
        return Err(BoothError::Empty("products"));
    }
    Ok(())
}
