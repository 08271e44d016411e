#![allow(clippy::unwrap_used)]
use super::*;
use crate::{Act, GalleryUrl, NewReference, Origin, State, Store};
use matching::{Cutout, FeatureOptions};
use vision::ColorImage;

fn new(seed: u32) -> NewReference {
    let pixel = |i: u32| if (i % 48 / 7 + i / 48 / 5 + seed).is_multiple_of(3) { [20, seed as u8, 40] } else { [220, 190, 90] };
    NewReference {
        product: "tea".into(),
        name: None,
        cutout: Cutout::whole(ColorImage::new(48, 40, (0..48 * 40).flat_map(pixel).collect()).unwrap()),
        camera: "camera".into(),
        light: String::new(),
        provenance: format!("test {seed}"),
        version: 1,
        state: State::Active,
        origin: Origin::Enrolled,
        added_by: "tester".into(),
        added_ns: i64::from(seed),
    }
}

fn proposal(seed: u32) -> NewReference {
    NewReference { state: State::Quarantined, origin: Origin::Learned, ..new(seed) }
}

fn act<'a>(action: &'a str, at_ns: i64) -> Act<'a> {
    Act { actor: "tester", action, at_ns, detail: "because" }
}

fn store() -> (tempfile::TempDir, GalleryUrl, Store) {
    let dir = tempfile::tempdir().unwrap();
    let url = GalleryUrl::sqlite(dir.path().join("deep/gallery.sqlite"));
    let store = Store::open(&url).unwrap();
    (dir, url, store)
}

/// The file past the store.
fn raw(url: &GalleryUrl) -> Connection {
    Connection::open(url.path().unwrap()).unwrap()
}

#[test]
fn a_newer_a_foreign_and_a_cut_off_file_are_named() {
    let (dir, url, mut store) = store();
    for seed in 0..8 {
        store.enrol(&new(seed), &FeatureOptions::default()).unwrap();
    }
    drop(store);
    let whole = fs::read(url.path().unwrap()).unwrap();
    let newer = raw(&url);
    newer.pragma_update(None, "user_version", 9).unwrap();
    drop(newer);
    assert!(matches!(Store::open(&url), Err(StoreError::Newer { found: 9, .. })));
    assert!(matches!(Store::open_for_reading(&url), Err(StoreError::Newer { .. })));

    let foreign = GalleryUrl::sqlite(dir.path().join("foreign.db"));
    raw(&foreign).execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(Store::open(&foreign), Err(StoreError::Foreign(_))));

    let cut = GalleryUrl::sqlite(dir.path().join("cut.sqlite"));
    for kept in [whole.len() / 2, 5000, 50] {
        fs::write(cut.path().unwrap(), &whole[..kept]).unwrap();
        let opened = Store::open_for_reading(&cut);
        let checked = opened.and_then(|store| store.check());
        assert!(
            matches!(&checked, Err(StoreError::Damaged { .. })) || checked.as_ref().is_ok_and(|found| !found.is_empty()),
            "{kept} bytes: {checked:?}"
        );
    }
    assert!(matches!(Store::open_for_reading(&GalleryUrl::sqlite(dir.path().join("none"))), Err(StoreError::Missing(_))));
}

#[test]
fn a_full_disk_changes_nothing() {
    let (_dir, url, mut store) = store();
    store.enrol(&new(1), &FeatureOptions::default()).unwrap();
    drop(store);
    let file = Sqlite::open(url.path().unwrap()).unwrap();
    let pages: i64 = file.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let _: i64 = file.connection().query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0)).unwrap();
    let mut store = Store { tables: Box::new(file), reach: None, embedder: None };
    assert!(matches!(store.enrol(&new(2), &FeatureOptions::default()), Err(StoreError::Full(_))));
    assert_eq!(store.products().unwrap()[0].active, 1);
    assert!(store.check().unwrap().is_empty());
}

