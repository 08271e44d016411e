//! What can be set.

use matching::learning::Rules;

node_kit::parameters! {
    /// Parameters of the gallery node.
    pub struct GalleryParams {
        /// Folder that holds one folder of pristine pictures a product, `sqlite:PATH`, or `postgres://USER@HOST/DATABASE?local=PATH` with a local copy. Empty: no gallery, perception decides alone.
        references_dir: String = String::new();
        /// Namespaces of the cameras whose colour images are compared.
        cameras: Vec<String> = vec!["camera".into()];
        /// What a barcode names, as `CODE=PRODUCT`. A code that is not listed is read as the product's name.
        barcodes: Vec<String> = Vec::new();
        /// What runs the comparing network: `tract`, or `ort` when a libonnxruntime is there (ORT_DYLIB_PATH).
        engine: String = "tract".into(), choices ["tract", "ort"];
        /// Anomaly scores above it are counted as anomalous in the diagnostics; the decision node has its own policy.
        anomaly_threshold: f64 = f64::from(matching::ANOMALY_THRESHOLD), range 0.0..=1.0, dynamic;
        /// Products in a report's ranking.
        ranking_limit: usize = 5, range 1..=50, dynamic;
        /// `off`: nothing is learned. `watch`: intact items propose themselves and new designs are noticed, and wait for a person. `on`: enough agreement among independent items suffices. Needs `sqlite:PATH` or `postgres://…`.
        learning: String = "off".into(), choices ["off", "watch", "on"];
        /// Independent items that must agree with a proposal before it is used (`on`).
        learning_sightings: usize = 3, range 1..=100, dynamic;
        /// Items that must show the same change, without a sign of damage, before it is a new design.
        design_items: usize = 6, range 3..=100, dynamic;
        /// Turns of the items that show it must differ by so much, degrees; a dent's shade does not turn with the item. 0 where goods come all one way.
        design_turn_deg: f64 = 20.0, range 0.0..=90.0, dynamic;
        /// Further items that must show a new design before it is used without a person (`on`).
        design_confirmations: usize = 20, range 1..=10_000, dynamic;
        /// Items in a row that show a newer design and not this one, after which a design is retired (`on`); 0: never.
        design_retire_after: usize = 200, range 0..=1_000_000, dynamic;
        /// How long an inspection waits for its own picture and arrival, seconds of a steady clock.
        input_wait_s: f64 = 0.5, range 0.0..=10.0, dynamic;
        /// Recent colour images kept a camera.
        frame_buffer: usize = 30, range 2..=300;
        /// Inspections that may wait; live, the oldest is given up with a failed report when there are more.
        queue_limit: usize = 8, range 1..=256;
    }
}

impl GalleryParams {
    /// The rules of learning; `None`: off.
    pub(crate) fn rules(&self) -> Option<Rules> {
        let alone = self.learning == "on";
        (self.learning != "off").then(|| Rules {
            sightings: if alone { self.learning_sightings } else { 0 },
            design_items: self.design_items,
            design_turn_rad: self.design_turn_deg.to_radians() as f32,
            design_confirmations: if alone { self.design_confirmations } else { 0 },
            retire_after: if alone { self.design_retire_after } else { 0 },
            ..Rules::default()
        })
    }
}
