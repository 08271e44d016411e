//! How far the streams lie apart inside the sets.

use std::collections::VecDeque;

/// Sets that a [`Drift`] looks back on: about eight seconds at 30 Hz.
pub const DRIFT_WINDOW_SETS: usize = 256;

/// Offsets of every stream from stream 0 over the last [`DRIFT_WINDOW_SETS`] sets.
#[derive(Clone, Debug)]
pub struct Drift {
    streams: usize,
    /// Stamps of one set each, oldest first.
    window: VecDeque<Vec<i64>>,
}

/// Offset of one stream from stream 0 (its stamp minus stream 0's).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StreamDrift {
    /// Smallest offset.
    pub min_ns: i64,
    /// Mean offset.
    pub mean_ns: f64,
    /// Largest offset.
    pub max_ns: i64,
    /// How fast the offset grows: nanoseconds per second of stream 0 (least squares); 0 for fewer than two sets.
    pub trend_ns_per_s: f64,
}

impl Drift {
    pub(crate) fn new(streams: usize) -> Self {
        Self { streams, window: VecDeque::new() }
    }

    pub(crate) fn add(&mut self, stamps_ns: &[i64]) {
        if self.window.len() == DRIFT_WINDOW_SETS {
            self.window.pop_front();
        }
        self.window.push_back(stamps_ns.to_vec());
    }

    pub(crate) fn clear(&mut self) {
        self.window.clear();
    }

    /// Sets in the window.
    pub fn sets(&self) -> usize {
        self.window.len()
    }

    /// One report a stream (stream 0's is all zero); empty before the first set.
    pub fn streams(&self) -> Vec<StreamDrift> {
        if self.window.is_empty() {
            return Vec::new();
        }
        (0..self.streams).map(|stream| self.stream(stream)).collect()
    }

    /// The largest distance of any stream from stream 0 in the window, nanoseconds.
    pub fn worst_ns(&self) -> i64 {
        self.streams().iter().map(|s| s.max_ns.saturating_abs().max(s.min_ns.saturating_abs())).max().unwrap_or(0)
    }

    fn stream(&self, stream: usize) -> StreamDrift {
        let origin_ns = self.window.front().and_then(|s| s.first()).copied().unwrap_or(0);
        // (seconds of stream 0 since the window's first set, offset in nanoseconds)
        let points: Vec<(f64, i64)> = self
            .window
            .iter()
            .filter_map(|stamps| {
                let (reference_ns, stamp_ns) = (*stamps.first()?, *stamps.get(stream)?);
                Some((reference_ns.saturating_sub(origin_ns) as f64 * 1e-9, stamp_ns.saturating_sub(reference_ns)))
            })
            .collect();
        let n = points.len().max(1) as f64;
        let mean_s = points.iter().map(|p| p.0).sum::<f64>() / n;
        let mean_ns = points.iter().map(|p| p.1 as f64).sum::<f64>() / n;
        let covariance: f64 = points.iter().map(|p| (p.0 - mean_s) * (p.1 as f64 - mean_ns)).sum();
        let variance: f64 = points.iter().map(|p| (p.0 - mean_s).powi(2)).sum();
        StreamDrift {
            min_ns: points.iter().map(|p| p.1).min().unwrap_or(0),
            mean_ns,
            max_ns: points.iter().map(|p| p.1).max().unwrap_or(0),
            trend_ns_per_s: if variance > 0.0 { covariance / variance } else { 0.0 },
        }
    }
}
