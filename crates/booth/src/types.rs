//! What the booth takes and gives: specification, captures, truth.

use std::fmt;

use vision::{ColorImage, DepthImage, LabelMask, Rect, RgbdFrame};

/// Why a booth cannot be built or asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BoothError {
    /// The picture size is outside 160×120 … 1280×720.
    #[error("booth picture size {width}x{height} is not supported; choose 160x120 to 1280x720")]
    Size {
        /// Columns asked for.
        width: u32,
        /// Rows asked for.
        height: u32,
    },
    /// The number of cameras is not in 1 … 8.
    #[error("a booth has 1 to 8 cameras, not {0}")]
    Cameras(usize),
    /// A fraction is not in [0, 1].
    #[error("booth setting `{name}` is {value}; it must lie between 0 and 1")]
    Fraction {
        /// Field of [`BoothSpec`].
        name: &'static str,
        /// As given.
        value: f64,
    },
    /// No family, or no product, to draw items from.
    #[error("booth setting `{0}` is empty; give at least one")]
    Empty(&'static str),
    /// The booth has no product of that name.
    #[error("booth has no product `{0}`; `Booth::products` lists them")]
    UnknownProduct(String),
}

/// A product family: one kind of shape and packaging material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Folding carton or shipping carton.
    Carton,
    /// Paper mailer with padding.
    PaddedMailer,
    /// Plastic film mailer, wrinkled.
    PolyMailer,
    /// Bottle, lying or standing.
    Bottle,
    /// Can, lying or standing.
    Can,
    /// Squeeze tube, lying.
    Tube,
    /// Blister card: countable bubbles with a unit in each.
    Blister,
    /// Tray of countable cans or jars under film.
    MultiPack,
    /// Book.
    Book,
    /// Soft pouch (coffee, snacks), filled.
    Pouch,
    /// Goods in bubble wrap.
    BubbleWrap,
}

impl Family {
    /// Every family, in a fixed order.
    pub const ALL: [Family; 11] = [
        Family::Carton,
        Family::PaddedMailer,
        Family::PolyMailer,
        Family::Bottle,
        Family::Can,
        Family::Tube,
        Family::Blister,
        Family::MultiPack,
        Family::Book,
        Family::Pouch,
        Family::BubbleWrap,
    ];

    /// Lower-case name with underscores.
    pub fn name(self) -> &'static str {
        match self {
            Family::Carton => "carton",
            Family::PaddedMailer => "padded_mailer",
            Family::PolyMailer => "poly_mailer",
            Family::Bottle => "bottle",
            Family::Can => "can",
            Family::Tube => "tube",
            Family::Blister => "blister",
            Family::MultiPack => "multi_pack",
            Family::Book => "book",
            Family::Pouch => "pouch",
            Family::BubbleWrap => "bubble_wrap",
        }
    }

    /// The family of that [`Family::name`].
    pub fn from_name(name: &str) -> Option<Family> {
        Family::ALL.into_iter().find(|f| f.name() == name)
    }

    /// Material in Kaputt's vocabulary.
    pub fn material(self) -> &'static str {
        match self {
            Family::Carton | Family::MultiPack => "cardboard",
            Family::PaddedMailer => "paper",
            Family::PolyMailer => "plastic_loose_bag",
            Family::Bottle | Family::Blister | Family::Tube => "plastic_hard",
            Family::Can => "other",
            Family::Book => "book_paper",
            Family::Pouch => "plastic_tight_wrap",
            Family::BubbleWrap => "plastic_bubble_wrap",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A picture of damage that is printed on an intact product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookAlike {
    /// Cracked glass (a screen protector's box).
    Crack,
    /// Splashes of liquid or paint.
    Splash,
    /// The picture of a torn edge, with its white fibres.
    TornEdge,
    /// Dark, burn-like blobs.
    DarkBlob,
    /// A puddle.
    Puddle,
    /// Wood or cardboard texture.
    Wood,
}

impl LookAlike {
    /// Every kind, in a fixed order.
    pub const ALL: [LookAlike; 6] =
        [LookAlike::Crack, LookAlike::Splash, LookAlike::TornEdge, LookAlike::DarkBlob, LookAlike::Puddle, LookAlike::Wood];
}

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DamageKind {
    /// A corner or an edge pushed in.
    Crush,
    /// A hollow in a face.
    Dent,
    /// A slit whose skin is lifted as a flap.
    Tear,
    /// An opening through the skin.
    Hole,
    /// Parts apart, contents out beside the item.
    Deconstruction,
    /// A closing flap stands open.
    OpenedFlap,
    /// Liquid or powder beside and under the item.
    Spillage,
    /// Abraded print.
    Scuff,
    /// A dirty mark.
    Stain,
    /// Soaked, darker material.
    WetPatch,
    /// A countable unit is not there.
    MissingUnit,
}

/// The seven defect types of the Kaputt data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KaputtType {
    /// Holes, tears, punctures.
    Penetration,
    /// Crushes and dents.
    Deformation,
    /// Opened flaps, caps and seals.
    Actuation,
    /// Parts apart.
    Deconstruction,
    /// Contents leaked.
    Spillage,
    /// Scuffs, stains, soaked patches.
    Superficial,
    /// A unit of a set is not there.
    MissingUnit,
}

