//! Payloads of `compressed_image_transport` and `compressed_depth_image_transport` (image_transport_plugins).

use std::io::Cursor;

use image::{DynamicImage, ImageReader, Limits};
use ros_interfaces::sensor_msgs::msg::{CompressedImage, Image};

use crate::{ImageError, MAX_PIXELS};

/// Bytes of `compressed_depth_image_transport`'s header: format enumeration, then the two quantisation parameters.
const DEPTH_HEADER_BYTES: usize = 12;

fn bad(what: impl Into<String>) -> ImageError {
    ImageError::Codec(what.into())
}

/// Refuses a JPEG that ends before its end: decoders fill what is missing with grey, and grey has no damage. Bytes of another kind pass.
///
/// # Errors
/// [`ImageError::Codec`].
pub fn check_whole(payload: &[u8]) -> Result<(), ImageError> {
    const START: [u8; 2] = [0xFF, 0xD8];
    const SCAN: [u8; 2] = [0xFF, 0xDA];
    const END: [u8; 2] = [0xFF, 0xD9];
    if !payload.starts_with(&START) {
        return Ok(());
    }
    // Within a scan 0xFF is followed by 0 or a restart marker; thumbnails and their ends lie before the last one.
    let last_scan = payload.windows(2).rposition(|pair| pair == SCAN);
    let is_whole = last_scan.is_some_and(|at| payload.get(at..).is_some_and(|rest| rest.windows(2).any(|pair| pair == END)));
    if is_whole { Ok(()) } else { Err(bad("the JPEG is cut off before its end; copy or send it again")) }
}

/// Decodes PNG or JPEG under the limits of [`MAX_PIXELS`].
fn decode(payload: &[u8]) -> Result<DynamicImage, ImageError> {
    check_whole(payload)?;
    let mut reader = ImageReader::new(Cursor::new(payload)).with_guessed_format().map_err(|e| bad(e.to_string()))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS * 8);
    reader.limits(limits);
    let image = reader.decode().map_err(|e| bad(e.to_string()))?;
    let (width, height) = (image.width(), image.height());
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(ImageError::Size { width, height });
    }
    Ok(image)
}

/// A message of unpadded rows.
fn message(source: &CompressedImage, width: u32, height: u32, encoding: &str, data: Vec<u8>) -> Image {
    let rows = (height as usize).max(1);
    Image {
        header: source.header.clone(),
        width,
        height,
        encoding: encoding.to_owned(),
        is_bigendian: 0,
        step: (data.len() / rows) as u32,
        data,
    }
}

fn little_endian(samples: &[u16]) -> Vec<u8> {
    samples.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Decodes a `compressed` payload (PNG or JPEG, told by its content) into a raw image with the same header.
///
/// Colour becomes `rgb8`, grey `mono8`; 16-bit grey keeps the encoding that `format` names first
/// (`16UC1; png compressed`), `16UC1` when it names none.
///
/// # Errors
/// [`ImageError::Codec`] when the payload does not decode, [`ImageError::Size`] when it is absurdly large.
pub fn decode_compressed(source: &CompressedImage) -> Result<Image, ImageError> {
    let picture = decode(&source.data)?;
    let (width, height) = (picture.width(), picture.height());
    Ok(match picture {
        DynamicImage::ImageLuma8(grey) => message(source, width, height, "mono8", grey.into_raw()),
        DynamicImage::ImageLuma16(grey) => {
            let named = source.format.split(';').next().unwrap_or_default().trim();
            let encoding = if named == "mono16" { "mono16" } else { "16UC1" };
            message(source, width, height, encoding, little_endian(grey.as_raw()))
        }
        other => message(source, width, height, "rgb8", other.into_rgb8().into_raw()),
    })
}

/// Decodes a `compressedDepth` payload into `16UC1` millimetres or `32FC1` metres with the same header.
///
/// PNG and RVL bodies; `32FC1` is sent as quantised inverse depth with its two parameters in the payload's header.
///
/// # Errors
/// [`ImageError::Codec`] when header or body are damaged, [`ImageError::Encoding`] when `format` names another type.
pub fn decode_compressed_depth(source: &CompressedImage) -> Result<Image, ImageError> {
    let (head, body) = source
        .data
        .split_at_checked(DEPTH_HEADER_BYTES)
        .ok_or_else(|| bad(format!("compressedDepth payload of {} bytes is shorter than its header", source.data.len())))?;
    let (width, height, samples) = if source.format.to_ascii_lowercase().contains("rvl") {
        decode_rvl(body)?
    } else {
        match decode(body)? {
            DynamicImage::ImageLuma16(grey) => (grey.width(), grey.height(), grey.into_raw()),
            other => return Err(bad(format!("a depth PNG must be 16-bit grey, not {:?}", other.color()))),
        }
    };
    let encoding = source.format.split(';').next().unwrap_or_default().trim();
    match encoding {
        "16UC1" | "mono16" => Ok(message(source, width, height, "16UC1", little_endian(&samples))),
        "32FC1" => {
            let (a, b) = (parameter(head, 4), parameter(head, 8));
            if !(a.is_finite() && b.is_finite()) {
                return Err(bad("the quantisation parameters of a 32FC1 compressedDepth payload are not finite"));
            }
            let metres = |q: u16| if q == 0 { f32::NAN } else { a / (f32::from(q) - b) };
            let data = samples.iter().flat_map(|q| metres(*q).to_le_bytes()).collect();
            Ok(message(source, width, height, "32FC1", data))
        }
        other => Err(ImageError::Encoding { encoding: other.to_owned(), wanted: "compressedDepth", supported: "16UC1, mono16, 32FC1" }),
    }
}

/// The little-endian `f32` at `at` in the payload's header.
fn parameter(head: &[u8], at: usize) -> f32 {
    head.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(f32::NAN, f32::from_le_bytes)
}

fn word(body: &[u8], at: usize) -> Option<u32> {
    body.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}

/// Variable-length integers of RVL: three bits and a continuation flag a nibble, nibbles from the top of 32-bit words.
struct Nibbles<'a> {
    body: &'a [u8],
    at: usize,
    word: u32,
    left: u32,
}

