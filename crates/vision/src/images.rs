//! Images as values.

use std::sync::Arc;

use crate::{Intrinsics, Rect};

/// No picture of ours has more pixels; a larger claim in a header is refused before memory is taken.
pub const MAX_PIXELS: u64 = 64 * 1024 * 1024;

/// Why an image cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Width or height is zero, or their product is above [`MAX_PIXELS`].
    #[error("image size {width}x{height} is not usable (1 to {MAX_PIXELS} pixels); check the driver's resolution")]
    Size {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The buffer does not hold what the header promises.
    #[error("image buffer holds {actual} bytes or samples where {expected} are needed; the message is truncated or its step is wrong")]
    Length {
        /// Needed.
        expected: usize,
        /// There.
        actual: usize,
    },
    /// The row step is shorter than a row.
    #[error("image step {step} is shorter than a row of {row} bytes; the driver's step is wrong")]
    Step {
        /// As sent.
        step: u32,
        /// At least needed.
        row: u32,
    },
    /// An encoding that is not supported for this purpose.
    #[error("encoding `{encoding}` cannot be read as {wanted}; supported: {supported}")]
    Encoding {
        /// As sent.
        encoding: String,
        /// `colour`, `depth`, …
        wanted: &'static str,
        /// What would work.
        supported: &'static str,
    },
    /// A camera model without a usable focal length or size.
    #[error(
        "camera_info of {width}x{height} with focal lengths {fx}, {fy} is not a pinhole model; calibrate the camera or set its intrinsics"
    )]
    Intrinsics {
        /// Focal length along columns, pixels.
        fx: f64,
        /// Focal length along rows, pixels.
        fy: f64,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A compressed payload that does not decode.
    #[error("compressed image cannot be decoded: {0}")]
    Codec(String),
}

fn check(width: u32, height: u32, channels: usize, actual: usize) -> Result<(), ImageError> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(ImageError::Size { width, height });
    }
    let expected = pixels as usize * channels;
    if actual != expected {
        return Err(ImageError::Length { expected, actual });
    }
    Ok(())
}

macro_rules! image {
    ($(#[$doc:meta])* $name:ident, $sample:ty, $channels:expr, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            width: u32,
            height: u32,
            data: Vec<$sample>,
        }

        impl $name {
            #[doc = concat!("Takes ", $what, ", row after row.")]
            ///
            /// # Errors
            /// When the size is zero or absurd, or the buffer's length does not fit it.
            pub fn new(width: u32, height: u32, data: Vec<$sample>) -> Result<Self, ImageError> {
                check(width, height, $channels, data.len())?;
                Ok(Self { width, height, data })
            }

            /// Columns.
            pub fn width(&self) -> u32 {
                self.width
            }

            /// Rows.
            pub fn height(&self) -> u32 {
                self.height
            }

            /// All samples, row after row.
            pub fn data(&self) -> &[$sample] {
                &self.data
            }

            /// All samples, to be changed in place.
            pub fn data_mut(&mut self) -> &mut [$sample] {
                &mut self.data
            }

            /// Gives the buffer away.
            pub fn into_data(self) -> Vec<$sample> {
                self.data
            }

            /// The part inside `rect`, which is first cut to the picture; `None` when nothing is left.
            pub fn crop(&self, rect: Rect) -> Option<Self> {
                let x = rect.x.min(self.width);
                let y = rect.y.min(self.height);
                let w = rect.w.min(self.width - x);
                let h = rect.h.min(self.height - y);
                if w == 0 || h == 0 {
                    return None;
                }
                let (stride, from, len) = (self.width as usize * $channels, x as usize * $channels, w as usize * $channels);
                let data = (y..y + h)
                    .flat_map(|row| {
                        let start = row as usize * stride + from;
                        self.data[start..start + len].iter().copied()
                    })
                    .collect();
                Some(Self { width: w, height: h, data })
            }
        }
    };
}

image!(
    /// A colour picture, `rgb8`: three bytes a pixel.
    ColorImage, u8, 3, "3 × width × height bytes, RGB"
);
image!(
    /// A depth picture aligned to its colour picture: metres along the optical axis (REP-118), 0.0 = invalid.
    DepthImage, f32, 1, "width × height depths in metres (0.0 = invalid)"
);
image!(
    /// Item instances a pixel: 0 background, 1.. instances.
    LabelMask, u16, 1, "width × height labels"
);
image!(
    /// Height of each pixel over the surface that things lie on, whole millimetres from 1 on; 0 where it is unknown.
    HeightMap, u16, 1, "width × height heights in millimetres (0 = unknown)"
);
image!(
    /// One score a pixel, [0, 1].
    HeatMap, f32, 1, "width × height scores"
);

