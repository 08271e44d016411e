//! Parameters of the recorder.

node_kit::parameters! {
    /// What is recorded, where and how.
    pub struct RecorderParams {
        /// Folder of the new bag; it must not exist. Empty: `recording_<seconds since the epoch>` in the working directory.
        output: String = String::new();
        /// Namespaces of the cameras whose streams are recorded.
        cameras: Vec<String> = vec!["camera".into()];
        /// What is recorded instead of all topics of the cell: `topic`, or `topic:type` for topics that the cell does not know.
        topics: Vec<String> = Vec::new();
        /// How chunks are stored.
        compression: String = "zstd".into(), choices ["zstd", "none"];
        /// Memory for messages that wait to be written, MiB. Above it images are dropped and counted.
        max_queue_mib: u32 = 512, range 1..=65536;
        /// A new file is begun above this size, MiB; 0: one file.
        max_file_mib: u32 = 0, range 0..=1048576;
        /// What was recorded reaches the disk at least this often, seconds.
        flush_period_s: f64 = 1.0, range 0.05..=60.0;
        /// Entries `key=value` for `custom_data` in metadata.yaml, for example the parameters of the run.
        metadata: Vec<String> = Vec::new();
    }
}
