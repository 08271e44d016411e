#![allow(clippy::unwrap_used)]
use super::*;
use matching::{Gallery, GalleryOptions};
use vision::ColorImage;

fn new(product: &str, seed: u32) -> NewReference {
    let pixel = |i: u32| if (i % 48 / 7 + i / 48 / 5 + seed).is_multiple_of(3) { [20, seed as u8, 40] } else { [220, 190, 90] };
    let color = ColorImage::new(48, 40, (0..48 * 40).flat_map(pixel).collect()).unwrap();
    NewReference {
        product: product.into(),
        name: None,
        cutout: Cutout::masked(color, (0..48 * 40).map(|i| i % 48 > 3)).unwrap(),
        camera: "camera".into(),
        provenance: format!("test {seed}"),
        version: 1,
        state: State::Active,
        added_by: "tester".into(),
        added_ns: i64::from(seed),
    }
}

fn store() -> (tempfile::TempDir, GalleryUrl, Store) {
    let dir = tempfile::tempdir().unwrap();
    let url = GalleryUrl::sqlite(dir.path().join("deep/gallery.sqlite"));
    let store = Store::open(&url).unwrap();
    (dir, url, store)
}

fn names(store: &Store) -> Vec<String> {
    let (enrolled, bad) = store.enrolled(None, &FeatureOptions::default()).unwrap();
    assert!(bad.is_empty());
    enrolled.iter().map(|e| format!("{}/{}", e.picture.product, e.picture.name)).collect()
}

#[test]
fn what_is_enrolled_comes_back_pixel_by_pixel_with_its_features() {
    let (_dir, url, mut store) = store();
    let options = FeatureOptions::default();
    let (asked, other) = (new("tea", 1), new("tea", 2));
    let record = store.enrol(&asked, &options).unwrap();
    assert_eq!((record.name.as_str(), record.state, record.width), ("0000", State::Active, 48));
    store.enrol(&other, &options).unwrap();
    drop(store);
    let store = Store::open_for_reading(&url).unwrap();
    let (enrolled, _) = store.enrolled(None, &options).unwrap();
    assert_eq!(enrolled[0].picture.cutout.color(), asked.cutout.color());
    assert_eq!(enrolled[0].picture.cutout.foreground(), asked.cutout.foreground());
    assert!(enrolled.iter().all(|e| e.features.as_ref().is_some_and(|f| !f.is_empty())));
    let fresh: Vec<Enrolled> = enrolled.iter().map(|e| e.picture.clone().into()).collect();
    let gallery = |pictures: Vec<Enrolled>| Gallery::new(pictures, GalleryOptions::default()).0.version().to_owned();
    assert_eq!(gallery(enrolled), gallery(fresh));
    let other_options = FeatureOptions { work_px: 77, ..options };
    assert!(store.enrolled(None, &other_options).unwrap().0.iter().all(|e| e.features.is_none()));
    assert!(store.check().unwrap().is_empty());
}

#[test]
fn the_same_picture_twice_and_odd_names_are_refused() {
    let (_dir, _, mut store) = store();
    store.enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
    assert!(matches!(store.enrol(&new("tea", 1), &FeatureOptions::default()), Err(StoreError::Duplicate { name, .. }) if name == "0000"));
    store.enrol(&new("coffee", 1), &FeatureOptions::default()).unwrap();
    assert!(matches!(store.enrol(&new("../tea", 1), &FeatureOptions::default()), Err(StoreError::ProductName(_))));
    assert_eq!(store.history(None).unwrap().len(), 2);
}

#[test]
fn retiring_and_rolling_back_leave_a_history() {
    let (_dir, _, mut store) = store();
    for seed in 0..3 {
        store.enrol(&new("tea", seed), &FeatureOptions::default()).unwrap();
    }
    let by = |ns: i64| ("tester", "retire", ns);
    assert_eq!(store.set_state("tea", Some("0001"), State::Retired, by(10)).unwrap(), ["0001"]);
    assert_eq!(names(&store), ["tea/0000", "tea/0002"]);
    assert_eq!(store.set_state("tea", None, State::Retired, by(11)).unwrap(), ["0000", "0002"]);
    assert!(names(&store).is_empty());
    assert_eq!(store.roll_back("tea", None, "tester", 12).unwrap(), ["0000", "0002"]);
    assert_eq!(names(&store), ["tea/0000", "tea/0002"]);
    // To the first event: what came later is retired.
    assert_eq!(store.roll_back("tea", Some(1), "tester", 13).unwrap(), ["0002"]);
    assert_eq!(names(&store), ["tea/0000"]);
    assert!(store.set_state("tea", Some("0009"), State::Retired, by(14)).is_err());
    assert!(matches!(store.roll_back("coffee", None, "tester", 15), Err(StoreError::Unknown(_))));
    let history = store.history(Some("tea")).unwrap();
    assert_eq!(history.iter().filter(|e| e.action == "rollback").count(), 3);
    assert!(store.check().unwrap().is_empty());
    let changed = store.connection().execute("UPDATE history SET actor = 'nobody'", []);
    assert!(changed.unwrap_err().to_string().contains("append-only"));
}

#[test]
fn check_finds_a_picture_that_rotted() {
    let (_dir, _, mut store) = store();
    store.enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
    store.connection().execute("UPDATE pictures SET picture = x'00', state = 'retired'", []).unwrap();
    let found = store.check().unwrap();
    assert!(found.iter().any(|f| f.contains("not the one")) && found.iter().any(|f| f.contains("history")), "{found:?}");
}

#[test]
fn a_newer_a_foreign_and_a_cut_off_file_are_named() {
    let (dir, url, mut store) = store();
    for seed in 0..8 {
        store.enrol(&new("tea", seed), &FeatureOptions::default()).unwrap();
    }
    drop(store);
    let whole = fs::read(url.path()).unwrap();
    let newer = Connection::open(url.path()).unwrap();
    newer.pragma_update(None, "user_version", 9).unwrap();
    drop(newer);
    assert!(matches!(Store::open(&url), Err(StoreError::Newer { found: 9, .. })));
    assert!(matches!(Store::open_for_reading(&url), Err(StoreError::Newer { .. })));

    let foreign = GalleryUrl::sqlite(dir.path().join("foreign.db"));
    Connection::open(foreign.path()).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(Store::open(&foreign), Err(StoreError::Foreign(_))));

    let cut = GalleryUrl::sqlite(dir.path().join("cut.sqlite"));
    for kept in [whole.len() / 2, 5000, 50] {
        fs::write(cut.path(), &whole[..kept]).unwrap();
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
    let (_dir, _, mut store) = store();
    store.enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
    let pages: i64 = store.connection().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let _: i64 = store.connection().query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0)).unwrap();
    assert!(matches!(store.enrol(&new("tea", 2), &FeatureOptions::default()), Err(StoreError::Full(_))));
    assert_eq!(names(&store), ["tea/0000"]);
    assert!(store.check().unwrap().is_empty());
}

#[test]
fn two_writers_lose_nothing() {
    let (_dir, url, store) = store();
    drop(store);
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let url = &url;
            scope.spawn(move || {
                let mut store = Store::open(url).unwrap();
                for n in 0..12 {
                    store.enrol(&new("tea", 100 * writer + n), &FeatureOptions::default()).unwrap();
                }
            });
        }
    });
    let store = Store::open_for_reading(&url).unwrap();
    assert_eq!(names(&store).len(), 24);
    assert!(store.check().unwrap().is_empty());
}
