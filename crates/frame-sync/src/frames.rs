//! Frames of several cameras: colour, aligned depth and camera_info brought together.

use crate::drift::Drift;
use crate::synchronizer::{Dropped, Options, Pushed, Set, Stamped, StreamCounters, SyncError, Synchronizer};

/// One of the streams of one camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameStream {
    /// `color/image_raw`.
    Color,
    /// `aligned_depth_to_color/image_raw`.
    Depth,
    /// `color/camera_info`.
    Info,
}

impl FrameStream {
    /// A word for reports: `color`, `depth`, `camera_info`.
    pub fn name(self) -> &'static str {
        match self {
            FrameStream::Color => "color",
            FrameStream::Depth => "depth",
            FrameStream::Info => "camera_info",
        }
    }
}

/// Shape of a [`FrameAssembler`].
#[derive(Clone, Debug, PartialEq)]
pub struct AssemblerOptions {
    /// Number of cameras, numbered from 0.
    pub cameras: usize,
    /// Whether the cameras have depth. Without it a frame is colour and camera_info, and depth is refused.
    pub with_depth: bool,
    /// How stamps belong together, across the streams of all cameras.
    pub sync: Options,
}

/// Colour, depth and camera_info of one camera that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraFrame<C, D, I> {
    /// Colour picture.
    pub color: Stamped<C>,
    /// Depth aligned to it; `None` for cameras without depth.
    pub depth: Option<Stamped<D>>,
    /// Pinhole model of both.
    pub info: Stamped<I>,
}

/// What a push brought about: frames of all cameras (in the order of the cameras) and values given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramesPushed<C, D, I> {
    /// Complete frame sets, oldest first: one frame a camera.
    pub frames: Vec<Vec<CameraFrame<C, D, I>>>,
    /// Values given up; [`FrameAssembler::stream_of`] says what their stream number means.
    pub dropped: Vec<Dropped>,
    /// True when the clock was seen to have been set back.
    pub reset: bool,
}

#[derive(Debug)]
enum Part<C, D, I> {
    Color(C),
    Depth(D),
    Info(I),
}

/// A [`Synchronizer`] over colour (`C`), depth (`D`) and camera_info (`I`) of N cameras.
#[derive(Debug)]
pub struct FrameAssembler<C, D, I> {
    sync: Synchronizer<Part<C, D, I>>,
    cameras: usize,
    with_depth: bool,
}

impl<C, D, I> FrameAssembler<C, D, I> {
    /// An assembler for the cameras of `options`.
    ///
    /// # Errors
    /// When there is no camera or the options of the synchroniser are out of range.
    pub fn new(options: AssemblerOptions) -> Result<Self, SyncError> {
        let streams = options.cameras * if options.with_depth { 3 } else { 2 };
        Ok(Self { sync: Synchronizer::new(streams, options.sync)?, cameras: options.cameras, with_depth: options.with_depth })
    }

    /// Takes a colour picture of camera `camera`.
    ///
    /// # Errors
    /// When there is no such camera.
    pub fn push_color(&mut self, camera: usize, stamp_ns: i64, color: C) -> Result<FramesPushed<C, D, I>, SyncError> {
        self.push(camera, FrameStream::Color, stamp_ns, Part::Color(color))
    }

    /// Takes a depth picture of camera `camera`.
    ///
    /// # Errors
    /// When there is no such camera, or cameras have no depth here.
    pub fn push_depth(&mut self, camera: usize, stamp_ns: i64, depth: D) -> Result<FramesPushed<C, D, I>, SyncError> {
        self.push(camera, FrameStream::Depth, stamp_ns, Part::Depth(depth))
    }

    /// Takes the camera_info of camera `camera`.
    ///
    /// # Errors
    /// When there is no such camera.
    pub fn push_info(&mut self, camera: usize, stamp_ns: i64, info: I) -> Result<FramesPushed<C, D, I>, SyncError> {
        self.push(camera, FrameStream::Info, stamp_ns, Part::Info(info))
    }

    /// Forgets what waits, as after a jump of the clock.
    pub fn reset(&mut self) -> Vec<Dropped> {
        self.sync.reset()
    }

    /// Camera and stream that a stream number of [`Dropped`], [`Self::counters`] or [`Self::drift`] stands for.
    pub fn stream_of(&self, stream: usize) -> Option<(usize, FrameStream)> {
        let kinds: &[FrameStream] = if self.with_depth {
            &[FrameStream::Color, FrameStream::Depth, FrameStream::Info]
        } else {
            &[FrameStream::Color, FrameStream::Info]
        };
        let camera = stream / kinds.len();
        let kind = kinds.get(stream % kinds.len())?;
        (camera < self.cameras).then_some((camera, *kind))
    }

    /// Accounts of all streams.
    pub fn counters(&self) -> &[StreamCounters] {
        self.sync.counters()
    }

    /// Offsets from camera 0's colour inside the frames.
    pub fn drift(&self) -> &Drift {
        self.sync.drift()
    }

    fn push(&mut self, camera: usize, kind: FrameStream, stamp_ns: i64, part: Part<C, D, I>) -> Result<FramesPushed<C, D, I>, SyncError> {
        let (per_camera, offset) = match (self.with_depth, kind) {
            (true, FrameStream::Color) => (3, 0),
            (true, FrameStream::Depth) => (3, 1),
            (true, FrameStream::Info) => (3, 2),
            (false, FrameStream::Color) => (2, 0),
            (false, FrameStream::Info) => (2, 1),
            (false, FrameStream::Depth) => {
                return Err(SyncError::Option { name: "with_depth", problem: "depth came, but the cameras were said to have none" });
            }
        };
        let pushed: Pushed<_> = self.sync.push(camera.saturating_mul(per_camera) + offset, stamp_ns, part)?;
        let frames = pushed.sets.into_iter().map(into_frames).collect();
        Ok(FramesPushed { frames, dropped: pushed.dropped, reset: pushed.reset })
    }
}

/// Cuts a set into frames. Streams are numbered so that every camera's colour comes first and its camera_info last.
fn into_frames<C, D, I>(set: Set<Part<C, D, I>>) -> Vec<CameraFrame<C, D, I>> {
    let mut frames = Vec::new();
    let (mut color, mut depth) = (None, None);
    for Stamped { stamp_ns, value } in set.members {
        match value {
            Part::Color(value) => color = Some(Stamped { stamp_ns, value }),
            Part::Depth(value) => depth = Some(Stamped { stamp_ns, value }),
            Part::Info(value) => {
                if let Some(color) = color.take() {
                    frames.push(CameraFrame { color, depth: depth.take(), info: Stamped { stamp_ns, value } });
                }
            }
        }
    }
    frames
}
