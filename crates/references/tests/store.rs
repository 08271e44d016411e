//! What a gallery keeps and how it changes: the same on a SQLite file and on a PostgreSQL server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use matching::{Enrolled, FeatureOptions, Gallery, GalleryOptions};
use references::{Act, NewReference, Origin, State, Store, StoreError};
use support::{Bench, names, new, server};

#[test]
fn what_is_enrolled_comes_back_pixel_by_pixel_with_its_features() {
    Bench::each("what_is_enrolled_comes_back_pixel_by_pixel_with_its_features", |bench| {
        let mut store = bench.open();
        let options = FeatureOptions::default();
        let (asked, mut other) = (new("tea", 1), new("tea", 2));
        other.cutout = other.cutout.with_extent(matching::Extent::of_m([0.1, 0.203, 0.055]));
        let area = other.cutout.foreground().len();
        let heights = vision::HeightMap::new(48, area as u32 / 48, (0..area).map(|i| (i % 300) as u16).collect()).unwrap();
        other.cutout = other.cutout.with_heights(Some(heights.clone())).unwrap();
        other.light = "north window".into();
        let record = store.enrol(&asked, &options).unwrap();
        assert_eq!((record.name.as_str(), record.state, record.width), ("0000", State::Active, 48));
        store.enrol(&other, &options).unwrap();
        drop(store);
        let store = Store::open_for_reading(&bench.url).unwrap();
        let (enrolled, _) = store.enrolled(None, &options).unwrap();
        assert_eq!(enrolled[0].picture.cutout.color(), asked.cutout.color());
        assert_eq!(enrolled[0].picture.cutout.foreground(), asked.cutout.foreground());
        let sizes: Vec<Option<String>> = enrolled.iter().map(|e| e.picture.cutout.extent().map(|x| x.to_string())).collect();
        assert_eq!(sizes, [None, Some("203.0x100.0x55.0".into())]);
        let told: Vec<_> = store.references("tea").unwrap().into_iter().map(|r| (r.light, r.size_mm)).collect();
        assert_eq!(told, [(String::new(), None), ("north window".into(), Some("203.0x100.0x55.0".into()))]);
        assert_eq!(store.picture("tea", "0001").unwrap().extent(), enrolled[1].picture.cutout.extent());
        assert_eq!(store.picture("tea", "0001").unwrap().heights(), Some(&heights));
        assert_eq!(enrolled.iter().map(|e| e.picture.cutout.heights()).collect::<Vec<_>>(), [None, Some(&heights)]);
        assert!(enrolled.iter().all(|e| e.features.as_ref().is_some_and(|f| !f.is_empty())));
        let fresh: Vec<Enrolled> = enrolled.iter().map(|e| e.picture.clone().into()).collect();
        let gallery = |pictures: Vec<Enrolled>| Gallery::new(pictures, GalleryOptions::default()).0.version().to_owned();
        assert_eq!(gallery(enrolled), gallery(fresh));
        let other_options = FeatureOptions { work_px: 77, ..options };
        assert!(store.enrolled(None, &other_options).unwrap().0.iter().all(|e| e.features.is_none()));
        assert!(store.check().unwrap().is_empty());
    });
}