impl KaputtType {
    /// Kaputt's spelling.
    pub fn name(self) -> &'static str {
        match self {
            KaputtType::Penetration => "penetration",
            KaputtType::Deformation => "deformation",
            KaputtType::Actuation => "actuation",
            KaputtType::Deconstruction => "deconstruction",
            KaputtType::Spillage => "spillage",
            KaputtType::Superficial => "superficial",
            KaputtType::MissingUnit => "missing_unit",
        }
    }
}

impl DamageKind {
    /// Every kind, in a fixed order.
    pub const ALL: [DamageKind; 11] = [
        DamageKind::Crush,
        DamageKind::Dent,
        DamageKind::Tear,
        DamageKind::Hole,
        DamageKind::Deconstruction,
        DamageKind::OpenedFlap,
        DamageKind::Spillage,
        DamageKind::Scuff,
        DamageKind::Stain,
        DamageKind::WetPatch,
        DamageKind::MissingUnit,
    ];

    /// Lower-case name with underscores.
    pub fn name(self) -> &'static str {
        match self {
            DamageKind::Crush => "crush",
            DamageKind::Dent => "dent",
            DamageKind::Tear => "tear",
            DamageKind::Hole => "hole",
            DamageKind::Deconstruction => "deconstruction",
            DamageKind::OpenedFlap => "opened_flap",
            DamageKind::Spillage => "spillage",
            DamageKind::Scuff => "scuff",
            DamageKind::Stain => "stain",
            DamageKind::WetPatch => "wet_patch",
            DamageKind::MissingUnit => "missing_unit",
        }
    }

    /// The Kaputt type that a labeller would write down.
    pub fn kaputt_type(self) -> KaputtType {
        match self {
            DamageKind::Crush | DamageKind::Dent => KaputtType::Deformation,
            DamageKind::Tear | DamageKind::Hole => KaputtType::Penetration,
            DamageKind::Deconstruction => KaputtType::Deconstruction,
            DamageKind::OpenedFlap => KaputtType::Actuation,
            DamageKind::Spillage => KaputtType::Spillage,
            DamageKind::Scuff | DamageKind::Stain | DamageKind::WetPatch => KaputtType::Superficial,
            DamageKind::MissingUnit => KaputtType::MissingUnit,
        }
    }
}

/// How bad a damage is; the rule stands in `severity.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Seen on a second look; may still be sold at a discount.
    Minor,
    /// Gross: nobody would ship it.
    Major,
}

/// What items lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// A low tray with a rim of 25–45 mm.
    Tray,
    /// A tote with walls of 90–140 mm.
    Tote,
    /// A belt between two low rails.
    Conveyor,
}

/// What a booth holds.
#[derive(Clone, Debug, PartialEq)]
pub struct BoothSpec {
    /// Fixes everything: tray, camera, light, products, items.
    pub seed: u64,
    /// Columns of the pictures, 160 … 1280.
    pub width: u32,
    /// Rows of the pictures, 120 … 720.
    pub height: u32,
    /// How many captures an endless source should take before it ends; [`crate::Booth::capture`] accepts any index.
    pub items: usize,
    /// How many product identities there are.
    pub products: usize,
    /// Share of items that are damaged, [0, 1].
    pub damage_fraction: f64,
    /// Share of products whose print carries a damage look-alike, [0, 1].
    pub lookalike_fraction: f64,
    /// Look-alikes to draw from; empty: none, whatever the fraction.
    pub lookalikes: Vec<LookAlike>,
    /// Families to draw products from.
    pub families: Vec<Family>,
    /// Kinds of damage to draw from (a kind that does not fit a family is passed over).
    pub damage_kinds: Vec<DamageKind>,
    /// Several items in view, each an instance of its own.
    pub clutter: bool,
    /// What the items lie on.
    pub surface: Surface,
    /// Multi-packs hold loose pieces, which lie elsewhere in every item, in place of cans side by side.
    pub shuffled_units: bool,
    /// Cameras that look at the tray at once, 1 … 8: the first from above, the others around it, obliquely.
    pub cameras: usize,
}

