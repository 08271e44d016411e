//! Which product an item is, and where it differs from its pristine references.
//!
//! Values in, values out.
//!
//! ```text
//! Cutout (colour + which pixels are the item) ─▶ Item (features, colour signature)
//!                                                  │
//! pictures ────▶ Picture ─▶ Gallery ◀── identify ──┤   which product: ranking, or abstention
//!                                   ◀── compare  ──┘   what differs: heat map, score, coverage
//! ```
//!
//! Identification: RootSIFT (Arandjelović and Zisserman, 2012) on an upscaled cutout, ratio test per reference, and a
//! consensus in which every match proposes a whole similarity and all are tried (after Philbin et al., 2007), so that
//! there is no random sampling and the answer is the same on every run. Comparison: homography by MAGSAC++ over the
//! consensus, a smooth local refinement, normalised light, and a difference that tolerates small misalignment.

mod additions;
mod appearance;
mod color;
mod compare;
mod consensus;
mod cutout;
mod cv;
mod difference;
mod embedding;
mod error;
mod extent;
mod features;
mod findings;
mod gallery;
mod identify;
mod index;
mod judgement;
pub mod learning;
mod light;
mod locate;
mod pair;
mod patches;
mod pose;
mod posed;
mod proposals;
mod register;
mod relief;
mod scene;
mod search;
mod shape;
mod surface;
mod units;

pub use appearance::{LOOK_LEN, look};
pub use compare::{ANOMALY_THRESHOLD, Discrepancy};
pub use cutout::Cutout;
pub use embedding::{EMBEDDING_LEN, Embedder, Embedding};
pub use error::MatchError;
pub use extent::Extent;
pub use features::{FeatureOptions, Features};
pub use findings::{Finding, FindingKind};
pub use gallery::{Enrolled, Gallery, GalleryOptions, Item, Picture, Rejected};
pub use identify::{Candidate, IDENTITY_THRESHOLD, Identification};
pub use index::{Index, IndexOptions, Neighbour};
pub use judgement::{CUTOUT_MARGIN, Judgement, Perceived};
pub use locate::Located;
pub use pair::{PAIR_CHANNELS, PAIR_SIDE, Pair};
pub use patches::{MIN_PICTURES, PatchMemory, PatchVerdict};
pub use posed::Posed;
pub use scene::Scene;
pub use surface::Surface;
pub use units::{UnitCount, Units};
