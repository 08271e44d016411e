//! What can go wrong in showing the cell.

use std::path::PathBuf;

/// Why something cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SceneError {
    /// Nowhere to show it.
    #[error("the viewer has no output; set `rrd_path`, `connect_url` or `serve`")]
    NoSink,
    /// The recording's folder or file cannot be made.
    #[error("cannot write the recording {path}: {source}; choose another `rrd_path`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A port is taken or not allowed.
    #[error("cannot listen on 127.0.0.1:{port} ({purpose}): {source}; choose another port")]
    Port {
        /// The port.
        port: u16,
        /// What for.
        purpose: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Not the address of a viewer.
    #[error("`{url}` is no viewer's address, for example rerun+http://127.0.0.1:9876/proxy: {reason}")]
    Url {
        /// As given.
        url: String,
        /// Why.
        reason: String,
    },
    /// Rerun refused data.
    #[error("Rerun: {0}")]
    Stream(#[from] rerun::RecordingStreamError),
    /// Data did not reach its file or viewer.
    #[error("not everything reached the viewer or its file: {0}; check the disk and the connection")]
    Flush(String),
    /// A robot description that does not describe a robot.
    #[error("robot_description cannot be shown: {0}")]
    RobotDescription(String),
    /// A picture that cannot be encoded.
    #[error("a picture cannot be encoded: {0}")]
    Picture(#[from] image::ImageError),
}
