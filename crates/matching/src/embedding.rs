//! Vectors by which products are told apart, and who makes them. This crate knows no network.

use std::fmt;
use std::sync::Arc;

use vision::ColorImage;

use crate::{Cutout, MatchError};

/// Numbers in an embedding of the network that intact brings.
pub const EMBEDDING_LEN: usize = 128;
/// What stored embeddings begin with.
const FORMAT: &[u8] = b"intact embedding 1\n";

/// Runs a network: a picture in, and of each pixel whether it is the thing (not 0); a vector of unit length out, or one sentence.
type Run = dyn Fn(&ColorImage, &[u8]) -> Result<Vec<f32>, String> + Send + Sync;

/// Makes embeddings. Cheap to clone.
#[derive(Clone)]
pub struct Embedder {
    model: String,
    run: Arc<Run>,
}

impl fmt::Debug for Embedder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Embedder").field(&self.model).finish()
    }
}

impl Embedder {
    /// `model` names the network and its weights: embeddings of two of them cannot be compared.
    pub fn new(model: impl Into<String>, run: impl Fn(&ColorImage, &[u8]) -> Result<Vec<f32>, String> + Send + Sync + 'static) -> Self {
        Self { model: model.into(), run: Arc::new(run) }
    }

    /// The network and its weights.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The embedding of a cutout.
    ///
    /// # Errors
    /// [`MatchError::Embedding`] when the network fails, and when OpenCV does.
    pub fn embed(&self, cutout: &Cutout) -> Result<Embedding, MatchError> {
        let vector = (self.run)(cutout.color(), cutout.foreground()).map_err(MatchError::Embedding)?;
        Ok(Embedding { model: self.model.clone(), vector })
    }
}

/// A vector of unit length that says what a thing looks like, and which network says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// The network and its weights.
    pub model: String,
    /// The numbers.
    pub vector: Vec<f32>,
}

impl Embedding {
    /// As bytes, to be kept beside a reference's picture; [`Embedding::from_bytes`] reads them back.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = FORMAT.to_vec();
        for length in [self.model.len(), self.vector.len()] {
            bytes.extend((length as u32).to_le_bytes());
        }
        bytes.extend(self.model.as_bytes());
        bytes.extend(self.vector.iter().flat_map(|v| v.to_le_bytes()));
        bytes
    }

    /// `None` when the bytes are no embedding.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(FORMAT)?;
        let (name, rest) = rest.split_first_chunk::<4>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (model, numbers) = rest.split_at_checked(u32::from_le_bytes(*name) as usize)?;
        let (numbers, odd) = numbers.as_chunks::<4>();
        if numbers.len() != u32::from_le_bytes(*count) as usize || !odd.is_empty() {
            return None;
        }
        let vector: Vec<f32> = numbers.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let model = String::from_utf8(model.to_vec()).ok()?;
        vector.iter().all(|v| v.is_finite()).then_some(Self { model, vector })
    }
}

/// Cosine of the angle between two vectors of unit length, [-1, 1]; 0 when their lengths differ.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() == b.len() { a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>().clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_come_back_from_bytes_and_from_nothing_less() {
        let kept = Embedding { model: "a.onnx@12".into(), vector: vec![0.6, -0.8] };
        let bytes = kept.to_bytes();
        assert_eq!(Embedding::from_bytes(&bytes), Some(kept));
        assert!((0..bytes.len()).all(|n| Embedding::from_bytes(&bytes[..n]).is_none()));
    }
}
