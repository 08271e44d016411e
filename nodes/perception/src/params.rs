//! What can be set.

node_kit::parameters! {
    /// Parameters of the perception node.
    pub struct PerceptionParams {
        /// Namespaces of the cameras that look at an item.
        cameras: Vec<String> = vec!["camera".into()];
        /// What scores the damage: `builtin` (with depth cues and a network together, without depth a network), `classical` (cues alone, quicker), or an ONNX file (docs/model-contract.md).
        model: String = "builtin".to_owned();
        /// What runs the model: `tract`, or `ort` when a libonnxruntime is there (ORT_DYLIB_PATH).
        engine: String = "tract".into(), choices ["tract", "ort"];
        /// Says what each item looks like as a vector (`ItemInstance.embedding`), for the gallery and for searching bags.
        embedding: bool = true;
        /// Finds items by a network where there is neither depth nor a picture of the empty tray, and those that depth sees through; not with `model: classical`.
        item_network: bool = true;
        /// Above it an item is not sorted, but where the gallery takes the alarm back (`decision.explain_away`).
        damage_threshold: f64 = f64::from(inspection::DEFAULT_DAMAGE_THRESHOLD), range 0.0..=1.0, dynamic;
        /// How the streams of all cameras are put together: by equal stamps, or by the closest ones.
        sync: String = "approximate".into(), choices ["approximate", "exact"];
        /// Stamps further apart than this never belong together, milliseconds.
        sync_tolerance_ms: f64 = 40.0, range 0.0..=1000.0;
        /// Messages a stream that wait for their partners.
        sync_queue: usize = 10, range 1..=100;
        /// A frame this much older than its arrival still shows the item, milliseconds.
        arrival_tolerance_ms: f64 = 5.0, range 0.0..=1000.0;
        /// How long a frame may come after its arrival, seconds of ROS time; after it the item is judged by what is there.
        frame_wait_s: f64 = 1.0, range 0.01..=60.0;
        /// Recent messages kept a stream: for items that arrive after their frame, and for the cameras' single pictures.
        frame_buffer: usize = 15, range 2..=300;
        /// Items that may wait to be inspected; live, the oldest is given up with a failed inspection when there are more.
        queue_limit: usize = 4, range 1..=256;
    }
}