#[test]
fn a_file_of_version_2_gets_room_for_embeddings() {
    let (_dir, url, mut store) = store();
    store.enrol(&new(1), &FeatureOptions::default()).unwrap();
    drop(store);
    let old = GalleryUrl::sqlite(url.path().unwrap().with_file_name("old.sqlite"));
    let connection = raw(&old);
    schema::create_version_2(&connection).unwrap();
    connection.execute("ATTACH ?1 AS new", [url.path().unwrap().display().to_string()]).unwrap();
    let columns = "id, product, name, width, height, picture, mask, depth, camera, features, n_features, provenance, version, state, \
                   added_ns, added_by, sha256, origin";
    connection
        .execute_batch(&format!(
            "INSERT INTO products SELECT * FROM new.products; INSERT INTO pictures SELECT {columns} FROM new.pictures;
             INSERT INTO history SELECT * FROM new.history;"
        ))
        .unwrap();
    drop(connection);
    let options = FeatureOptions::default();
    let reading = Store::open_for_reading(&old).unwrap();
    assert_eq!(reading.enrolled(None, &options).unwrap().0[0].embedding, None);
    assert_eq!(kind(&raw(&old)).unwrap().version, 2, "reading changes nothing");
    drop(reading);
    let network = matching::Embedder::new("net@1", |_, _| Ok(vec![0.6, 0.8]));
    let mut store = Store::open(&old).unwrap().with_embedder(Some(network));
    store.enrol(&new(2), &options).unwrap();
    let kept: Vec<_> = store.enrolled(None, &options).unwrap().0.into_iter().map(|e| e.embedding.map(|e| e.vector)).collect();
    assert_eq!(kept, [None, Some(vec![0.6, 0.8])]);
    // What was there before gets its vector, once; another network makes all anew.
    assert_eq!((store.embed_missing().unwrap(), store.embed_missing().unwrap()), (1, 0));
    let mut store = store.with_embedder(Some(matching::Embedder::new("net@2", |_, _| Ok(vec![1.0, 0.0]))));
    assert_eq!((store.embed_missing().unwrap(), store.embed_missing().unwrap()), (2, 0));
    let kept: Vec<_> = store.enrolled(None, &options).unwrap().0.into_iter().map(|e| e.embedding.map(|e| e.model)).collect();
    assert_eq!(kept, [Some("net@2".to_owned()), Some("net@2".to_owned())]);
    assert!(store.check().unwrap().is_empty());
}

#[test]
fn a_file_of_version_1_is_read_as_it_is_and_brought_up_to_date_when_written() {
    let (_dir, url, mut store) = store();
    store.enrol(&new(1), &FeatureOptions::default()).unwrap();
    store.set_state("tea", Some("0000"), State::Retired, ("tester", "retire", 5)).unwrap();
    drop(store);
    // The same rows in the tables of version 1.
    let old = GalleryUrl::sqlite(url.path().unwrap().with_file_name("old.sqlite"));
    let connection = raw(&old);
    schema::create_version_1(&connection).unwrap();
    connection.execute("ATTACH ?1 AS new", [url.path().unwrap().display().to_string()]).unwrap();
    let columns = "id, product, name, width, height, picture, mask, depth, camera, features, n_features, provenance, version, state, \
                   added_ns, added_by, sha256";
    connection
        .execute_batch(&format!(
            "INSERT INTO products SELECT * FROM new.products; INSERT INTO pictures SELECT {columns} FROM new.pictures;
             INSERT INTO history SELECT * FROM new.history;"
        ))
        .unwrap();
    drop(connection);

    let reading = Store::open_for_reading(&old).unwrap();
    let before = reading.references("tea").unwrap();
    assert!(before[0].pristine && before[0].state == State::Retired && reading.open_designs().unwrap().is_empty());
    assert!(reading.check().unwrap().is_empty() && reading.proposals(None, State::Quarantined).unwrap().is_empty());
    assert_eq!(kind(&raw(&old)).unwrap().version, 1, "reading changes nothing");
    let history = reading.history(None).unwrap();
    drop(reading);

    let mut store = Store::open(&old).unwrap();
    assert_eq!((kind(&raw(&old)).unwrap().version, store.references("tea").unwrap()), (SCHEMA_VERSION, before));
    assert_eq!(store.history(None).unwrap(), history);
    assert!(store.check().unwrap().is_empty());
    let made = store.enrol(&proposal(2), &FeatureOptions::default()).unwrap();
    store.settle("tea", std::slice::from_ref(&made.name), State::Quarantined, State::Rejected, act("reject", 7)).unwrap();
    assert_eq!(store.roll_back("tea", None, "tester", 8).unwrap(), [made.name]);
    assert!(raw(&old).execute("DELETE FROM history", []).unwrap_err().to_string().contains("append-only"));
    assert!(raw(&old).execute("DELETE FROM pictures", []).unwrap_err().to_string().contains("never deleted"));
}
