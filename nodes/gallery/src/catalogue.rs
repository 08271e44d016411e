//! The gallery in force, and the folder behind it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use intact_msgs::srv::{EnrolReferenceRequest, EnrolReferenceResponse, ListProductsRequest, ListProductsResponse};
use matching::{Cutout, Gallery, GalleryOptions, Rejected, store};
use node_kit::NodeError;
use vision::ros::{color_from_ros, mask_from_ros};

/// The enrolled products. Judging takes a snapshot; enrolling replaces it whole.
pub(crate) struct Catalogue {
    dir: Option<PathBuf>,
    gallery: Mutex<Arc<Gallery>>,
}

impl Catalogue {
    /// Reads `references_dir`; empty means no gallery. Pictures that cannot be used come back beside it.
    pub fn open(references_dir: &str) -> Result<(Self, Vec<Rejected>), NodeError> {
        let dir = (!references_dir.is_empty()).then(|| PathBuf::from(references_dir));
        let loaded = match &dir {
            Some(dir) => store::load(dir).map_err(|e| NodeError::msg(format!("parameter `references_dir`: {e}")))?,
            None => store::Loaded::default(),
        };
        let (gallery, rejected) = Gallery::new(loaded.pictures, GalleryOptions::default());
        let skipped = loaded.skipped.into_iter().chain(rejected).collect();
        Ok((Self { dir, gallery: Mutex::new(Arc::new(gallery)) }, skipped))
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Gallery>> {
        self.gallery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a folder at all.
    pub fn has_folder(&self) -> bool {
        self.dir.is_some()
    }

    /// The gallery as it stands.
    pub fn snapshot(&self) -> Arc<Gallery> {
        Arc::clone(&self.lock())
    }

    /// Service `~/enrol_reference`.
    pub fn enrol(&self, request: &EnrolReferenceRequest) -> EnrolReferenceResponse {
        let outcome = match &self.dir {
            Some(dir) => self.try_enrol(dir, request),
            None => Err("the gallery has no folder to keep references in; start the node with `references_dir`".into()),
        };
        let version = self.snapshot().version().to_owned();
        match outcome {
            Ok(reference) => EnrolReferenceResponse { success: true, message: String::new(), reference, gallery_version: version },
            Err(message) => EnrolReferenceResponse { success: false, message, reference: String::new(), gallery_version: version },
        }
    }

    fn try_enrol(&self, dir: &Path, request: &EnrolReferenceRequest) -> Result<String, String> {
        let color = color_from_ros(&request.image).map_err(|e| e.to_string())?;
        let cutout = if request.mask.data.is_empty() {
            Cutout::whole(color)
        } else {
            let mask = mask_from_ros(&request.mask).map_err(|e| format!("mask: {e}"))?;
            if (mask.width(), mask.height()) != (color.width(), color.height()) {
                return Err(format!(
                    "mask is {}x{} but the image is {}x{}; send both of one size",
                    mask.width(),
                    mask.height(),
                    color.width(),
                    color.height()
                ));
            }
            Cutout::masked(color, mask.data().iter().map(|l| *l > 0)).map_err(|e| e.to_string())?
        };
        // One at a time from file to index: two enrolments must not take the same number, nor lose one another.
        let mut gallery = self.lock();
        let picture = store::add(dir, &request.product, &cutout, &request.provenance).map_err(|e| e.to_string())?;
        let reference = format!("{}/{}", picture.product, picture.name);
        *gallery = Arc::new(gallery.with(picture).map_err(|e| e.to_string())?);
        tracing::info!(%reference, provenance = %request.provenance, version = gallery.version(), "reference enrolled");
        Ok(reference)
    }

    /// Service `~/list_products`.
    pub fn list(&self, request: &ListProductsRequest) -> ListProductsResponse {
        let gallery = self.snapshot();
        let (products, references) = gallery
            .products()
            .into_iter()
            .filter(|(name, _)| name.starts_with(&request.prefix))
            .map(|(name, n)| (name.to_owned(), n))
            .unzip();
        ListProductsResponse { products, references, gallery_version: gallery.version().to_owned() }
    }
}