#[test]
fn the_same_picture_twice_and_odd_names_are_refused() {
    Bench::each("the_same_picture_twice_and_odd_names_are_refused", |bench| {
        let mut store = bench.open();
        store.enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
        assert!(
            matches!(store.enrol(&new("tea", 1), &FeatureOptions::default()), Err(StoreError::Duplicate { name, .. }) if name == "0000")
        );
        // Heights that came to be known since are kept, and better ones; what is the same is not written again.
        let heights_of = |mm: u16| {
            let NewReference { cutout, .. } = new("tea", 1);
            let (w, h) = (cutout.color().width(), cutout.color().height());
            vision::HeightMap::new(w, h, vec![mm; (w * h) as usize]).unwrap()
        };
        for (mm, lines) in [(40, 2), (50, 3), (50, 3)] {
            let mut again = new("tea", 1);
            again.cutout = again.cutout.with_heights(Some(heights_of(mm))).unwrap();
            assert!(matches!(store.enrol(&again, &FeatureOptions::default()), Err(StoreError::Duplicate { .. })));
            assert_eq!(store.picture("tea", "0000").unwrap().heights(), Some(&heights_of(mm)));
            assert_eq!(store.history(None).unwrap().len(), lines);
        }
        store.enrol(&new("coffee", 1), &FeatureOptions::default()).unwrap();
        assert!(matches!(store.enrol(&new("../tea", 1), &FeatureOptions::default()), Err(StoreError::ProductName(_))));
        assert_eq!(store.history(None).unwrap().len(), 4);
        assert!(store.check().unwrap().is_empty());
    });
}

#[test]
fn retiring_and_rolling_back_leave_a_history() {
    Bench::each("retiring_and_rolling_back_leave_a_history", |bench| {
        let mut store = bench.open();
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
        let never = store.roll_back("tea", Some(999), "tester", 15).unwrap_err().to_string();
        assert!(never.contains("event 999 of tea"), "{never}: nothing may be retired by a slip of the hand");
        let history = store.history(Some("tea")).unwrap();
        assert_eq!(history.iter().filter(|e| e.action == "rollback").count(), 3);
        assert!(store.check().unwrap().is_empty());
        let changed = bench.sql("UPDATE history SET actor = 'nobody'");
        assert!(changed.unwrap_err().contains("append-only"));
    });
}

#[test]
fn two_writers_lose_nothing() {
    Bench::each("two_writers_lose_nothing", |bench| {
        let store = bench.open();
        drop(store);
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let url = &bench.url;
                scope.spawn(move || {
                    let mut store = Store::open(url).unwrap();
                    for n in 0..12 {
                        store.enrol(&new("tea", 100 * writer + n), &FeatureOptions::default()).unwrap();
                    }
                });
            }
        });
        let store = Store::open_for_reading(&bench.url).unwrap();
        assert_eq!(names(&store).len(), 24);
        assert!(store.check().unwrap().is_empty());
    });
}

fn act<'a>(action: &'a str, at_ns: i64) -> Act<'a> {
    Act { actor: "tester", action, at_ns, detail: "because" }
}

fn proposal(seed: u32, version: u32) -> NewReference {
    NewReference { state: State::Quarantined, origin: Origin::Learned, version, ..new("tea", seed) }
}

