//! CDR bytes through RustDDS as they are: the serialiser and deserialiser do nothing.

use rustdds::RepresentationIdentifier;
use rustdds::bytes::Bytes;
use rustdds::dds::adapters::no_key::{Decode, DefaultDecoder, DeserializerAdapter, SerializerAdapter};
use rustdds::no_key::{DataWriter, SimpleDataReader};

/// Encapsulation header (representation, options) and CDR.
#[derive(Clone, Debug)]
pub(super) struct RawCdr(Bytes);

/// Length of the encapsulation header.
const HEADER: usize = 4;

impl RawCdr {
    /// `cdr` starts with its encapsulation header, little endian XCDR1, which is what [`Adapter`] announces.
    pub(super) fn new(cdr: Vec<u8>) -> Self {
        Self(Bytes::from(cdr))
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_vec(self) -> Vec<u8> {
        self.0.into()
    }
}

pub(super) type RawWriter = DataWriter<RawCdr, Adapter>;
pub(super) type RawReader = SimpleDataReader<RawCdr, Adapter>;

/// Links [`RawCdr`] to RustDDS.
pub(super) struct Adapter;

impl SerializerAdapter<RawCdr> for Adapter {
    type Error = std::convert::Infallible;

    fn output_encoding() -> RepresentationIdentifier {
        RepresentationIdentifier::CDR_LE
    }

    fn to_bytes(value: &RawCdr) -> Result<Bytes, Self::Error> {
        Ok(value.0.slice(HEADER.min(value.0.len())..))
    }
}

/// All encodings are let through: whether one is understood is decided, and counted, where the message's type
/// is known.
static ENCODINGS: [RepresentationIdentifier; 7] = [
    RepresentationIdentifier::CDR_LE,
    RepresentationIdentifier::CDR_BE,
    RepresentationIdentifier::PL_CDR_LE,
    RepresentationIdentifier::PL_CDR_BE,
    RepresentationIdentifier::XCDR2_LE,
    RepresentationIdentifier::XCDR2_BE,
    RepresentationIdentifier::D_CDR2_LE,
];

impl DeserializerAdapter<RawCdr> for Adapter {
    type Error = std::convert::Infallible;
    type Decoded = RawCdr;

    fn supported_encodings() -> &'static [RepresentationIdentifier] {
        &ENCODINGS
    }

    fn transform_decoded(decoded: RawCdr) -> RawCdr {
        decoded
    }
}

impl DefaultDecoder<RawCdr> for Adapter {
    type Decoder = Decoder;
    const DECODER: Decoder = Decoder;
}

/// Puts the encapsulation header back before the payload.
#[derive(Clone)]
pub(super) struct Decoder;

impl Decode<'_, RawCdr> for Decoder {
    type Error = std::convert::Infallible;

    fn decode_bytes(self, payload: &[u8], encoding: RepresentationIdentifier) -> Result<RawCdr, Self::Error> {
        let mut cdr = Vec::with_capacity(HEADER + payload.len());
        cdr.extend_from_slice(&encoding.to_bytes());
        cdr.extend_from_slice(&[0, 0]);
        cdr.extend_from_slice(payload);
        Ok(RawCdr::new(cdr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_taken_off_and_put_back() {
        let cdr = vec![0, 1, 0, 0, 7, 8, 9];
        let Ok(payload) = Adapter::to_bytes(&RawCdr::new(cdr.clone()));
        assert_eq!(payload.as_ref(), [7, 8, 9]);
        let Ok(back) = Decoder.decode_bytes(&payload, RepresentationIdentifier::CDR_LE);
        assert_eq!(back.into_vec(), cdr);
        let Ok(big_endian) = Decoder.decode_bytes(&payload, RepresentationIdentifier::CDR_BE);
        assert_eq!(big_endian.as_slice(), [0, 0, 0, 0, 7, 8, 9]);
    }
}
