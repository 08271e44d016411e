//! The server goes away in mid-run: a cell goes on with its local copy, and takes up the server's state when it is back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use matching::FeatureOptions;
use references::{Act, GalleryUrl, NewReference, Origin, State, Store, StoreError};
use support::{Bench, names, new, server};

fn act<'a>(action: &'a str, at_ns: i64) -> Act<'a> {
    Act { actor: "tester", action, at_ns, detail: "because" }
}

/// The bench's gallery with a local copy in its folder.
fn with_copy(bench: &Bench) -> GalleryUrl {
    format!("{}&local={}", bench.text, bench.dir.path().join("copy.sqlite").display()).parse().unwrap()
}

fn enrol(store: &mut Store, new: &NewReference) -> Result<references::ReferenceRecord, StoreError> {
    store.enrol(new, &FeatureOptions::default())
}

/// Servers take a moment to come up.
fn connect(url: &GalleryUrl) -> references::Connection {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match Store::connect(url) {
            Ok(connection) => return connection,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// One test: it kills the server that all tests of a program share.
#[test]
fn a_cell_outlives_its_server_and_takes_up_what_others_changed() {
    let Some(server) = server("a server that goes away") else { return };
    let bench = Bench::postgres(server);
    let url = with_copy(&bench);
    let copy = GalleryUrl::sqlite(url.path().unwrap());

    // Before anything is copied, there is nothing to go on with.
    let mut store = Store::open(&url).unwrap();
    assert!(store.away().is_none());
    for seed in 0..4 {
        enrol(&mut store, &new("tea", seed)).unwrap();
    }
    enrol(&mut store, &NewReference { state: State::Quarantined, origin: Origin::Learned, ..new("tea", 9) }).unwrap();
    store.agree("tea", "0004", "an item", 5).unwrap();
    store.open_design(("tea", 2), &[], &FeatureOptions::default(), act("design", 6)).unwrap();
    store.set_state("tea", Some("0001"), State::Retired, ("tester", "retire", 7)).unwrap();
    store.sync().unwrap();
    let (before, history) = (names(&store), store.history(None).unwrap());

    server.tell("kill");
    let error = store.foreign_changes().unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert!(store.fall_back(&error) && store.away().is_some());
    assert_eq!((names(&store), store.history(None).unwrap()), (before.clone(), history.clone()), "the copy knows the same");
    assert_eq!(store.proposals(None, State::Quarantined).unwrap()[0].agreeing, ["an item"]);
    assert_eq!(store.open_designs().unwrap().get("tea"), Some(&2));
    assert!(store.check().unwrap().is_empty());
    let refused = enrol(&mut store, &new("tea", 20)).unwrap_err();
    assert!(matches!(&refused, StoreError::Away { .. }) && refused.to_string().contains("nothing was changed"), "{refused}");

    // Another start, and people who only look, find the copy; without one there is nothing.
    let started = Store::open(&url).unwrap();
    assert!(started.away().is_some() && names(&started) == before);
    assert_eq!(names(&Store::open_for_reading(&url).unwrap()), before);
    assert_eq!(names(&Store::open_for_reading(&copy).unwrap()), before);
    assert!(Store::open(&bench.url).unwrap_err().is_unreachable());
    let empty: GalleryUrl = format!("{}&local={}", bench.text, bench.dir.path().join("empty.sqlite").display()).parse().unwrap();
    assert!(Store::open(&empty).unwrap_err().is_unreachable(), "an empty copy is no gallery");

    server.tell("start");
    let mut other = Store::open(&bench.url).unwrap();
    assert_eq!((names(&other), other.history(None).unwrap()), (before, history), "what was acknowledged survived the server's death");
    enrol(&mut other, &new("coffee", 30)).unwrap();
    other.set_state("tea", Some("0000"), State::Retired, ("tester", "retire", 8)).unwrap();
    store.come_back(connect(&url)).unwrap();
    assert!(store.away().is_none());
    assert_eq!(names(&store), names(&other));
    enrol(&mut store, &new("tea", 20)).unwrap();
    store.sync().unwrap();

    // The copy has taken up all of it, and nobody else may write into it.
    let copied = Store::open_for_reading(&copy).unwrap();
    assert_eq!((names(&copied), copied.history(None).unwrap()), (names(&other), other.history(None).unwrap()));
    assert!(copied.check().unwrap().is_empty());
    assert!(matches!(Store::open(&copy), Err(StoreError::IsCopy(_))));
    copy_of_another(&bench, server);
    a_copy_of_what_is_on_the_manifest(server);
    a_transaction_is_cut_off(&bench, server);
}

/// Each cell keeps the products that it can meet, and no others.
fn a_copy_of_what_is_on_the_manifest(server: &support::Server) {
    let bench = Bench::postgres(server);
    let mut others = bench.open();
    for (seed, product) in ["tea", "tea", "jam", "coffee"].into_iter().enumerate() {
        enrol(&mut others, &new(product, seed as u32)).unwrap();
    }
    let (manifest, copy) = (bench.dir.path().join("today.txt"), bench.dir.path().join("part.sqlite"));
    let url: GalleryUrl = format!("{}&local={}&manifest={}", bench.text, copy.display(), manifest.display()).parse().unwrap();
    assert!(Store::open(&url).unwrap_err().to_string().contains("today.txt"), "a manifest that is not there is no permission for all");
    let copied = || Store::open_for_reading(&GalleryUrl::sqlite(&copy)).unwrap();

    std::fs::write(&manifest, "tea\n").unwrap();
    let mut store = Store::open(&url).unwrap();
    assert_eq!(names(&store), ["tea/0000", "tea/0001"], "the server's gallery, as far as this cell can meet it");
    assert_eq!(names(&copied()), ["tea/0000", "tea/0001"]);
    assert!(copied().check().unwrap().is_empty(), "{:?}", copied().check());

    // Tomorrow another product comes, which was enrolled long ago; what happens to the others is not copied.
    enrol(&mut others, &new("coffee", 9)).unwrap();
    others.set_state("tea", Some("0000"), State::Retired, ("tester", "retire", 8)).unwrap();
    // Heights that come later come into the copy, too.
    let mut measured = new("tea", 1);
    let size = (measured.cutout.color().width(), measured.cutout.color().height());
    let heights = vision::HeightMap::new(size.0, size.1, vec![30; (size.0 * size.1) as usize]).unwrap();
    measured.cutout = measured.cutout.with_heights(Some(heights.clone())).unwrap();
    assert!(matches!(enrol(&mut others, &measured), Err(StoreError::Duplicate { .. })));
    std::fs::write(&manifest, "tea\njam\n").unwrap();
    store.sync().unwrap();
    assert_eq!(copied().picture("tea", "0001").unwrap().heights(), Some(&heights));
    assert_eq!(names(&copied()), ["jam/0000", "tea/0001"]);
    assert_eq!(names(&store), names(&copied()));
    assert!(copied().check().unwrap().is_empty());
    // And a cell without a manifest makes it whole.
    let whole: GalleryUrl = format!("{}&local={}", bench.text, copy.display()).parse().unwrap();
    assert_eq!(names(&Store::open(&whole).unwrap()), names(&others));
    assert_eq!(names(&copied()), names(&others));
    assert!(copied().check().unwrap().is_empty());
}

/// A file that holds something else is left alone.
fn copy_of_another(bench: &Bench, server: &support::Server) {
    let second = Bench::postgres(server);
    enrol(&mut second.open(), &new("milk", 1)).unwrap();
    let mixed = format!("{}&local={}", second.text, bench.dir.path().join("copy.sqlite").display()).parse().unwrap();
    assert!(matches!(Store::open(&mixed), Err(StoreError::OtherCopy { .. })));
    let own = Bench::sqlite();
    enrol(&mut own.open(), &new("milk", 1)).unwrap();
    let own = format!("{}&local={}", second.text, own.url.path().unwrap().display()).parse().unwrap();
    assert!(matches!(Store::open(&own), Err(StoreError::NoCopy(_))));
}

/// Many changes in one transaction, and the server dies somewhere in them: all or none is there.
fn a_transaction_is_cut_off(bench: &Bench, server: &support::Server) {
    let url = with_copy(bench);
    for round in 0..3u64 {
        let mut store = Store::open(&url).unwrap();
        let killed_after = Duration::from_millis(10 + 37 * round);
        let written = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(killed_after);
                server.tell("kill");
            });
            let mut written = Vec::new();
            for n in 0..100_000 {
                match enrol(&mut store, &new("sugar", 1000 * (round as u32 + 1) + n)) {
                    Ok(record) => written.push(record.name),
                    // The same few pixels come again after a while.
                    Err(StoreError::Duplicate { .. }) => {}
                    Err(error) => {
                        assert!(error.is_unreachable(), "{error}");
                        break;
                    }
                }
            }
            written
        });
        server.tell("start");
        let store = {
            store.come_back(connect(&url)).unwrap();
            store
        };
        assert_eq!(store.check().unwrap(), Vec::<String>::new(), "round {round}");
        let there = names(&store);
        let lost: Vec<&String> = written.iter().filter(|name| !there.contains(&format!("sugar/{name}"))).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
    }
}
