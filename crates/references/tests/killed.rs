//! A writer is killed at any moment; what it had acknowledged is there, and nothing is half there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use matching::{Cutout, FeatureOptions};
use references::{Event, NewReference, Origin, State, Store, StoreError};
use support::Bench;
use vision::ColorImage;

const CHILD: &str = "REFERENCES_TEST_WRITES_TO";

fn reference(n: u32) -> NewReference {
    // Every picture is another one, and large enough to span many pages.
    let data = (0..64 * 64u32).flat_map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(n) >> 7).to_le_bytes()[..3].to_vec()).collect();
    NewReference {
        product: format!("p{}", n % 3),
        name: None,
        cutout: Cutout::whole(ColorImage::new(64, 64, data).unwrap()),
        camera: String::new(),
        light: String::new(),
        provenance: String::new(),
        version: 1,
        state: State::Active,
        origin: Origin::Enrolled,
        added_by: "child".into(),
        added_ns: i64::from(n),
    }
}

/// Not a test by itself: what the killed process runs.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let mut store = Store::open(&url.parse().unwrap()).unwrap();
    let known = store.history(None).unwrap().len() as u32;
    for n in known.. {
        let record = match store.enrol(&reference(n), &FeatureOptions::default()) {
            // A server may still have been at the last word of the one that was killed.
            Err(StoreError::Duplicate { .. }) => continue,
            enrolled => enrolled.unwrap(),
        };
        // Past the test harness's capture, and in one piece: a line that the kill tears says nothing.
        let line = format!("enrolled {}/{}\n", record.product, record.name);
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        // Changes of many references at once are killed, too.
        match n % 5 {
            3 => store.set_state(&record.product, None, State::Retired, ("child", "retire", i64::from(n))).map(drop).unwrap(),
            4 => store.roll_back(&record.product, None, "child", i64::from(n)).map(drop).unwrap(),
            _ => {}
        }
    }
}

/// The state of each reference by the history, in which no retirement stands half.
fn replayed(events: &[Event]) -> BTreeMap<(String, String), State> {
    let mut states = BTreeMap::new();
    let mut events = events.iter().peekable();
    while let Some(event) = events.next() {
        states.insert((event.product.clone(), event.reference.clone()), event.state);
        let goes_on = events.peek().is_some_and(|next| (next.at_ns, &next.action) == (event.at_ns, &event.action));
        if event.action == "retire" && !goes_on {
            let left = states.iter().find(|((product, _), state)| *product == event.product && **state == State::Active);
            assert!(left.is_none(), "event {}: {left:?} was left out", event.sequence);
        }
    }
    states
}

#[test]
fn a_killed_writer_leaves_everything_it_acknowledged_and_nothing_half() {
    Bench::each("killed writer", kill_writers_of);
}

fn kill_writers_of(bench: &Bench) {
    let mut acknowledged = Vec::new();
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, &bench.text)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // A few are written, however busy the machine is; then it is killed somewhere in the next ones.
        for _ in 0..=round % 4 {
            acknowledged.push(lines.next().expect("the child writes").unwrap());
        }
        std::thread::sleep(Duration::from_millis(3 + 7 * round % 40));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.map_while(Result::ok));

        let store = Store::open_for_reading(&bench.url).unwrap();
        assert_eq!(store.check().unwrap(), Vec::<String>::new(), "round {round}");
        let events = store.history(None).unwrap();
        let there: BTreeSet<String> = events.iter().map(|e| format!("enrolled {}/{}", e.product, e.reference)).collect();
        let missing: Vec<&String> = acknowledged.iter().filter(|line| !there.contains(*line)).collect();
        assert!(missing.is_empty(), "round {round}: acknowledged and lost: {missing:?}");
        let states = replayed(&events);
        let active = states.values().filter(|s| **s == State::Active).count();
        let (enrolled, bad) = store.enrolled(None, &FeatureOptions::default()).unwrap();
        assert!(bad.is_empty() && enrolled.len() == active, "round {round}: {} of {active} are in use", enrolled.len());
        for product in ["p0", "p1", "p2"] {
            for reference in store.references(product).unwrap_or_default() {
                let told = states.get(&(product.to_owned(), reference.name.clone()));
                assert_eq!(told, Some(&reference.state), "round {round}: {product}/{}", reference.name);
            }
        }
    }
    assert!(acknowledged.len() > 24, "the child wrote only {} references", acknowledged.len());
}
