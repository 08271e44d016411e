//! The gallery in force, and the folder or store behind it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use intact_msgs::srv::{EnrolReferenceRequest, EnrolReferenceResponse, ListProductsRequest, ListProductsResponse};
use matching::{Cutout, Embedder, Enrolled, Gallery, GalleryOptions, Picture, Rejected};
use node_kit::NodeError;
use references::{GalleryUrl, NewReference, Origin, State, Store, StoreError, folder};
use vision::ros::{color_from_ros, mask_from_ros};

/// The enrolled products. Judging takes a snapshot; enrolling replaces it whole.
pub(crate) struct Catalogue {
    behind: Behind,
    gallery: Mutex<Arc<Gallery>>,
    embedder: Option<Embedder>,
    /// Suspected new designs that are not settled, by product.
    open_designs: Mutex<BTreeMap<String, u32>>,
    /// What the store last said of changes by others; `None`: it is to be read anew.
    foreign: Mutex<Option<i64>>,
    /// The store can be read only.
    fixed: bool,
    /// Of a store on a server.
    server: Option<GalleryUrl>,
    /// Why the server cannot be reached; `None`: it is there.
    away: Mutex<Option<String>>,
    /// How often the store was read anew because another process had changed it.
    reloads: AtomicU64,
}

/// Where references are kept.
enum Behind {
    Nothing,
    /// One folder a product.
    Folder(PathBuf),
    /// `sqlite:PATH` or `postgres://…`.
    Store(Box<Mutex<Store>>),
}

/// A gallery of what was read, with its embeddings.
fn gallery_of(enrolled: impl IntoIterator<Item = impl Into<Enrolled>>, embedder: Option<&Embedder>) -> (Gallery, Vec<Rejected>) {
    let (gallery, rejected) = Gallery::new(enrolled, GalleryOptions::default());
    match embedder {
        Some(embedder) => (gallery.with_embedder(embedder.clone()), rejected),
        None => (gallery, rejected),
    }
}

impl Catalogue {
    /// Reads `references_dir`; empty means no gallery. Pictures that cannot be used come back beside it.
    pub fn open(references_dir: &str, embedder: Option<Embedder>) -> Result<(Self, Vec<Rejected>), NodeError> {
        let named = |e: &dyn std::fmt::Display| NodeError::msg(format!("parameter `references_dir`: {e}"));
        if GalleryUrl::is_meant_by(references_dir) {
            let url: GalleryUrl = references_dir.parse().map_err(|e: references::StoreError| named(&e))?;
            let (store, fixed) = match Store::open(&url) {
                // What cannot be written still says what the products look like.
                Err(StoreError::ReadOnly(_)) => (Store::open_for_reading(&url).map_err(|e| named(&e))?, true),
                opened => (opened.map_err(|e| named(&e))?, false),
            };
            let mut store = store.with_embedder(embedder.clone());
            match if fixed { Ok(0) } else { store.embed_missing() } {
                Ok(0) => {}
                Ok(made) => tracing::info!(made, "embeddings of references that had none, or of another network"),
                Err(error) => tracing::warn!(%error, "embeddings are not kept; they are made anew at each start"),
            }
            let (enrolled, bad) = store.enrolled(None, &GalleryOptions::default().features).map_err(|e| named(&e))?;
            let (gallery, rejected) = gallery_of(enrolled, embedder.as_ref());
            let bad = bad.into_iter().map(|e| Rejected { picture: references_dir.to_owned(), reason: e.to_string() });
            let open = store.open_designs().map_err(|e| named(&e))?;
            let away = store.away().map(str::to_owned);
            // What the local copy says of changes is nothing that the server's number can be compared with.
            let foreign = if away.is_some() { None } else { Some(store.foreign_changes().map_err(|e| named(&e))?) };
            let mut catalogue = Self::new(Behind::Store(Box::new(Mutex::new(store))), gallery, embedder);
            catalogue.fixed = fixed;
            (catalogue.open_designs, catalogue.foreign) = (Mutex::new(open), Mutex::new(foreign));
            (catalogue.server, catalogue.away) = (url.is_server().then_some(url), Mutex::new(away));
            return Ok((catalogue, bad.chain(rejected).collect()));
        }
        let dir = (!references_dir.is_empty()).then(|| PathBuf::from(references_dir));
        let loaded = match &dir {
            Some(dir) => folder::load(dir).map_err(|e| named(&e))?,
            None => folder::Loaded::default(),
        };
        let (gallery, rejected) = gallery_of(loaded.pictures, embedder.as_ref());
        let skipped = loaded.skipped.into_iter().chain(rejected).collect();
        Ok((Self::new(dir.map_or(Behind::Nothing, Behind::Folder), gallery, embedder), skipped))
    }