#[test]
fn proposals_wait_with_who_agrees_and_are_settled_with_a_reason() {
    Bench::each("proposals_wait_with_who_agrees_and_are_settled_with_a_reason", |bench| {
        let mut store = bench.open();
        store.enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
        let record = store.enrol(&proposal(2, 1), &FeatureOptions::default()).unwrap();
        assert!(!record.pristine && names(&store) == ["tea/0000"], "what waits is not compared with");
        for item in ["a", "b", "a"] {
            store.agree("tea", &record.name, item, 4).unwrap();
        }
        let waiting = store.proposals(Some("tea"), State::Quarantined).unwrap();
        assert_eq!((waiting.len(), waiting[0].agreeing.as_slice()), (1, &["a".to_owned(), "b".to_owned()][..]), "an item counts once");
        assert!(bench.sql("DELETE FROM sightings").unwrap_err().contains("append-only"));

        let before = store.foreign_changes().unwrap();
        let mut other = Store::open(&bench.url).unwrap();
        other.settle("tea", std::slice::from_ref(&record.name), State::Quarantined, State::Active, act("promote", 5)).unwrap();
        assert_ne!(store.foreign_changes().unwrap(), before, "another connection's change is seen");
        assert!(!store.references("tea").unwrap()[1].pristine, "agreement makes it a reference, not a pristine one");
        store.settle("tea", std::slice::from_ref(&record.name), State::Active, State::Retired, act("retire", 6)).unwrap();
        let late = store.settle("tea", std::slice::from_ref(&record.name), State::Quarantined, State::Rejected, act("reject", 7)).unwrap();
        assert!(late.is_empty(), "who comes too late changes nothing");
        store.settle("tea", std::slice::from_ref(&record.name), State::Retired, State::Active, act("confirm", 7)).unwrap();
        assert!(store.references("tea").unwrap()[1].pristine, "a person vouches for it");
        assert!(matches!(
            store.settle("tea", &["none".into()], State::Quarantined, State::Active, act("confirm", 8)),
            Err(StoreError::Unknown(_))
        ));
        assert_eq!(store.history(Some("tea")).unwrap().last().unwrap().detail, "because");
        store.set_state("tea", None, State::Retired, ("tester", "retire", 8)).unwrap();
        store.roll_back("tea", None, "tester", 9).unwrap();
        let back = &store.references("tea").unwrap()[1];
        assert!(back.pristine && back.state == State::Active, "taking it out and putting it back takes nobody's word back");
        bench.sql("INSERT INTO sightings VALUES ('tea', 'nowhere', 'x', 1)").unwrap();
        assert!(store.check().unwrap().iter().any(|f| f.contains("nowhere")));
    });
}

#[test]
fn a_new_design_is_opened_settled_and_rolled_back() {
    Bench::each("a_new_design_is_opened_settled_and_rolled_back", |bench| {
        let mut store = bench.open();
        store.enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
        let pictures: Vec<NewReference> = (2..5).map(|seed| proposal(seed, 2)).collect();
        let options = FeatureOptions::default();
        let odd = NewReference { product: "no/name".into(), ..proposal(9, 2) };
        let half = [pictures[0].clone(), odd];
        assert!(store.open_design(("tea", 2), &half, &options, act("design", 4)).is_err());
        assert!(store.open_designs().unwrap().is_empty() && store.references("tea").unwrap().len() == 1, "all of it or nothing");
        assert_eq!(store.open_design(("tea", 2), &pictures, &options, act("design", 5)).unwrap().len(), 3);
        assert_eq!(store.open_designs().unwrap().get("tea"), Some(&2));
        assert_eq!(store.design_in_use("tea").unwrap(), 1, "a suspected design is not in use");
        assert_eq!(store.close_design("tea", 2, State::Active, act("adopt", 6)).unwrap().len(), 3);
        assert_eq!((store.design_in_use("tea").unwrap(), store.design_in_use("coffee").unwrap()), (2, 1));
        assert!(matches!(store.close_design("tea", 2, State::Active, act("adopt", 6)), Err(StoreError::NothingWaits { .. })));
        assert!(store.open_designs().unwrap().is_empty() && store.design_changes(None).unwrap().len() == 2);
        assert!(store.references("tea").unwrap().iter().all(|r| r.pristine), "an adopted design is measured by its own pictures");
        assert_eq!(store.settle_design("tea", 1, State::Active, State::Retired, act("retire", 7)).unwrap().len(), 1);
        assert_eq!(names(&store).len(), 3);
        // Back before the old design was retired, then before the new one was used.
        store.roll_back("tea", None, "tester", 8).unwrap();
        assert_eq!(names(&store).len(), 4);
        assert_eq!(store.use_design("tea", 1, "tester", 8).unwrap().len(), 3, "the new design is retired, the old one stays");
        assert_eq!((names(&store), store.design_in_use("tea").unwrap()), (vec!["tea/0000".to_owned()], 1));
        assert_eq!(store.use_design("tea", 2, "tester", 8).unwrap().len(), 4);
        assert_eq!((names(&store).len(), store.design_in_use("tea").unwrap()), (3, 2));
        assert!(matches!(store.use_design("tea", 3, "tester", 8), Err(StoreError::Unknown(_))) && names(&store).len() == 3);
        store.roll_back("tea", None, "tester", 8).unwrap();
        let first = store.history(Some("tea")).unwrap().iter().filter(|e| e.action != "adopt").nth(3).unwrap().sequence;
        store.roll_back("tea", Some(first), "tester", 9).unwrap();
        assert_eq!(names(&store), ["tea/0000"]);
        assert_eq!(store.proposals(None, State::Rejected).unwrap().len(), 3, "what a person takes back does not wait to come again");
        store.set_state("tea", None, State::Retired, ("tester", "retire", 10)).unwrap();
        assert_eq!(store.proposals(None, State::Rejected).unwrap().len(), 3, "and stays refused");
        assert!(store.check().unwrap().is_empty());
        assert!(bench.sql("DELETE FROM design_changes").unwrap_err().contains("append-only"));
    });
}

