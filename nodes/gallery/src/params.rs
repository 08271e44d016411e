//! What can be set.

node_kit::parameters! {
    /// Parameters of the gallery node.
    pub struct GalleryParams {
        /// Folder that holds one folder of pristine pictures a product, or `sqlite:PATH`. Empty: no gallery, perception decides alone.
        references_dir: String = String::new();
        /// Namespaces of the cameras whose colour images are compared.
        cameras: Vec<String> = vec!["camera".into()];
        /// What a barcode names, as `CODE=PRODUCT`. A code that is not listed is read as the product's name.
        barcodes: Vec<String> = Vec::new();
        /// Anomaly scores above it are counted as anomalous in the diagnostics; the decision node has its own policy.
        anomaly_threshold: f64 = f64::from(matching::ANOMALY_THRESHOLD), range 0.0..=1.0, dynamic;
        /// Products in a report's ranking.
        ranking_limit: usize = 5, range 1..=50, dynamic;
        /// How long an inspection waits for its own picture and arrival, seconds of a steady clock.
        input_wait_s: f64 = 0.5, range 0.0..=10.0, dynamic;
        /// Recent colour images kept a camera.
        frame_buffer: usize = 30, range 2..=300;
        /// Inspections that may wait; live, the oldest is given up with a failed report when there are more.
        queue_limit: usize = 8, range 1..=256;
    }
}