impl Default for BoothSpec {
    fn default() -> Self {
        BoothSpec {
            seed: 1,
            width: 640,
            height: 480,
            items: 200,
            products: 24,
            damage_fraction: 0.35,
            lookalike_fraction: 0.2,
            lookalikes: LookAlike::ALL.to_vec(),
            families: Family::ALL.to_vec(),
            damage_kinds: DamageKind::ALL.to_vec(),
            clutter: false,
            surface: Surface::Tray,
            shuffled_units: false,
            cameras: 1,
        }
    }
}

/// One damage of one item, as a labeller with X-ray eyes would draw it.
#[derive(Clone, Debug)]
pub struct DamageTruth {
    /// Item instance in [`Truth::mask`], 1...
    pub instance: u16,
    /// What happened.
    pub kind: DamageKind,
    /// Its Kaputt type.
    pub kaputt: KaputtType,
    /// By the rule of `severity.rs`.
    pub severity: Severity,
    /// Visible damaged pixels (1) in the colour picture; includes matter beside the item.
    pub region: LabelMask,
    /// Bounding box of `region`.
    pub bbox: Rect,
    /// Visible damaged area, mm² in the surface plane facing the camera.
    pub area_mm2: f32,
    /// How far the surface moved along the view ray, mm (90th percentile over the region; 0 for surface marks).
    pub depth_mm: f32,
}

/// One item in view.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceTruth {
    /// Label in [`Truth::mask`], 1...
    pub instance: u16,
    /// Product name.
    pub product: String,
    /// Family of the product.
    pub family: Family,
    /// Printed damage look-alike of the product.
    pub lookalike: Option<LookAlike>,
    /// Any visible damage.
    pub is_damaged: bool,
    /// Any [`Severity::Major`] damage.
    pub is_gross: bool,
    /// Countable units that should be there and that are, for blister and multi-packs.
    pub units: Option<(u32, u32)>,
}

/// What is really there.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Item instances; parts that came off belong to their item, spilt matter on the tray does not.
    pub mask: LabelMask,
    /// Items in view; index `i` has label `i + 1`.
    pub instances: Vec<InstanceTruth>,
    /// Visible damage of all items.
    pub damage: Vec<DamageTruth>,
    /// Noise-free depth, metres along z, aligned to colour.
    pub depth: DepthImage,
    /// Noise-free depth of the same scene had nothing been damaged; `None` when nothing is.
    pub intact_depth: Option<DepthImage>,
    /// Any item is damaged.
    pub is_damaged: bool,
    /// Any item has major damage.
    pub is_gross: bool,
}

/// One capture: what the cameras gave, and the truth behind it.
#[derive(Clone, Debug)]
pub struct Capture {
    /// `booth-<seed>-<index>`, unique in a booth.
    pub item_id: String,
    /// Product of the first item.
    pub product: String,
    /// Barcode of the first item's product (13 digits).
    pub barcode: String,
    /// Colour, depth and intrinsics as the camera node publishes them.
    pub frame: RgbdFrame,
    /// Ground truth.
    pub truth: Truth,
    /// The same scene at the same moment through the booth's other cameras, in their order.
    pub beside: Vec<SideView>,
    /// When the picture is taken, nanoseconds after the booth's start (items come every 2 s with some jitter).
    pub stamp_offset_ns: i64,
}

/// What a further camera of the booth sees of a capture.
#[derive(Clone, Debug)]
pub struct SideView {
    /// Colour, depth and intrinsics of that camera.
    pub frame: RgbdFrame,
    /// The same items and the same damage, as this camera sees them: what it does not see of the damage has no entry in
    /// [`Truth::damage`], yet the item stays damaged.
    pub truth: Truth,
}

/// A pristine view of a product.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Crop around the item with a 15 % margin, on the empty tray.
    pub color: ColorImage,
    /// 1 on the item, 0 on the tray; same size.
    pub mask: LabelMask,
    /// The whole picture that it was cut out of, with depth.
    pub frame: RgbdFrame,
    /// Where it lies in that.
    pub rect: Rect,
}

/// What is public about a product.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductInfo {
    /// `P0007`.
    pub name: String,
    /// 13 digits.
    pub barcode: String,
    /// Its family.
    pub family: Family,
    /// Outer size, metres: length, width, height in the resting pose of its drawing.
    pub size_m: [f64; 3],
    /// Damage look-alike in its print.
    pub lookalike: Option<LookAlike>,
}
