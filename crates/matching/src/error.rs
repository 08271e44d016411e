//! What can go wrong.

/// Why a picture cannot be matched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MatchError {
    /// Nothing of the item is in the picture.
    #[error("the item's cutout is empty: its mask has no pixel inside the picture; check the segmentation")]
    Empty,
    /// Mask and picture do not belong together.
    #[error("mask has {actual} pixels where the picture has {expected}; both must be cut alike")]
    MaskSize {
        /// Pixels of the picture.
        expected: usize,
        /// Pixels of the mask.
        actual: usize,
    },
    /// Heights and picture do not belong together.
    #[error("heights of {actual} pixels where the picture has {expected}; both must be cut alike")]
    HeightsSize {
        /// Pixels of the picture.
        expected: usize,
        /// Pixels of the heights.
        actual: usize,
    },
    /// A buffer that the vision types refuse.
    #[error(transparent)]
    Image(#[from] vision::ImageError),
    /// The network that makes embeddings failed.
    #[error("the embedding network failed: {0}")]
    Embedding(String),
    /// A failure inside OpenCV.
    #[error("OpenCV failed: {0}")]
    OpenCv(#[from] opencv::Error),
}