    fn new(behind: Behind, gallery: Gallery, embedder: Option<Embedder>) -> Self {
        let gallery = Mutex::new(Arc::new(gallery));
        Self {
            behind,
            gallery,
            embedder,
            open_designs: Mutex::default(),
            foreign: Mutex::default(),
            fixed: false,
            server: None,
            away: Mutex::default(),
            reloads: AtomicU64::new(0),
        }
    }

    /// Takes up what another process has changed in the store: a person confirmed, retired, rolled back.
    pub fn refresh(&self) {
        let Behind::Store(store) = &self.behind else { return };
        // Everywhere the gallery is locked before the store, as enrolling does.
        let mut gallery = self.lock();
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        if store.away().is_none() {
            self.read_anew(&mut gallery, &mut store);
        }
    }

    fn read_anew(&self, gallery: &mut Arc<Gallery>, store: &mut Store) {
        let mut foreign = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        let reloaded = (|| -> Result<bool, StoreError> {
            let now = Some(store.foreign_changes()?);
            if now == *foreign {
                return Ok(false);
            }
            let (enrolled, bad) = store.enrolled(None, &GalleryOptions::default().features)?;
            bad.iter().for_each(|error| tracing::warn!(%error, "a reference is skipped"));
            *gallery = Arc::new(gallery_of(enrolled, self.embedder.as_ref()).0);
            *self.open_designs.lock().unwrap_or_else(PoisonError::into_inner) = store.open_designs()?;
            *foreign = now;
            Ok(true)
        })();
        match reloaded {
            Ok(true) => {
                self.reloads.fetch_add(1, Ordering::Relaxed);
                drop(foreign);
                self.copy(store);
            }
            Ok(false) => {}
            // What was read before is still good.
            Err(error) => {
                tracing::warn!(%error, "the gallery's store cannot be read; what is known of it stays in use");
                drop(foreign);
                self.fall_back(store, &error);
            }
        }
    }

    /// Brings the local copy of a server's gallery up to date.
    fn copy(&self, store: &mut Store) {
        if let Err(error) = store.sync() {
            tracing::warn!(%error, "the gallery's local copy is not up to date");
            self.fall_back(store, &error);
        }
    }

