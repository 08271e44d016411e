//! A gallery on a server that may go away: the cell goes on with its local copy, and takes up the server's state when it is back.

use std::collections::BTreeSet;

use crate::manifest;
use crate::postgres::Postgres;
use crate::sqlite::LocalCopy;
use crate::url::Kind;
use crate::{GalleryUrl, Store, StoreError};

/// How a store stands to its server.
#[derive(Debug)]
pub(crate) struct Reach {
    url: GalleryUrl,
    /// Why the server cannot be reached; `None`: it is there.
    away: Option<String>,
    /// The local copy, open for being brought up to date.
    copy: Option<LocalCopy>,
}

/// A fresh connection, made without holding the store ([`Store::connect`]).
#[derive(Debug)]
pub struct Connection(Postgres);

impl Reach {
    pub fn open(url: &GalleryUrl) -> Result<Store, StoreError> {
        let copy = url.path().map(LocalCopy::open).transpose()?;
        match Store::connect(url) {
            Ok(Connection(server)) => {
                let reach = Self { url: url.clone(), away: None, copy };
                let mut store = Store { tables: Box::new(server), reach: Some(reach), embedder: None };
                store.sync()?;
                Ok(store)
            }
            Err(error) => Self::local(url, error, copy),
        }
    }

    pub fn open_for_reading(url: &GalleryUrl) -> Result<Store, StoreError> {
        match Postgres::open_for_reading(address(url), url.to_string()) {
            Ok(server) => {
                let reach = Self { url: url.clone(), away: None, copy: None };
                Ok(Store { tables: Box::new(server), reach: Some(reach), embedder: None })
            }
            Err(error) => Self::local(url, error, None),
        }
    }

    /// The local copy, when that is all there is.
    fn local(url: &GalleryUrl, error: StoreError, copy: Option<LocalCopy>) -> Result<Store, StoreError> {
        let tables = match (error.is_unreachable(), url.path()) {
            (true, Some(path)) => LocalCopy::read_only(path)?,
            _ => None,
        };
        // An empty copy is no gallery: a cell that would know nothing says why.
        let Some(tables) = tables else { return Err(error) };
        let reach = Self { url: url.clone(), away: Some(reason(&error)), copy };
        Ok(Store { tables: Box::new(tables), reach: Some(reach), embedder: None })
    }
}

/// PostgreSQL's part of the URL; a file has none.
fn address(url: &GalleryUrl) -> &str {
    match &url.0 {
        Kind::Postgres { address, .. } => address,
        Kind::Sqlite(_) => "",
    }
}

/// What happened, without the gallery's name.
fn reason(error: &StoreError) -> String {
    match error {
        StoreError::Unreachable { detail, .. } | StoreError::Away { detail, .. } => detail.clone(),
        other => other.to_string(),
    }
}

impl Store {
    /// Why the server cannot be reached, while the local copy is read instead; `None`: all is well.
    pub fn away(&self) -> Option<&str> {
        self.reach.as_ref().and_then(|reach| reach.away.as_deref())
    }

    /// Connects to the server of `url`, makes the tables where there are none. This takes seconds when nobody answers, and
    /// holds no store: give it to [`Store::come_back`].
    ///
    /// # Errors
    /// When the server cannot be reached, or has no gallery of this version.
    pub fn connect(url: &GalleryUrl) -> Result<Connection, StoreError> {
        Postgres::open(address(url), url.to_string()).map(Connection)
    }

    /// Goes on with the server over a fresh connection, and brings the local copy up to date.
    ///
    /// # Errors
    /// When the copy cannot be brought up to date; the server is used all the same.
    pub fn come_back(&mut self, connection: Connection) -> Result<(), StoreError> {
        let Some(reach) = &mut self.reach else { return Ok(()) };
        self.tables = Box::new(connection.0);
        reach.away = None;
        self.sync()
    }

    /// After a failure: when the server is gone and there is a local copy, goes on with the copy. True when it does so from now
    /// on, or nothing is known any more because there is no copy.
    pub fn fall_back(&mut self, error: &StoreError) -> bool {
        let Some(reach) = self.reach.as_mut().filter(|reach| reach.away.is_none() && error.is_unreachable()) else { return false };
        reach.away = Some(reason(error));
        match reach.url.path().map(LocalCopy::read_only) {
            Some(Ok(Some(copy))) => self.tables = Box::new(copy),
            Some(Err(error)) => tracing::error!(%error, "the local copy of the gallery cannot be read"),
            Some(Ok(None)) | None => {}
        }
        true
    }

    /// Brings the local copy up to date with the server; nothing to do without either.
    ///
    /// # Errors
    /// When the server cannot be read, or the copy cannot be written.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        let Some(Reach { copy: Some(copy), away: None, url }) = &mut self.reach else { return Ok(()) };
        copy.take(&*self.tables, manifest::of(url)?.as_ref()).map(drop)
    }

    /// The products that this cell can meet; `None`: all.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub(crate) fn manifest(&self) -> Result<Option<BTreeSet<String>>, StoreError> {
        self.reach.as_ref().map_or(Ok(None), |reach| manifest::of(&reach.url))
    }

    /// The server's name, for messages.
    pub(crate) fn server_place(&self) -> String {
        self.reach.as_ref().map_or_else(|| self.tables.place().to_owned(), |reach| reach.url.to_string())
    }
}