impl Nibbles<'_> {
    fn next(&mut self) -> Option<u32> {
        let (mut value, mut shift) = (0u32, 0u32);
        loop {
            if self.left == 0 {
                self.word = word(self.body, self.at)?;
                self.at += 4;
                self.left = 8;
            }
            let nibble = self.word >> 28;
            self.word <<= 4;
            self.left -= 1;
            value |= (nibble & 7).checked_shl(shift)?;
            shift += 3;
            if nibble & 8 == 0 {
                return Some(value);
            }
        }
    }
}

/// Decodes RVL (A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017) after its columns and rows.
fn decode_rvl(body: &[u8]) -> Result<(u32, u32, Vec<u16>), ImageError> {
    let (width, height) = word(body, 0).zip(word(body, 4)).ok_or_else(|| bad("the RVL size is missing"))?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(ImageError::Size { width, height });
    }
    let pixels = pixels as usize;
    let mut nibbles = Nibbles { body, at: 8, word: 0, left: 0 };
    let mut next = || nibbles.next().ok_or_else(|| bad("the RVL data ends before the last pixel"));
    // Grows as it is filled: a short payload that claims a large picture takes no memory.
    let mut samples = Vec::new();
    let mut previous = 0u16;
    while samples.len() < pixels {
        let zeros = next()? as usize;
        if zeros > pixels - samples.len() {
            return Err(bad("an RVL run of empty pixels is longer than the picture"));
        }
        samples.resize(samples.len() + zeros, 0);
        let values = next()? as usize;
        if values > pixels - samples.len() {
            return Err(bad("an RVL run of depths is longer than the picture"));
        }
        if zeros == 0 && values == 0 && samples.len() < pixels {
            return Err(bad("an empty RVL run"));
        }
        for _ in 0..values {
            let zigzag = next()?;
            let delta = (zigzag >> 1) as i32 ^ -((zigzag & 1) as i32);
            previous = (i32::from(previous).wrapping_add(delta)) as u16;
            samples.push(previous);
        }
    }
    Ok((width, height, samples))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::ros::{color_from_ros, depth_from_ros};
    use image::{ImageBuffer, ImageFormat, Luma, Rgb};

    fn compressed(format: &str, data: Vec<u8>) -> CompressedImage {
        CompressedImage { format: format.into(), data, ..CompressedImage::default() }
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        image.write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    fn depth_png(samples: &[u16], width: u32) -> Vec<u8> {
        let height = samples.len() as u32 / width;
        let buffer: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_raw(width, height, samples.to_vec()).unwrap();
        encoded(&DynamicImage::ImageLuma16(buffer), ImageFormat::Png)
    }

    fn depth_payload(a: f32, b: f32, body: &[u8]) -> Vec<u8> {
        [&0u32.to_le_bytes()[..], &a.to_le_bytes(), &b.to_le_bytes(), body].concat()
    }

    /// The encoder of the RVL paper, for the tests.
    fn encode_rvl(samples: &[u16], width: u32) -> Vec<u8> {
        let mut nibbles = Vec::new();
        let mut vle = |mut value: u32| {
            loop {
                let low = value & 7;
                value >>= 3;
                nibbles.push(if value == 0 { low } else { low | 8 });
                if value == 0 {
                    break;
                }
            }
        };
        let (mut at, mut previous) = (0, 0i32);
        while at < samples.len() {
            let zeros = samples[at..].iter().take_while(|v| **v == 0).count();
            let values = samples[at + zeros..].iter().take_while(|v| **v != 0).count();
            vle(zeros as u32);
            vle(values as u32);
            for v in &samples[at + zeros..at + zeros + values] {
                let delta = i32::from(*v) - previous;
                vle(((delta << 1) ^ (delta >> 31)) as u32);
                previous = i32::from(*v);
            }
            at += zeros + values;
        }
        let words = nibbles.chunks(8).flat_map(|c| {
            let mut word = 0u32;
            for i in 0..8 {
                word = word << 4 | c.get(i).copied().unwrap_or(0);
            }
            word.to_le_bytes()
        });
        let height = samples.len() as u32 / width;
        width.to_le_bytes().into_iter().chain(height.to_le_bytes()).chain(words).collect()
    }

    fn ramp() -> Vec<u16> {
        (0..600u32).map(|i| if i % 7 == 0 { 0 } else { (i * 37 % 5000 + 200) as u16 }).collect()
    }

    #[test]
    fn png_is_exact_and_jpeg_is_close() {
        let buffer: ImageBuffer<Rgb<u8>, _> = ImageBuffer::from_fn(32, 16, |x, y| Rgb([x as u8 * 4, y as u8 * 8, 90]));
        let picture = DynamicImage::ImageRgb8(buffer.clone());
        let png = decode_compressed(&compressed("rgb8; png compressed bgr8", encoded(&picture, ImageFormat::Png))).unwrap();
        assert_eq!((png.encoding.as_str(), png.step), ("rgb8", 96));
        assert_eq!(color_from_ros(&png).unwrap().data(), buffer.as_raw().as_slice());
        let jpeg = decode_compressed(&compressed("jpeg", encoded(&picture, ImageFormat::Jpeg))).unwrap();
        let worst = color_from_ros(&jpeg).unwrap().data().iter().zip(buffer.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst.unwrap() < 40, "{worst:?}");
    }

    #[test]
    fn a_cut_off_jpeg_is_no_picture() {
        let mut rng = 1u32;
        let noise: ImageBuffer<Rgb<u8>, _> = ImageBuffer::from_fn(64, 64, |_, _| {
            rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Rgb([(rng >> 24) as u8, (rng >> 16) as u8, (rng >> 8) as u8])
        });
        let whole = encoded(&DynamicImage::ImageRgb8(noise), ImageFormat::Jpeg);
        assert!(decode_compressed(&compressed("jpeg", whole.clone())).is_ok());
        let trailed = [whole.as_slice(), b"whatever a camera adds"].concat();
        assert!(decode_compressed(&compressed("jpeg", trailed)).is_ok());
        for cut in [whole.len() / 3, whole.len() / 2, whole.len() - 2] {
            let error = decode_compressed(&compressed("jpeg", whole[..cut].to_vec())).unwrap_err().to_string();
            assert!(error.contains("cut off"), "{cut} of {}: {error}", whole.len());
        }
    }

    #[test]
    fn depth_png_and_rvl_give_the_same_millimetres() {
        let samples = ramp();
        let png = decode_compressed_depth(&compressed("16UC1; compressedDepth png", depth_payload(0.0, 0.0, &depth_png(&samples, 30))));
        let rvl = decode_compressed_depth(&compressed("16UC1; compressedDepth rvl", depth_payload(0.0, 0.0, &encode_rvl(&samples, 30))));
        let (png, rvl) = (png.unwrap(), rvl.unwrap());
        assert_eq!(png.data, little_endian(&samples));
        assert_eq!(png, rvl);
        assert_eq!((png.width, png.height), (30, 20));
    }

    #[test]
    fn inverse_depth_is_unquantised() {
        // compressed_depth_image_transport: A = depth_quantization * (depth_quantization + 1), B = 1 - A / depth_max.
        let (a, b) = (100.0f32 * 101.0, 1.0 - 100.0 * 101.0 / 10.0);
        let metres = [0.4f32, 0.9, 1.7, 6.0];
        let quantised: Vec<u16> = metres.iter().map(|z| (a / z + b) as u16).chain([0]).collect();
        let body = depth_png(&quantised, 5);
        let image = decode_compressed_depth(&compressed("32FC1; compressedDepth png", depth_payload(a, b, &body))).unwrap();
        let read = depth_from_ros(&image).unwrap();
        for (z, back) in metres.iter().zip(read.data()) {
            assert!((z - back).abs() / z < 0.002 * z.max(1.0), "{z} {back}");
        }
        assert_eq!(read.data()[4], 0.0);
    }

    #[test]
    fn damaged_payloads_are_errors() {
        let good = depth_payload(0.0, 0.0, &depth_png(&ramp(), 30));
        let rvl = depth_payload(0.0, 0.0, &encode_rvl(&ramp(), 30));
        for cut in [0, 5, 12, 15, good.len() / 2] {
            assert!(decode_compressed_depth(&compressed("16UC1; compressedDepth png", good[..cut].to_vec())).is_err(), "{cut}");
        }
        for cut in [12, 19, 20, rvl.len() / 2] {
            assert!(decode_compressed_depth(&compressed("16UC1; compressedDepth rvl", rvl[..cut].to_vec())).is_err(), "{cut}");
        }
        assert!(decode_compressed_depth(&compressed("8UC1; compressedDepth png", good)).is_err());
        let huge = depth_payload(0.0, 0.0, &[0xFF; 64]);
        assert!(matches!(decode_compressed_depth(&compressed("16UC1; compressedDepth rvl", huge)), Err(ImageError::Size { .. })));
        assert!(decode_compressed(&compressed("jpeg", b"not a picture".to_vec())).is_err());
        assert!(decode_compressed(&compressed("png", Vec::new())).is_err());
    }
}