    /// After a failure: goes on with the local copy when the server is gone.
    fn fall_back(&self, store: &mut Store, error: &StoreError) {
        if store.fall_back(error) {
            *self.away.lock().unwrap_or_else(PoisonError::into_inner) = store.away().map(str::to_owned);
            *self.foreign.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Whether the store can be read only: its medium, or its rights, allow no more.
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Whether the gallery lies on a server, with which touch must be kept.
    pub fn is_on_server(&self) -> bool {
        self.server.is_some()
    }

    /// Where the local copy of a server's gallery lies.
    pub fn local_copy(&self) -> Option<String> {
        self.server.as_ref().and_then(GalleryUrl::path).map(|path| path.display().to_string())
    }

    /// Why the server cannot be reached; `None`: it is there, or there is none.
    pub fn away(&self) -> Option<String> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether the server is still there, or there again. Connecting, which may take seconds, holds up nobody.
    pub fn keep_in_touch(&self) {
        let (Behind::Store(store), Some(url)) = (&self.behind, &self.server) else { return };
        if self.away().is_none() {
            return self.refresh();
        }
        let Ok(connection) = Store::connect(url) else { return };
        let mut gallery = self.lock();
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = store.come_back(connection) {
            tracing::warn!(%error, "the gallery's local copy is not up to date");
        }
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.read_anew(&mut gallery, &mut store);
    }

    /// Rises when the store was read anew.
    pub fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// Suspected new designs that are not settled, by product.
    pub fn open_designs(&self) -> BTreeMap<String, u32> {
        self.open_designs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads from the store; a gallery that is none has the default answer.
    pub fn read<T: Default>(&self, read: impl FnOnce(&mut Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &self.behind {
            Behind::Store(store) => read(&mut store.lock().unwrap_or_else(PoisonError::into_inner)),
            Behind::Nothing | Behind::Folder(_) => Ok(T::default()),
        }
    }

    /// Changes what the store keeps of one product, and takes that up.
    pub fn change(&self, product: &str, change: impl FnOnce(&mut Store) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let Behind::Store(store) = &self.behind else { return Ok(()) };
        let mut gallery = self.lock();
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        // Each call of the store is a whole transaction: after a failure, what was done before it is there, and is taken up.
        let changed = change(&mut store);
        match &changed {
            Ok(()) => self.copy(&mut store),
            Err(error) => self.fall_back(&mut store, error),
        }
        let (enrolled, _) = store.enrolled(Some(&[product.to_owned()]), &GalleryOptions::default().features)?;
        *gallery = Arc::new(gallery.replaced(product, enrolled).0);
        *self.open_designs.lock().unwrap_or_else(PoisonError::into_inner) = store.open_designs()?;
        changed
    }

    /// Whether the gallery can learn: a folder keeps no history.
    pub fn is_store(&self) -> bool {
        matches!(self.behind, Behind::Store(_))
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Gallery>> {
        self.gallery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether references are kept anywhere at all.
    pub fn is_kept(&self) -> bool {
        !matches!(self.behind, Behind::Nothing)
    }

    /// The gallery as it stands.
    pub fn snapshot(&self) -> Arc<Gallery> {
        Arc::clone(&self.lock())
    }

    /// Service `~/enrol_reference`.
    pub fn enrol(&self, request: &EnrolReferenceRequest) -> EnrolReferenceResponse {
        let outcome = if self.is_kept() {
            self.try_enrol(request)
        } else {
            Err("the gallery has nothing to keep references in; start the node with `references_dir`".into())
        };
        let version = self.snapshot().version().to_owned();
        match outcome {
            Ok(reference) => EnrolReferenceResponse { success: true, message: String::new(), reference, gallery_version: version },
            Err(message) => EnrolReferenceResponse { success: false, message, reference: String::new(), gallery_version: version },
        }
    }

    fn try_enrol(&self, request: &EnrolReferenceRequest) -> Result<String, String> {
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
        let picture = self.keep(&cutout, request)?;
        let reference = format!("{}/{}", picture.product, picture.name);
        *gallery = Arc::new(gallery.with(picture).map_err(|e| e.to_string())?);
        tracing::info!(%reference, provenance = %request.provenance, version = gallery.version(), "reference enrolled");
        Ok(reference)
    }

    /// Writes the picture where references are kept, and returns it as it will be read from there.
    fn keep(&self, cutout: &Cutout, request: &EnrolReferenceRequest) -> Result<Picture, String> {
        let store = match &self.behind {
            Behind::Nothing => return Err("the gallery has nothing to keep references in".into()),
            Behind::Folder(dir) => return folder::add(dir, &request.product, cutout, &request.provenance).map_err(|e| e.to_string()),
            Behind::Store(store) => store,
        };
        let cutout = cutout.clone().trimmed();
        // A store's calls are whole transactions: one that panicked left nothing half done.
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let new = NewReference {
            product: request.product.clone(),
            name: None,
            cutout: cutout.clone(),
            camera: request.image.header.frame_id.clone(),
            light: String::new(),
            provenance: request.provenance.clone(),
            version: store.design_in_use(&request.product).map_err(|e| e.to_string())?,
            state: State::Active,
            origin: Origin::Enrolled,
            added_by: "gallery node".into(),
            added_ns: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64),
        };
        let enrolled = store.enrol(&new, &GalleryOptions::default().features);
        match &enrolled {
            Ok(_) => self.copy(&mut store),
            Err(error) => self.fall_back(&mut store, error),
        }
        let record = enrolled.map_err(|e| e.to_string())?;
        Ok(Picture { product: record.product, name: record.name, cutout })
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