/// What waits is no reference yet, also when its product was retired meanwhile.
#[test]
fn going_back_to_a_design_puts_nothing_into_use_that_never_was() {
    Bench::each("going_back_to_a_design", |bench| {
        let mut store = bench.open();
        let options = FeatureOptions::default();
        store.enrol(&new("tea", 1), &options).unwrap();
        store.enrol(&proposal(7, 1), &options).unwrap();
        store.set_state("tea", None, State::Retired, ("tester", "retire", 8)).unwrap();
        assert!(names(&store).is_empty());
        assert_eq!(store.use_design("tea", 1, "tester", 9).unwrap().len(), 1);
        assert_eq!(names(&store), ["tea/0000"]);
    });
}

#[test]
fn check_finds_a_picture_that_rotted_and_a_guard_that_is_off() {
    Bench::each("check", |bench| {
        let mut store = bench.open();
        store.enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
        let rotten = if bench.url.is_server() { "'\\x00'" } else { "x'00'" };
        bench.sql(&format!("UPDATE pictures SET picture = {rotten}, state = 'retired'")).unwrap();
        let found = store.check().unwrap();
        assert!(found.iter().any(|f| f.contains("not the one")) && found.iter().any(|f| f.contains("history")), "{found:?}");
        if bench.url.is_server() {
            bench.sql("ALTER TABLE history DISABLE TRIGGER history_refuses").unwrap();
            assert!(store.check().unwrap().iter().any(|f| f.contains("history_refuses")));
        }
    });
}

#[test]
fn a_newer_a_foreign_and_an_empty_server_are_named() {
    let Some(server) = server("newer") else { return };
    let bench = Bench::postgres(server);
    assert!(matches!(Store::open_for_reading(&bench.url), Err(StoreError::Missing(_))), "reading makes nothing");
    bench.sql("CREATE TABLE public.products (other TEXT)").unwrap();
    drop(bench.open());
    assert_eq!(Store::open_for_reading(&bench.url).unwrap().products().unwrap(), [], "other tables in the database do no harm");
    bench.sql("UPDATE meta SET version = 9").unwrap();
    for opened in [Store::open(&bench.url), Store::open_for_reading(&bench.url)] {
        assert!(matches!(&opened, Err(StoreError::Newer { found: 9, .. })), "{opened:?}");
        assert!(opened.unwrap_err().to_string().contains("update intact"));
    }
    let foreign = Bench::postgres(server);
    foreign.sql("CREATE SCHEMA intact_gallery; CREATE TABLE intact_gallery.other (x TEXT)").unwrap();
    assert!(matches!(Store::open(&foreign.url), Err(StoreError::Foreign(_))));
    assert!(matches!(Store::open_for_reading(&foreign.url), Err(StoreError::Foreign(_))));
    let nowhere = foreign.text.replace("/gallery_", "/nowhere_").parse().unwrap();
    let said = Store::open(&nowhere).unwrap_err();
    assert!(!said.is_unreachable() && said.to_string().contains("does not exist"), "a wrong name is no outage: {said}");
}

