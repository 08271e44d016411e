//! Which store is meant.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use postgres::config::Host;

use crate::StoreError;

/// Where a gallery lies: `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE`. A plain path to a `.sqlite` or `.db` file
/// is taken for a SQLite file. With `?local=PATH` a cell keeps a copy of the server's gallery in that file, with `&manifest=PATH` only of
/// the products that this text file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GalleryUrl(pub(crate) Kind);

/// The two databases.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite(PathBuf),
    Postgres {
        /// What `postgres::Config` reads; may hold a password.
        address: String,
        /// Where the local copy lies.
        local: Option<PathBuf>,
        /// The file that names the products which the cell can meet.
        manifest: Option<PathBuf>,
    },
}

impl GalleryUrl {
    /// One SQLite file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Sqlite(path.into()))
    }

    /// The SQLite file: of the gallery itself, or of the local copy of a server's; `None`: nothing is kept here.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Sqlite(path) => Some(path),
            Kind::Postgres { local, .. } => local.as_deref(),
        }
    }

    /// The file that names the products which the cell can meet; `None`: all.
    pub(crate) fn manifest(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Sqlite(_) => None,
            Kind::Postgres { manifest, .. } => manifest.as_deref(),
        }
    }

    /// True for a gallery that may be away although this machine is well.
    pub fn is_server(&self) -> bool {
        matches!(self.0, Kind::Postgres { .. })
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
            return server(text);
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

/// Takes `local` and `manifest` out of the query; the rest is PostgreSQL's own.
fn server(text: &str) -> Result<GalleryUrl, StoreError> {
    let (base, query) = text.split_once('?').unwrap_or((text, ""));
    let (mut kept, mut local, mut manifest) = (Vec::new(), None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let ours = match key {
            "local" => &mut local,
            "manifest" => &mut manifest,
            _ if !value.is_empty() => {
                kept.push(pair);
                continue;
            }
            _ => return Err(StoreError::Address(format!("`{pair}` names nothing"))),
        };
        if value.is_empty() {
            return Err(StoreError::Address(format!("`{pair}` names nothing")));
        }
        let path = percent_decode_str(value).decode_utf8().map_err(|e| StoreError::Address(format!("{key}: {e}")))?;
        *ours = Some(PathBuf::from(path.into_owned()));
    }
    let address = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    // What PostgreSQL's own words say may hold the password: only the cause is told.
    let config: postgres::Config = address.parse().map_err(|e| StoreError::Address(crate::postgres::said(&e)))?;
    if config.get_hosts().is_empty() {
        return Err(StoreError::Address("it names no host".into()));
    }
    Ok(GalleryUrl(Kind::Postgres { address, local, manifest }))
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", GalleryUrl(self.clone()))
    }
}

/// Without passwords: it stands in logs.
impl fmt::Display for GalleryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = match &self.0 {
            Kind::Sqlite(path) => return write!(f, "sqlite:{}", path.display()),
            Kind::Postgres { address, .. } => address,
        };
        let Ok(config) = address.parse::<postgres::Config>() else { return f.write_str("postgres://?") };
        let hosts: Vec<String> = config
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
        let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
        write!(f, "postgres://{user}{}/{database}", hosts.join(","))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_url_names_a_file_or_a_server() {
        let path = |text: &str| text.parse::<GalleryUrl>().unwrap().path().unwrap().to_owned();
        assert_eq!(path("sqlite:a/b.sqlite"), Path::new("a/b.sqlite"));
        assert_eq!(path("sqlite:///a/b"), Path::new("/a/b"));
        assert_eq!(path("g.db"), Path::new("g.db"));
        assert!(matches!("folder".parse::<GalleryUrl>(), Err(StoreError::Url(_))));
        assert!(GalleryUrl::is_meant_by("sqlite:x") && !GalleryUrl::is_meant_by("references/"));

        let fleet: GalleryUrl =
            "postgres://cell:secret@db.plant:6543/gallery?connect_timeout=2&local=/var/lib/my%20copy.sqlite".parse().unwrap();
        assert_eq!((fleet.to_string().as_str(), fleet.is_server()), ("postgres://cell@db.plant/gallery", true));
        assert_eq!(fleet.path(), Some(Path::new("/var/lib/my copy.sqlite")));
        assert!(!format!("{fleet:?}").contains("secret"), "a password stands in no log");
        let part: GalleryUrl = "postgres://cell@db/g?manifest=today.txt&local=copy.sqlite".parse().unwrap();
        assert_eq!((part.manifest(), part.path()), (Some(Path::new("today.txt")), Some(Path::new("copy.sqlite"))));
        let socket: GalleryUrl = "postgresql://postgres@/fleet?host=/run/pg".parse().unwrap();
        assert_eq!((socket.to_string().as_str(), socket.path()), ("postgres://postgres@/run/pg/fleet", None));
    }

    #[test]
    fn an_address_that_is_wrong_says_so_without_its_password() {
        for wrong in
            ["postgres://u:secret@h:port/db", "postgres://u:secret@h/db?nonsense=1", "postgres://u:secret@h/db?local=", "postgres://"]
        {
            let said = wrong.parse::<GalleryUrl>().unwrap_err().to_string();
            assert!(said.contains("address is wrong") && !said.contains("secret"), "{said}");
        }
    }
}
