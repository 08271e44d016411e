//! The parameter schema.

node_kit::parameters! {
    /// Parameters of the viewer node.
    pub struct ViewerParams {
        /// Namespaces of the cameras.
        cameras: Vec<String> = vec!["camera".into()];
        /// Recording to write; empty writes none.
        rrd_path: String = String::new();
        /// Name of the recording in the viewer.
        recording_name: String = "intact".into();
        /// Running Rerun viewer to send to, for example rerun+http://127.0.0.1:9876/proxy; empty sends to none.
        connect_url: String = String::new();
        /// Serve the web viewer and its data on 127.0.0.1.
        serve: bool = false;
        /// Port of the served data.
        grpc_port: u16 = 9876, range 1..=65535;
        /// Port of the web page.
        web_port: u16 = 9090, range 1..=65535;
        /// History that is kept for viewers that connect late, MiB.
        serve_memory_mb: u32 = 512, range 16..=65536;
        /// Whole pictures are shrunk to this width, pixels.
        max_image_width: u32 = 640, range 64..=4096;
        /// Cut-outs of items are shrunk to this width, pixels.
        max_item_width: u32 = 320, range 64..=4096;
        /// JPEG quality of all pictures.
        jpeg_quality: u32 = 75, range 1..=100;
        /// Points of a depth cloud; 0 shows none.
        max_points: usize = 8000, range 0..=1000000;
        /// Live pictures a second of ROS time and camera; 0 shows only judged ones.
        max_image_hz: f64 = 2.0, range 0.0..=60.0, dynamic;
        /// Poses a second of ROS time and moving frame.
        max_transform_hz: f64 = 20.0, range 0.1..=200.0, dynamic;
        /// Frames that are remembered for each camera until they are judged.
        frame_history: usize = 16, range 1..=256;
        /// Frame that the 3D view stands in.
        world_frame: String = "cell".into();
    }
}
