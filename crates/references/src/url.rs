//! Which store is meant.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::StoreError;

/// Where a gallery lies: `sqlite:PATH`. A plain path to a `.sqlite` or `.db` file is taken for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GalleryUrl {
    path: PathBuf,
}

impl GalleryUrl {
    /// One SQLite file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The SQLite file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True when `text` is meant as a URL of a store, not as a folder of pictures.
    pub fn is_meant_by(text: &str) -> bool {
        ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| text.starts_with(scheme))
    }
}

impl FromStr for GalleryUrl {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            return Err(StoreError::Postgres);
        }
        let path = match text.strip_prefix("sqlite:") {
            // `sqlite:///a/b` and `sqlite:/a/b` name the same file.
            Some(path) => path.strip_prefix("//").filter(|p| p.starts_with('/')).unwrap_or(path),
            None if [".sqlite", ".db"].iter().any(|end| text.ends_with(end)) => text,
            None => return Err(StoreError::Url(text.to_owned())),
        };
        if path.is_empty() {
            return Err(StoreError::Url(text.to_owned()));
        }
        Ok(Self::sqlite(path))
    }
}

impl fmt::Display for GalleryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_url_names_a_file_and_what_is_not_there_yet_says_so() {
        let path = |text: &str| text.parse::<GalleryUrl>().unwrap().path().to_owned();
        assert_eq!(path("sqlite:a/b.sqlite"), Path::new("a/b.sqlite"));
        assert_eq!(path("sqlite:///a/b"), Path::new("/a/b"));
        assert_eq!(path("g.db"), Path::new("g.db"));
        assert!("postgres://host/gallery".parse::<GalleryUrl>().unwrap_err().to_string().contains("not supported yet"));
        assert!(matches!("folder".parse::<GalleryUrl>(), Err(StoreError::Url(_))));
        assert!(GalleryUrl::is_meant_by("sqlite:x") && !GalleryUrl::is_meant_by("references/"));
    }
}
