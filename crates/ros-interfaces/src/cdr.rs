//! The wire form of messages: XCDR version 1 with its encapsulation header.
//!
//! `cdr-encoding` does the work. Here stand the header, both byte orders, fixed arrays of any length and bounds.

use std::fmt;
use std::marker::PhantomData;

use byteorder::{BigEndian, LittleEndian};
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::traits::Message;

/// Encapsulation header of plain little-endian CDR.
const HEADER_LITTLE_ENDIAN: [u8; 4] = [0, 1, 0, 0];

/// Why a message has no wire form, or bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum CdrError {
    /// Fewer bytes than the header has.
    #[error("{type_name}: {length} byte(s) are too few for a CDR header; 4 are needed")]
    NoHeader {
        /// ROS name of the expected type.
        type_name: &'static str,
        /// Bytes that were given.
        length: usize,
    },
    /// A representation that is not plain CDR of version 1.
    #[error("{type_name}: encapsulation {identifier:#06x} is not plain CDR (0x0000 or 0x0001)")]
    Encapsulation {
        /// ROS name of the expected type.
        type_name: &'static str,
        /// The representation identifier that was found.
        identifier: u16,
    },
    /// The payload does not hold the type.
    #[error("{type_name}: cannot decode {length} bytes of CDR: {source}")]
    Decode {
        /// ROS name of the expected type.
        type_name: &'static str,
        /// Bytes that were given, header included.
        length: usize,
        /// What the decoder met.
        source: cdr_encoding::Error,
    },
    /// The value cannot be written.
    #[error("{type_name}: cannot encode: {source}")]
    Encode {
        /// ROS name of the type.
        type_name: &'static str,
        /// What the encoder met.
        source: cdr_encoding::Error,
    },
}

/// See [`Message::to_cdr`].
pub(crate) fn encode<M: Message>(message: &M) -> Result<Vec<u8>, CdrError> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(&HEADER_LITTLE_ENDIAN);
    // The serializer counts from its first byte, so alignment starts after the header, as the format wants it.
    cdr_encoding::to_writer::<M, LittleEndian, _>(&mut bytes, message)
        .map_err(|source| CdrError::Encode { type_name: M::TYPE_NAME, source })?;
    Ok(bytes)
}

/// See [`Message::from_cdr`].
pub(crate) fn decode<M: Message>(bytes: &[u8]) -> Result<M, CdrError> {
    let type_name = M::TYPE_NAME;
    let Some((header, payload)) = bytes.split_first_chunk::<4>() else {
        return Err(CdrError::NoHeader { type_name, length: bytes.len() });
    };
    let decoded = match u16::from_be_bytes([header[0], header[1]]) {
        0 => cdr_encoding::from_bytes::<M, BigEndian>(payload),
        1 => cdr_encoding::from_bytes::<M, LittleEndian>(payload),
        identifier => return Err(CdrError::Encapsulation { type_name, identifier }),
    };
    // Bytes after the message are padding that some writers add.
    decoded.map(|(message, _)| message).map_err(|source| CdrError::Decode { type_name, length: bytes.len(), source })
}

/// Serde form of fixed arrays of any length: elements without a count. (serde itself stops at 32.)
pub mod array {
    use super::{ArrayVisitor, Deserialize, Deserializer, PhantomData, Serialize, SerializeTuple, Serializer};

    /// Writes the elements.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer, T: Serialize, const N: usize>(values: &[T; N], serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(N)?;
        for value in values {
            tuple.serialize_element(value)?;
        }
        tuple.end()
    }

    /// Reads exactly `N` elements.
    ///
    /// # Errors
    /// Those of the deserializer, or fewer elements.
    pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>, const N: usize>(deserializer: D) -> Result<[T; N], D::Error> {
        deserializer.deserialize_tuple(N, ArrayVisitor(PhantomData))
    }
}

struct ArrayVisitor<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for ArrayVisitor<T, N> {
    type Value = [T; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of {N} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<[T; N], A::Error> {
        let mut values = Vec::with_capacity(N);
        while values.len() < N {
            match sequence.next_element()? {
                Some(value) => values.push(value),
                None => return Err(A::Error::invalid_length(values.len(), &self)),
            }
        }
        let length = values.len();
        values.try_into().map_err(|_| A::Error::custom(format!("an array of {N} elements has {length}")))
    }
}

/// Serde form of strings and sequences of at most `N` bytes or elements.
#[derive(Clone, Copy, Debug)]
pub struct Bounded<const N: usize>;

impl<const N: usize> Bounded<N> {
    /// Writes the value when it keeps its bound.
    ///
    /// # Errors
    /// The value is longer than `N`, or those of the serializer.
    pub fn serialize<S: Serializer, T: Serialize + Length>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        match value.length() {
            length if length > N => Err(S::Error::custom(format!("length {length} is above the bound {N}"))),
            _ => value.serialize(serializer),
        }
    }

    /// Reads a value and checks its bound.
    ///
    /// # Errors
    /// The value is longer than `N`, or those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>, T: DeserializeOwned + Length>(deserializer: D) -> Result<T, D::Error> {
        let value = T::deserialize(deserializer)?;
        match value.length() {
            length if length > N => Err(D::Error::custom(format!("length {length} is above the bound {N}"))),
            _ => Ok(value),
        }
    }
}

/// What a bound counts.
pub trait Length {
    /// Bytes of a string, elements of a sequence.
    fn length(&self) -> usize;
}

impl Length for String {
    fn length(&self) -> usize {
        self.len()
    }
}

impl<T> Length for Vec<T> {
    fn length(&self) -> usize {
        self.len()
    }
}