#[test]
fn a_server_of_version_2_is_brought_up_to_date() {
    let Some(server) = server("version 2") else { return };
    let bench = Bench::postgres(server);
    bench.open().enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
    bench
        .sql(
            "ALTER TABLE pictures DROP COLUMN embedding; ALTER TABLE pictures DROP COLUMN size_mm; ALTER TABLE pictures DROP COLUMN light;
             ALTER TABLE pictures DROP COLUMN IF EXISTS embedding_vector;
             ALTER TABLE pictures ADD COLUMN embedding vector(400); UPDATE meta SET version = 2",
        )
        .unwrap();
    // Who only reads reads it as it is.
    assert_eq!(names(&Store::open_for_reading(&bench.url).unwrap()), ["tea/0000"]);
    let network = matching::Embedder::new("net@1", |_, _| Ok(vec![0.6, 0.8]));
    let mut store = bench.open().with_embedder(Some(network));
    store.enrol(&new("tea", 2), &FeatureOptions::default()).unwrap();
    let kept = |store: &Store| store.enrolled(None, &FeatureOptions::default()).unwrap().0.iter().filter(|e| e.embedding.is_some()).count();
    assert_eq!((kept(&store), store.embed_missing().unwrap(), kept(&store)), (1, 1, 2));
    assert!(store.check().unwrap().is_empty());
    drop(store);
    assert_eq!(names(&bench.open()).len(), 2);
}

#[test]
fn a_user_who_may_not_write_reads_and_is_told() {
    let Some(server) = server("read-only user") else { return };
    let bench = Bench::postgres(server);
    bench.open().enrol(&new("tea", 1), &FeatureOptions::default()).unwrap();
    let user = bench.text.rsplit_once("/gallery_").unwrap().1.split_once('?').unwrap().0;
    bench
        .sql(&format!(
            "CREATE ROLE reader_{user} LOGIN; GRANT USAGE ON SCHEMA intact_gallery TO reader_{user};
             GRANT SELECT ON ALL TABLES IN SCHEMA intact_gallery TO reader_{user}"
        ))
        .unwrap();
    let url = bench.text.replace("postgres:@", &format!("reader_{user}@")).parse().unwrap();
    let mut store = Store::open(&url).unwrap();
    assert_eq!(names(&store), ["tea/0000"]);
    let refused = store.enrol(&new("tea", 2), &FeatureOptions::default());
    assert!(matches!(&refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
    assert!(store.check().unwrap().is_empty() && names(&store).len() == 1);
}

#[test]
fn pgvector_finds_the_picture_that_looks_alike() {
    let Some(server) = server("pgvector") else { return };
    let bench = Bench::postgres(server);
    // A network that sees nothing but how much of each colour there is.
    let network = matching::Embedder::new("net@1", |color, _| {
        let sums = color.data().chunks(color.data().len() / 128).map(|c| c.iter().map(|v| f32::from(*v) - 128.0).sum());
        let mut vector: Vec<f32> = sums.take(128).collect();
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|v| *v /= length);
        Ok(vector)
    });
    let mut store = bench.open().with_embedder(Some(network));
    for seed in [1, 90, 180] {
        store.enrol(&new(&format!("p{seed}"), seed), &FeatureOptions::default()).unwrap();
    }
    // A look of its own is the nearest to each picture, by pgvector's own operator.
    bench
        .sql(
            "DO $$ BEGIN IF EXISTS (SELECT 1 FROM pictures a WHERE (SELECT b.id FROM pictures b
             ORDER BY a.embedding_vector <=> b.embedding_vector, b.id LIMIT 1) <> a.id OR a.embedding_vector IS NULL OR a.embedding IS NULL)
             THEN RAISE EXCEPTION 'not the nearest'; END IF; END $$",
        )
        .unwrap();
}
