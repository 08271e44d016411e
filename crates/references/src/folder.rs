//! References as files: `DIR/<product>/*.{png,jpg,jpeg}`.
//!
//! A picture's alpha channel says what is the product (0 is background); without one a plain border is background.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use crate::codec::{decode_heights, encode_heights};
use image::{DynamicImage, ImageReader, RgbaImage};
use matching::{Cutout, MatchError, Picture, Rejected};
use vision::{ColorImage, MAX_PIXELS, Rect};

/// Why a folder of references cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// Missing, not a folder, or not readable.
    #[error("references folder `{}` cannot be read: {source}; give a folder that holds one folder a product", path.display())]
    Folder {
        /// As given.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A product's name must be usable as a folder's.
    #[error("`{0}` is not a product name: use 1 to 120 letters, digits, spaces, `.`, `_` or `-`, not starting with a dot")]
    Product(String),
    /// A picture could not be written.
    #[error("reference `{}` cannot be written: {reason}; check free space and permissions", path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The picture itself is of no use.
    #[error(transparent)]
    Picture(#[from] MatchError),
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Readable pictures, in order of their names.
    pub pictures: Vec<Picture>,
    /// Those that are not, each with the reason.
    pub skipped: Vec<Rejected>,
}

/// Reads all references of `dir`. A picture that cannot be read is named in [`Loaded::skipped`].
///
/// # Errors
/// When the folder itself cannot be read.
pub fn load(dir: &Path) -> Result<Loaded, FolderError> {
    let mut loaded = Loaded::default();
    for product_dir in sorted_entries(dir)?.into_iter().filter(|p| p.is_dir()) {
        let Some(product) = product_dir.file_name().and_then(|n| n.to_str()).filter(|n| is_product_name(n)) else {
            loaded
                .skipped
                .push(Rejected { picture: product_dir.display().to_string(), reason: "its folder's name is not a product name".into() });
            continue;
        };
        let entries = match sorted_entries(&product_dir) {
            Ok(entries) => entries,
            Err(error) => {
                loaded.skipped.push(Rejected { picture: product.to_string(), reason: error.to_string() });
                continue;
            }
        };
        for path in entries.into_iter().filter(|p| is_picture(p)) {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            match read(&path) {
                Ok(cutout) => loaded.pictures.push(Picture { product: product.to_string(), name, cutout }),
                Err(reason) => loaded.skipped.push(Rejected { picture: format!("{product}/{name}"), reason }),
            }
        }
    }
    Ok(loaded)
}

/// Reads one picture and finds what of it is the product.
///
/// # Errors
/// One sentence.
pub fn read(path: &Path) -> Result<Cutout, String> {
    decode(&fs::read(path).map_err(|e| e.to_string())?)
}

/// A picture, decoded.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The smallest part of it that holds the thing.
    pub cutout: Cutout,
    /// Where that part lies in the picture, pixels.
    pub rect: Rect,
    /// False when it is not known what in the picture is the thing: no alpha channel, and no plain border.
    pub is_cut_out: bool,
}

/// The same, and where the cutout lies in the picture.
///
/// # Errors
/// One sentence.
pub fn read_whole(path: &Path) -> Result<Decoded, String> {
    decode_whole(&fs::read(path).map_err(|e| e.to_string())?)
}

/// Decodes a picture (PNG or JPEG) and finds what of it is the product.
///
/// # Errors
/// One sentence.
pub fn decode(bytes: &[u8]) -> Result<Cutout, String> {
    decode_whole(bytes).map(|decoded| decoded.cutout)
}

fn decode_whole(bytes: &[u8]) -> Result<Decoded, String> {
    let reader = || ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string());
    let (width, height) = reader()?.into_dimensions().map_err(|e| e.to_string())?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!("{width}x{height} is more than {MAX_PIXELS} pixels"));
    }
    vision::codec::check_whole(bytes).map_err(|e| e.to_string())?;
    cutout_of(reader()?.decode().map_err(|e| e.to_string())?).map_err(|e| e.to_string())
}

/// The picture as PNG, its alpha channel saying what is the product; [`decode`] reads it back. A product that fills its picture gets a
/// clear frame of one pixel: without any clear pixel, a plain border of the product itself would be taken for background.
///
/// # Errors
/// One sentence.
pub fn encode(cutout: &Cutout) -> Result<Vec<u8>, String> {
    let rgb = cutout.color().data().chunks_exact(3).zip(cutout.foreground());
    let rgba: Vec<u8> = rgb.flat_map(|(p, f)| [p[0], p[1], p[2], *f]).collect();
    let (width, height) = (cutout.color().width(), cutout.color().height());
    let mut picture = RgbaImage::from_raw(width, height, rgba).ok_or_else(|| "the picture's size does not fit its pixels".to_owned())?;
    if !cutout.is_cut_out() {
        let mut framed = RgbaImage::new(width + 2, height + 2);
        image::imageops::replace(&mut framed, &picture, 1, 1);
        picture = framed;
    }
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).map_err(|e| e.to_string())?;
    Ok(bytes.into_inner())
}

