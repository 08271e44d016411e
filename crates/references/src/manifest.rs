//! The products that a cell can meet.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{GalleryUrl, StoreError};

/// The products on the manifest of `url`; `None`: it has none, and all are meant. Read anew each time: it changes from day to day.
///
/// # Errors
/// When the file cannot be read or names no product.
pub(crate) fn of(url: &GalleryUrl) -> Result<Option<BTreeSet<String>>, StoreError> {
    url.manifest().map(read).transpose()
}

/// A product a line; `#` begins a remark.
fn read(path: &Path) -> Result<BTreeSet<String>, StoreError> {
    let bad = |reason: String| StoreError::Manifest { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    let products: BTreeSet<String> =
        text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|p| !p.is_empty()).map(str::to_owned).collect();
    if products.is_empty() { Err(bad("it names no product; write one a line".into())) } else { Ok(products) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_product_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("today.txt");
        std::fs::write(&path, "# early shift\ntea-200\n\n  jam \ncoffee # new\n").unwrap();
        assert_eq!(read(&path).unwrap().into_iter().collect::<Vec<_>>(), ["coffee", "jam", "tea-200"]);
        std::fs::write(&path, "# nothing today\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("today.txt") && read(&dir.path().join("gone")).is_err());
    }
}
