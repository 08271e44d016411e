//! Folders of reference pictures, as other people keep them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::StoreError;
use crate::folder::is_picture;

/// How a folder is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `DIR/<product>/*.png`: our own, and what `export` writes.
    Products,
    /// `DIR/<product>/top.jpg` beside `capture_*.jpg`, which are no references: the ARC 2017 items.
    Arc,
    /// `DIR/train/good/*.png`, or `DIR/<product>/train/good/*.png`: MVTec AD.
    Mvtec,
    /// `DIR/gallery/` with `DIR/gallery.csv` (columns `image`, `class`): packshots of groceries.
    Table,
}

/// A picture to be enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The product it shows.
    pub product: String,
    /// The file.
    pub path: PathBuf,
    /// What of the picture is the product (not zero), where a data set brings that.
    pub mask: Option<PathBuf>,
}

/// Recognises a folder's layout and lists its reference pictures, in order of product and name.
///
/// # Errors
/// When the folder cannot be read, or holds no references in any known layout.
pub fn find(dir: &Path) -> Result<(Layout, Vec<Source>), StoreError> {
    let (layout, sources) = if dir.join("gallery.csv").is_file() {
        (Layout::Table, table(dir)?)
    } else if dir.join("train/good").is_dir() {
        (Layout::Mvtec, pictures(&dir.join("train/good"), &name_of(dir)?)?)
    } else {
        let folders: Vec<PathBuf> = entries(dir)?.into_iter().filter(|p| p.is_dir()).collect();
        if folders.iter().any(|f| f.join("train/good").is_dir()) {
            (Layout::Mvtec, gather(&folders, |folder| folder.join("train/good"))?)
        } else if folders.iter().any(|f| top_of(f).is_some()) {
            let tops = folders.iter().filter_map(|f| Some((f, top_of(f)?)));
            (Layout::Arc, tops.map(|(f, path)| Ok(Source { product: name_of(f)?, path, mask: None })).collect::<Result<_, StoreError>>()?)
        } else {
            (Layout::Products, gather(&folders, Path::to_path_buf)?)
        }
    };
    if sources.is_empty() {
        let reason = "holds no reference pictures in a known layout: DIR/<product>/*.png, DIR/<product>/top.jpg, \
             DIR/[<product>/]train/good/*.png, or DIR/gallery.csv with DIR/gallery/";
        return Err(StoreError::Import { path: dir.to_path_buf(), reason: reason.into() });
    }
    Ok((layout, sources))
}

/// The pictures of each folder's own place for them.
fn gather(folders: &[PathBuf], place: impl Fn(&Path) -> PathBuf) -> Result<Vec<Source>, StoreError> {
    let mut sources = Vec::new();
    for folder in folders {
        let place = place(folder);
        if place.is_dir() {
            sources.extend(pictures(&place, &name_of(folder)?)?);
        }
    }
    Ok(sources)
}

fn pictures(dir: &Path, product: &str) -> Result<Vec<Source>, StoreError> {
    let pictures = entries(dir)?.into_iter().filter(|p| is_picture(p));
    Ok(pictures.map(|path| Source { product: product.to_owned(), path, mask: None }).collect())
}

/// The one reference of an ARC item: its `top` picture, where captures lie beside it. Without them `top` is a name like others.
pub fn top_of(folder: &Path) -> Option<PathBuf> {
    let is_capture = |p: &PathBuf| is_picture(p) && p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("capture"));
    let top = ["top.jpg", "top.png", "top.jpeg"].into_iter().map(|name| folder.join(name)).find(|p| p.is_file())?;
    entries(folder).is_ok_and(|all| all.iter().any(is_capture)).then_some(top)
}

/// Rows of `gallery.csv`; the columns are found by their names.
fn table(dir: &Path) -> Result<Vec<Source>, StoreError> {
    let path = dir.join("gallery.csv");
    let bad = |reason: String| StoreError::Import { path: path.clone(), reason };
    let text = fs::read_to_string(&path).map_err(|e| bad(e.to_string()))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').map(str::trim).collect();
    let column = |name: &str| header.iter().position(|h| *h == name).ok_or_else(|| bad(format!("has no column `{name}`")));
    let (image, class) = (column("image")?, column("class")?);
    lines
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            match (fields.get(image), fields.get(class)) {
                (Some(image), Some(class)) => {
                    Ok(Source { product: (*class).to_owned(), path: dir.join("gallery").join(image), mask: None })
                }
                _ => Err(bad(format!("line `{line}` has too few columns"))),
            }
        })
        .collect()
}

fn name_of(dir: &Path) -> Result<String, StoreError> {
    // `.` and `dir/..` have a name only when resolved.
    let resolved = dir.canonicalize().map_err(|e| StoreError::Import { path: dir.to_path_buf(), reason: e.to_string() })?;
    Ok(resolved.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |e: std::io::Error| StoreError::Import { path: dir.to_path_buf(), reason: e.to_string() };
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).map_err(failed)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>().map_err(failed)?;
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, if file.ends_with("csv") { "image,class_id,class\nx.jpg,3,Milk\n" } else { "" }).unwrap();
        }
        dir
    }

    fn found(files: &[&str]) -> (Layout, Vec<String>) {
        let dir = tree(files);
        let (layout, sources) = find(dir.path()).unwrap();
        let shown = |s: &Source| format!("{}={}", s.product, s.path.strip_prefix(dir.path()).unwrap().display());
        (layout, sources.iter().map(shown).collect())
    }

    #[test]
    fn layouts_are_recognised() {
        assert_eq!(found(&["b/1.png", "a/2.JPG", "a/notes.txt"]), (Layout::Products, vec!["a=a/2.JPG".into(), "b=b/1.png".into()]));
        assert_eq!(found(&["a/top.jpg", "a/capture_0.jpg"]), (Layout::Arc, vec!["a=a/top.jpg".into()]));
        assert_eq!(found(&["a/train/good/1.png", "a/test/crack/1.png"]), (Layout::Mvtec, vec!["a=a/train/good/1.png".into()]));
        assert_eq!(found(&["gallery.csv", "gallery/x.jpg"]), (Layout::Table, vec!["Milk=gallery/x.jpg".into()]));
        let ours = ["tea/front.png", "tea/side.png", "tea/top.png", "coffee/front.png"];
        let found_ours = found(&ours);
        assert_eq!((found_ours.0, found_ours.1.len()), (Layout::Products, 4), "a view from the top is a reference like others");
        let one = tree(&["nut/train/good/1.png"]);
        assert_eq!(find(&one.path().join("nut")).unwrap().1[0].product, "nut");
    }

    #[test]
    fn a_folder_without_references_says_what_is_expected() {
        let empty = tree(&["readme.txt"]);
        assert!(find(empty.path()).unwrap_err().to_string().contains("known layout"));
        assert!(find(&empty.path().join("missing")).is_err());
    }
}