fn cutout_of(picture: DynamicImage) -> Result<Decoded, MatchError> {
    let rgba = picture.color().has_alpha().then(|| picture.to_rgba8());
    let rgb = picture.into_rgb8();
    let color = ColorImage::new(rgb.width(), rgb.height(), rgb.into_raw())?;
    let cutout = match rgba {
        Some(rgba) if rgba.pixels().any(|p| p.0[3] < 128) => Cutout::masked(color, rgba.pixels().map(|p| p.0[3] >= 128))?,
        _ => Cutout::without_plain_border(color),
    };
    let is_cut_out = cutout.is_cut_out();
    let (cutout, rect) = cutout.trimmed_from();
    Ok(Decoded { cutout, rect, is_cut_out })
}

/// Writes `cutout` as the next picture of `product` (PNG, alpha is the mask) and returns it as loaded from there.
/// The file appears whole or not at all. `provenance`, who or what added it, is kept in a text file beside it.
///
/// # Errors
/// When the name is not a product's or the file cannot be written.
pub fn add(dir: &Path, product: &str, cutout: &Cutout, provenance: &str) -> Result<Picture, FolderError> {
    if !is_product_name(product) {
        return Err(FolderError::Product(product.to_string()));
    }
    let folder = dir.join(product);
    let failed = |path: &Path, reason: String| FolderError::Write { path: path.to_path_buf(), reason };
    fs::create_dir_all(&folder).map_err(|e| failed(&folder, e.to_string()))?;
    let taken = sorted_entries(&folder)?;
    let name = (0u32..).map(|n| format!("{n:04}.png")).find(|n| !taken.iter().any(|p| p.ends_with(n))).unwrap_or_default();
    let (path, partial) = (folder.join(&name), folder.join(format!(".{name}.partial")));
    let picture = encode(cutout).map_err(|reason| failed(&path, reason))?;
    let noted = if provenance.is_empty() { Ok(()) } else { fs::write(path.with_extension("txt"), format!("{provenance}\n")) };
    let written = noted.map_err(|e| e.to_string());
    let written = written.and_then(|()| fs::write(&partial, &picture).map_err(|e| e.to_string()));
    let written = written.and_then(|()| fs::rename(&partial, &path).map_err(|e| e.to_string()));
    if let Err(reason) = written {
        // The partial file is of no use; that it may not even be there is no second error.
        let _ = fs::remove_file(&partial);
        return Err(failed(&path, reason));
    }
    Ok(Picture { product: product.to_string(), name, cutout: cutout.clone().trimmed() })
}

fn sorted_entries(dir: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let failed = |source| FolderError::Folder { path: dir.to_path_buf(), source };
    let entries: Result<Vec<_>, _> = fs::read_dir(dir).map_err(failed)?.map(|e| e.map(|e| e.path())).collect();
    let mut entries = entries.map_err(failed)?;
    entries.sort();
    Ok(entries)
}

/// True for a file that is named like a picture and is not hidden.
pub fn is_picture(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
    let known = path.extension().is_some_and(|e| ["png", "jpg", "jpeg"].iter().any(|k| e.eq_ignore_ascii_case(k)));
    !hidden && known && path.is_file()
}

/// True when `name` can name a product: 1 to 120 letters, digits, spaces, `.`, `_` or `-`, not starting with a dot.
pub fn is_product_name(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || " ._-".contains(c);
    !name.is_empty() && name.chars().count() <= 120 && !name.starts_with('.') && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cutout_comes_back_as_it_was_also_when_it_fills_its_picture() {
        // A white carton with print in the middle: its face must not become background.
        let pixel = |i: u32| if (20..40).contains(&(i % 60)) && (15..25).contains(&(i / 60)) { [30, 60, 200] } else { [250; 3] };
        let carton = ColorImage::new(60, 40, (0..60 * 40).flat_map(pixel).collect()).unwrap();
        let whole = Cutout::whole(carton.clone());
        let part = Cutout::masked(carton, (0..60 * 40).map(|i| i % 60 > 5)).unwrap().trimmed();
        for cutout in [whole, part] {
            let back = decode(&encode(&cutout).unwrap()).unwrap();
            assert_eq!((back.color(), back.foreground()), (cutout.color(), cutout.foreground()));
        }
    }
    #[test]
    fn a_folder_names_what_it_cannot_read_and_keeps_what_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load(&dir.path().join("missing")).unwrap_err().to_string().contains("missing"));
        let striped = ColorImage::new(60, 40, (0..60 * 40 * 3).map(|i| (i % 251) as u8).collect()).unwrap();
        let given = Cutout::masked(striped, (0..60 * 40).map(|i| i % 60 > 5)).unwrap();
        let added = add(dir.path(), "p4", &given, "a test").unwrap();
        add(dir.path(), "p4", &given, "").unwrap();
        fs::write(dir.path().join("p4").join("cut_off.png"), b"\x89PNG\r\n\x1a\n").unwrap();
        fs::create_dir(dir.path().join("empty")).unwrap();
        let loaded = load(dir.path()).unwrap();
        assert_eq!(loaded.pictures.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["0000.png", "0001.png"]);
        assert_eq!(loaded.skipped.iter().map(|s| s.picture.as_str()).collect::<Vec<_>>(), ["p4/cut_off.png"]);
        assert_eq!(loaded.pictures[0].cutout.color(), added.cutout.color());
        assert_eq!(loaded.pictures[0].cutout.foreground(), added.cutout.foreground());
        assert_eq!(fs::read_to_string(dir.path().join("p4").join("0000.txt")).unwrap().trim(), "a test");
        for bad in ["", "../up", "a/b", ".hidden"] {
            assert!(matches!(add(dir.path(), bad, &given, ""), Err(FolderError::Product(_))), "{bad}");
        }
    }
}
