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
        origin: Origin::Enrolled,
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

fn act<'a>(action: &'a str, at_ns: i64) -> Act<'a> {
    Act { actor: "tester", action, at_ns, detail: "because" }
}

fn proposal(seed: u32, version: u32) -> NewReference {
    NewReference { state: State::Quarantined, origin: Origin::Learned, version, ..new("tea", seed) }
}

#[test]
fn a_file_of_version_1_is_read_as_it_is_and_brought_up_to_date_when_written() {
    let (_dir, url, mut store) = store();
    store.enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
    store.set_state("tea", Some("0000"), State::Retired, ("tester", "retire", 5)).unwrap();
    drop(store);
    // The same rows in the tables of version 1.
    let old = GalleryUrl::sqlite(url.path().with_file_name("old.sqlite"));
    let connection = Connection::open(old.path()).unwrap();
    schema::create_version_1(&connection).unwrap();
    connection.execute("ATTACH ?1 AS new", [url.path().display().to_string()]).unwrap();
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
    assert_eq!(kind(&reading.connection).unwrap().version, 1, "reading changes nothing");
    let history = reading.history(None).unwrap();
    drop(reading);

    let mut store = Store::open(&old).unwrap();
    assert_eq!((kind(&store.connection).unwrap().version, store.references("tea").unwrap()), (SCHEMA_VERSION, before));
    assert_eq!(store.history(None).unwrap(), history);
    assert!(store.check().unwrap().is_empty());
    let made = store.enrol(&proposal(2, 1), &FeatureOptions::default()).unwrap();
    store.settle("tea", std::slice::from_ref(&made.name), State::Rejected, act("reject", 7)).unwrap();
    assert_eq!(store.roll_back("tea", None, "tester", 8).unwrap(), [made.name]);
    assert!(store.connection().execute("DELETE FROM history", []).unwrap_err().to_string().contains("append-only"));
    assert!(store.connection().execute("DELETE FROM pictures", []).unwrap_err().to_string().contains("never deleted"));
}

#[test]
fn proposals_wait_with_who_agrees_and_are_settled_with_a_reason() {
    let (_dir, url, mut store) = store();
    store.enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
    let record = store.enrol(&proposal(2, 1), &FeatureOptions::default()).unwrap();
    assert!(!record.pristine && names(&store) == ["tea/0000"], "what waits is not compared with");
    for item in ["a", "b", "a"] {
        store.agree("tea", &record.name, item, 4).unwrap();
    }
    let waiting = store.proposals(Some("tea"), State::Quarantined).unwrap();
    assert_eq!((waiting.len(), waiting[0].agreeing.as_slice()), (1, &["a".to_owned(), "b".to_owned()][..]), "an item counts once");
    assert!(store.connection().execute("DELETE FROM sightings", []).unwrap_err().to_string().contains("append-only"));

    let before = store.foreign_changes().unwrap();
    let mut other = Store::open(&url).unwrap();
    other.settle("tea", std::slice::from_ref(&record.name), State::Active, act("promote", 5)).unwrap();
    assert_ne!(store.foreign_changes().unwrap(), before, "another connection's change is seen");
    assert!(!store.references("tea").unwrap()[1].pristine, "agreement makes it a reference, not a pristine one");
    store.settle("tea", std::slice::from_ref(&record.name), State::Retired, act("retire", 6)).unwrap();
    store.settle("tea", std::slice::from_ref(&record.name), State::Active, act("confirm", 7)).unwrap();
    assert!(store.references("tea").unwrap()[1].pristine, "a person vouches for it");
    assert!(matches!(store.settle("tea", &["none".into()], State::Active, act("confirm", 8)), Err(StoreError::Unknown(_))));
    assert_eq!(store.history(Some("tea")).unwrap().last().unwrap().detail, "because");
    store.connection().execute("INSERT INTO sightings VALUES ('tea', 'nowhere', 'x', 1)", []).unwrap();
    assert!(store.check().unwrap().iter().any(|f| f.contains("nowhere")));
}

#[test]
fn a_new_design_is_opened_settled_and_rolled_back() {
    let (_dir, _, mut store) = store();
    store.enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
    for seed in 2..5 {
        store.enrol(&proposal(seed, 2), &FeatureOptions::default()).unwrap();
    }
    store.note_design("tea", 2, true, act("design", 5)).unwrap();
    assert_eq!(store.open_designs().unwrap().get("tea"), Some(&2));
    assert_eq!(store.settle_design("tea", 2, State::Quarantined, State::Active, act("adopt", 6)).unwrap().len(), 3);
    store.note_design("tea", 2, false, act("design", 6)).unwrap();
    assert!(store.open_designs().unwrap().is_empty() && store.design_changes(None).unwrap().len() == 2);
    assert!(store.references("tea").unwrap().iter().all(|r| r.pristine), "an adopted design is measured by its own pictures");
    assert_eq!(store.settle_design("tea", 1, State::Active, State::Retired, act("retire", 7)).unwrap().len(), 1);
    assert_eq!(names(&store).len(), 3);
    // Back before the old design was retired, then before the new one was used.
    store.roll_back("tea", None, "tester", 8).unwrap();
    assert_eq!(names(&store).len(), 4);
    let first = store.history(Some("tea")).unwrap().iter().filter(|e| e.action != "adopt").nth(3).unwrap().sequence;
    store.roll_back("tea", Some(first), "tester", 9).unwrap();
    assert_eq!(names(&store), ["tea/0000"]);
    assert_eq!(store.proposals(None, State::Quarantined).unwrap().len(), 3);
    assert!(store.check().unwrap().is_empty());
    assert!(store.connection().execute("DELETE FROM design_changes", []).unwrap_err().to_string().contains("append-only"));
}
