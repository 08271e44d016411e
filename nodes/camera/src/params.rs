//! The node's parameters.

node_kit::parameters! {
    /// Parameters of the camera node. `extrinsics.<camera>` are declared beside them, one a camera.
    pub struct CameraParams {
        /// Where frames come from: a bag, a folder of captures, live ROS topics, the generated booth, a RealSense camera.
        source: String = "topics".into(), choices ["bag", "folder", "topics", "booth", "realsense"];
        /// Bag to replay: a folder, or an .mcap or .db3 file, also with .zstd.
        bag: String = String::new();
        /// Folder of captures to replay.
        folder: String = String::new();
        /// Namespaces of the cameras. Empty: those of the source (`camera` for live topics).
        cameras: Vec<String> = Vec::new();
        /// Colour topics in the bag, one per camera, in the order of `cameras`. Empty: found by type and name.
        color_topics: Vec<String> = Vec::new();
        /// Aligned depth topics in the bag, one per camera. Empty: found by type and name.
        depth_topics: Vec<String> = Vec::new();
        /// camera_info topics in the bag, one per camera. Empty: found by type and name.
        info_topics: Vec<String> = Vec::new();
        /// Speed of replay; 0 is as fast as this process keeps up. Also set by `~/set_rate`.
        rate: f64 = 1.0, range 0.0..=1000.0;
        /// Begin paused, until `~/resume`.
        start_paused: bool = false;
        /// Begin anew at the end of the source: stamps go on, item ids of later rounds end in `~2`, `~3`, ….
        r#loop: bool = false;
        /// Steps of `/clock` in ROS time, Hz.
        clock_hz: f64 = 40.0, range 1.0..=1000.0;
        /// ROS time that passes after the last frame, so that waits and deadlines run out, seconds.
        end_wait_s: f64 = 10.0, range 0.0..=600.0;
        /// Lockstep, and rate 0: work that takes longer than this ends the replay with an error, seconds.
        lockstep_timeout_s: f64 = 120.0, range 1.0..=3600.0;
        /// How items are announced: by the source or a trigger topic, or by seeing them settle in the tray.
        arrivals: String = "trigger".into(), choices ["trigger", "settling"];
        /// Expect several items in view: every arrival is marked as clutter.
        clutter: bool = false;
        /// Settling: frames without motion before an item counts as settled.
        settling_quiet_frames: u32 = 5, range 1..=300;
        /// Settling: least part of the picture that an item covers.
        settling_min_fraction: f64 = 0.004, range 0.0001..=1.0;
        /// Settling: change of depth that counts, metres.
        settling_depth_m: f64 = 0.008, range 0.001..=1.0;
        /// Folder: from one capture to the next, seconds of ROS time.
        spacing_s: f64 = 1.0, range 0.01..=600.0;
        /// Folder: colour pictures, e.g. `rgb/*.png`. Empty: found by name.
        color_glob: String = String::new();
        /// Folder: depth pictures, with the same text for the `*`. Empty: found by name.
        depth_glob: String = String::new();
        /// Folder: metres per count of the depth pictures. 0: from names and calibration files.
        depth_unit_m: f64 = 0.0, range 0.0..=1.0;
        /// Folder: `[fx, fy, cx, cy]` in pixels. Empty: from calibration files.
        intrinsics: Vec<f64> = Vec::new();
        /// Booth: fixes tray, camera, light, products and items.
        booth_seed: i64 = 1, range 0..;
        /// Booth: number of items.
        booth_items: usize = 200, range 1..=1_000_000;
        /// Booth: number of products.
        booth_products: usize = 24, range 1..=10_000;
        /// Booth: cameras that look at each item, `camera`, `camera_1`, …; the first from above, the others from around.
        booth_cameras: usize = 1, range 1..=8;
        /// Booth: columns of the pictures.
        booth_width: u32 = 640, range 160..=1280;
        /// Booth: rows of the pictures.
        booth_height: u32 = 480, range 120..=720;
        /// Booth: part of the items that is damaged.
        booth_damage_fraction: f64 = 0.35, range 0.0..=1.0;
        /// Booth: part of the products whose print looks like damage.
        booth_lookalike_fraction: f64 = 0.2, range 0.0..=1.0;
        /// Fixed frame of the cell: parent of `extrinsics.<camera>` and of the tray.
        world_frame: String = "cell".into();
        /// Pose of the frame `tray` in the world frame: x, y, z in metres, then roll, pitch, yaw in radians or a quaternion x, y, z, w.
        tray_pose: Vec<f64> = vec![0.0; 6];
        /// Streams that lie further apart than this inside a frame set are a warning, milliseconds.
        max_drift_ms: f64 = 20.0, range 0.0..=1000.0, dynamic;
        /// Live topics: colour slower than this is a warning, Hz. 0: not watched.
        min_rate_hz: f64 = 0.0, range 0.0..=1000.0, dynamic;
    }
}