impl HeightMap {
    /// What this map, which shows `region` of a picture, says of `rect` of that picture; 0 where it says nothing.
    ///
    /// # Errors
    /// When `rect` is empty or absurdly large.
    pub fn placed(&self, region: Rect, rect: Rect) -> Result<Self, ImageError> {
        if u64::from(rect.w) * u64::from(rect.h) > MAX_PIXELS {
            return Err(ImageError::Size { width: rect.w, height: rect.h });
        }
        let mut data = vec![0; rect.w as usize * rect.h as usize];
        let (left, right) = (rect.x.max(region.x), (rect.x.saturating_add(rect.w)).min(region.x.saturating_add(self.width)));
        let (top, low) = (rect.y.max(region.y), (rect.y.saturating_add(rect.h)).min(region.y.saturating_add(self.height)));
        for y in top..low.max(top) {
            let from = ((y - region.y) * self.width) as usize;
            let to = ((y - rect.y) * rect.w) as usize;
            if left < right {
                let n = (right - left) as usize;
                let (from, to) = (from + (left - region.x) as usize, to + (left - rect.x) as usize);
                data[to..to + n].copy_from_slice(&self.data[from..from + n]);
            }
        }
        Self::new(rect.w, rect.h, data)
    }
}

impl ColorImage {
    /// The RGB value at column `x`, row `y`; `None` outside.
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let i = (y as usize * self.width as usize + x as usize) * 3;
        Some([self.data[i], self.data[i + 1], self.data[i + 2]])
    }
}

impl DepthImage {
    /// Takes raw depths of any provenance: NaN, infinite and negative values become 0.0 (invalid).
    ///
    /// # Errors
    /// As [`DepthImage::new`].
    pub fn from_raw_m(width: u32, height: u32, mut depth_m: Vec<f32>) -> Result<Self, ImageError> {
        for d in &mut depth_m {
            if !(d.is_finite() && *d > 0.0) {
                *d = 0.0;
            }
        }
        Self::new(width, height, depth_m)
    }

    /// The depth at column `x`, row `y` in metres; `None` outside or where it is invalid.
    pub fn at_m(&self, x: u32, y: u32) -> Option<f32> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let d = self.data[y as usize * self.width as usize + x as usize];
        (d > 0.0).then_some(d)
    }

    /// Share of pixels with a depth, [0, 1].
    pub fn valid_fraction(&self) -> f32 {
        self.data.iter().filter(|d| **d > 0.0).count() as f32 / self.data.len() as f32
    }
}

impl LabelMask {
    /// Bounding box and pixel count of one label; `None` when it has no pixel.
    pub fn extent(&self, label: u16) -> Option<(Rect, u32)> {
        let (mut x0, mut y0, mut x1, mut y1, mut n) = (u32::MAX, u32::MAX, 0, 0, 0u32);
        for (y, row) in self.data.chunks_exact(self.width as usize).enumerate() {
            for (x, _) in row.iter().enumerate().filter(|(_, l)| **l == label) {
                let (x, y) = (x as u32, y as u32);
                (x0, y0, x1, y1, n) = (x0.min(x), y0.min(y), x1.max(x), y1.max(y), n + 1);
            }
        }
        (n > 0).then(|| (Rect { x: x0, y: y0, w: x1 - x0 + 1, h: y1 - y0 + 1 }, n))
    }

    /// The labels in use, without 0, ascending.
    pub fn labels(&self) -> Vec<u16> {
        let mut seen = vec![false; usize::from(u16::MAX) + 1];
        for l in &self.data {
            seen[usize::from(*l)] = true;
        }
        (1..=u16::MAX).filter(|l| seen[usize::from(*l)]).collect()
    }
}

/// Typical distances of what a cell's cameras see, metres: from the nearest that a depth camera measures to a gantry. Typical depth outside
/// is in the wrong unit: tenths of a millimetre that are read as millimetres from 0.35 m on, millimetres that are read as metres always.
pub const CELL_DEPTH_M: std::ops::RangeInclusive<f32> = 0.12..=3.5;

/// What one camera saw at one moment: colour, depth aligned to it where there is any, and the pinhole model of both.
#[derive(Clone, Debug)]
pub struct RgbdFrame {
    /// Colour.
    pub color: Arc<ColorImage>,
    /// Depth of the same size, pixel for pixel.
    pub depth: Option<Arc<DepthImage>>,
    /// Pinhole model; without it nothing can be measured in metres.
    pub intrinsics: Option<Intrinsics>,
}
