//! Evidence comes in any order, late, twice or never; every item is decided exactly once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;

use common::{arrival, gallery, inspection, instance};
use disposition::{Desk, DeskConfig, Disposition, Evidence, GalleryInput, Had, Policy, Reason, Step, decide};
use proptest::prelude::*;

const MS: i64 = 1_000_000;

fn desk() -> Desk {
    Desk::new(DeskConfig { deadline_ns: 100 * MS, frame_wait_ns: 50 * MS, ..DeskConfig::default() })
}

fn decided(steps: Vec<Step>) -> Vec<Evidence> {
    let evidence = |step| match step {
        Step::Decide(evidence, _) => evidence,
        Step::Refuse(_) => Vec::new(),
    };
    steps.into_iter().flat_map(evidence).collect()
}

fn reasons(evidence: &Evidence) -> Vec<Reason> {
    decide(evidence, &Policy::default()).reasons
}

#[test]
fn decides_when_the_last_input_is_there_in_any_order() {
    for order in ["aig", "agi", "iag", "iga", "gai", "gia"] {
        let mut desk = desk();
        let mut all = Vec::new();
        for (n, input) in order.chars().enumerate() {
            assert!(all.is_empty(), "{order} decided before its last input");
            let now = n as i64;
            all.extend(decided(match input {
                'a' => desk.arrival(arrival("x"), now),
                'i' => desk.inspection(inspection("x"), now),
                _ => desk.gallery(gallery("x"), now),
            }));
        }
        assert_eq!(all.len(), 1, "{order}");
        assert_eq!(reasons(&all[0]), [Reason::Ok], "{order}");
        assert!(decided(desk.tick(i64::MAX)).is_empty(), "{order} decided twice");
    }
}

#[test]
fn the_deadline_decides_with_what_is_there() {
    let mut desk = desk();
    desk.arrival(arrival("x"), 0);
    assert_eq!(desk.next_deadline_ns(), Some(150 * MS)); // frame_wait + deadline
    assert!(decided(desk.inspection(inspection("x"), 20 * MS)).is_empty());
    assert_eq!(desk.next_deadline_ns(), Some(120 * MS)); // from the inspection
    assert!(desk.tick(120 * MS - 1).is_empty());
    let steps = desk.tick(120 * MS);
    let Some(Step::Decide(_, summary)) = steps.first() else { panic!("not decided") };
    assert!(summary.expired);
    assert_eq!(summary.had.to_string(), "had=arrival,inspection");
    assert_eq!(reasons(&decided(steps)[0]), [Reason::Deadline, Reason::MissingInput]);
    let late = desk.gallery(gallery("x"), 121 * MS);
    assert!(matches!(late.as_slice(), [Step::Refuse(_)]));
    assert_eq!((desk.counters().late, desk.counters().expired, desk.open_items()), (1, 1, 0));
}

#[test]
fn an_arrival_alone_and_an_inspection_alone_are_decided_too() {
    let mut desk = desk();
    desk.arrival(arrival("a"), 0);
    desk.inspection(inspection("b"), 0);
    desk.gallery(gallery("nobody"), 0);
    let all = decided(desk.tick(1_000 * MS));
    let ids: Vec<&str> = all.iter().map(|e| e.item_id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(all.iter().all(|e| decide(e, &Policy::default()).disposition == Disposition::Sideline));
    assert_eq!(desk.counters().orphans, 1);
}

#[test]
fn a_replay_reproduces_a_recorded_deadline() {
    for event_first in [true, false] {
        let mut desk = desk();
        let had = Had::parse("had=arrival,inspection").unwrap();
        let mut all = Vec::new();
        if event_first {
            assert!(desk.recorded_deadline("x", had.clone()).is_empty());
        }
        all.extend(decided(desk.arrival(arrival("x"), 0)));
        if !event_first {
            all.extend(decided(desk.recorded_deadline("x", had)));
        }
        assert!(all.is_empty(), "the recorded run had the inspection");
        assert!(decided(desk.gallery(gallery("x"), 0)).is_empty());
        all.extend(decided(desk.inspection(inspection("x"), 0)));
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].gallery, GalleryInput::Missing, "the recorded run had no report yet");
        assert_eq!(reasons(&all[0]), [Reason::Deadline, Reason::MissingInput]);
    }
    for text in ["had=", "had=arrival", "had=arrival,inspection,gallery", "had=arrival,inspection,gallery#1,gallery#12"] {
        assert_eq!(Had::parse(text).unwrap().to_string(), text);
    }
    for wrong in ["", "arrival", "had=tea", "had=gallery#x"] {
        assert_eq!(Had::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_clutter_is_decided_instance_by_instance() {
    let mut desk = desk();
    let mut announced = arrival("x");
    announced.clutter = true;
    let mut seen = inspection("x");
    seen.instances = vec![instance(2), instance(1)];
    desk.gallery(gallery("x#2"), 0); // before its item is known
    desk.arrival(announced, 0);
    assert!(decided(desk.inspection(seen, 0)).is_empty());
    let all = decided(desk.gallery(gallery("x#1"), 0));
    let ids: Vec<&str> = all.iter().map(|e| e.item_id.as_str()).collect();
    assert_eq!(ids, ["x#1", "x#2"]);
    assert!(all.iter().all(|e| reasons(e) == [Reason::Ok]));
    assert!(matches!(desk.gallery(gallery("x#1"), 0).as_slice(), [Step::Refuse(_)]));
}

#[test]
fn nothing_to_compare_is_decided_without_the_gallery() {
    for (change, reason) in [
        ((|i| i.ok = false) as fn(&mut disposition::Inspection), Reason::InspectionFailed),
        (|i| i.instances.clear(), Reason::NoItem),
        (|i| i.instances.push(instance(2)), Reason::MultipleItems),
    ] {
        for report_first in [true, false] {
            let mut desk = desk();
            let mut seen = inspection("x");
            change(&mut seen);
            if report_first {
                desk.gallery(gallery("x"), 0);
            }
            desk.arrival(arrival("x"), 0);
            let all = decided(desk.inspection(seen, 0));
            assert_eq!(reasons(&all[0])[0], reason);
            assert_eq!(all[0].gallery, GalleryInput::NotNeeded);
            if !report_first {
                assert_eq!(desk.gallery(gallery("x"), 1), [], "a report that nobody waited for is no surprise");
                assert_eq!(desk.counters().late, 0);
            }
        }
    }
}

#[test]
fn duplicates_and_contradictions_are_doubt() {
    let mut desk = desk();
    desk.arrival(arrival("x"), 0);
    desk.arrival(arrival("x"), 1);
    desk.inspection(inspection("x"), 2);
    assert_eq!(reasons(&decided(desk.gallery(gallery("x"), 3))[0]), [Reason::DuplicateItem]);
    let again = decided(desk.arrival(arrival("x"), 4));
    assert_eq!(reasons(&again[0])[0], Reason::DuplicateItem);
    assert_eq!(desk.counters().duplicate_arrivals, 2);

    desk.arrival(arrival("y"), 5);
    desk.inspection(inspection("y"), 6);
    desk.inspection(inspection("y"), 7); // the same again is no contradiction
    let mut other = inspection("y");
    other.damage_score = 0.2;
    desk.inspection(other, 8);
    assert_eq!(reasons(&decided(desk.gallery(gallery("y"), 9))[0]), [Reason::ContradictoryInput]);
    assert!(matches!(desk.arrival(arrival(""), 10).as_slice(), [Step::Refuse(_)]));
}

#[test]
fn a_clock_that_jumps_back_leaves_nothing_waiting() {
    let mut desk = desk();
    desk.tick(1_000_000 * MS);
    desk.arrival(arrival("x"), 1_000_000 * MS);
    let all = decided(desk.tick(5 * MS));
    assert!(reasons(&all[0]).contains(&Reason::ContradictoryInput));
    assert_eq!(desk.open_items(), 0);
}

#[test]
fn memory_is_bounded() {
    let mut desk = Desk::new(DeskConfig { max_open: 10, max_remembered: 20, ..DeskConfig::default() });
    let mut count = 0;
    for n in 0..1000 {
        count += decided(desk.arrival(arrival(&format!("i{n}")), n)).len();
        desk.gallery(gallery(&format!("nobody{n}")), n);
        assert!(desk.open_items() <= 10);
    }
    assert_eq!(count, 990);
    assert!(desk.counters().orphans > 900);
}

#[test]
fn reports_that_contradict_each_other_before_the_item_is_announced_are_not_sorted() {
    for (first, second) in [(0.95, 0.1), (0.1, 0.95)] {
        let mut desk = desk();
        for anomaly_score in [first, second] {
            assert!(decided(desk.gallery(disposition::Gallery { anomaly_score, ..gallery("x") }, 0)).is_empty());
        }
        desk.arrival(arrival("x"), 1);
        let all = decided(desk.inspection(inspection("x"), 2));
        assert_eq!(all.len(), 1);
        assert!(reasons(&all[0]).contains(&Reason::ContradictoryInput), "{first} then {second}: {:?}", reasons(&all[0]));
        assert_eq!(decide(&all[0], &Policy::default()).disposition, Disposition::Sideline);
    }
}

#[derive(Clone, Debug)]
enum Input {
    Arrival(u8, bool),
    Inspection(u8, bool, u8),
    Gallery(u8, Option<u8>),
    Tick(i64),
    Recorded(u8),
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        (0_u8..6, prop::bool::weighted(0.3)).prop_map(|(id, clutter)| Input::Arrival(id, clutter)),
        (0_u8..6, prop::bool::weighted(0.9), 0_u8..3).prop_map(|(id, ok, n)| Input::Inspection(id, ok, n)),
        (0_u8..6, prop::option::of(1_u8..3)).prop_map(|(id, k)| Input::Gallery(id, k)),
        (0_i64..200 * MS).prop_map(Input::Tick),
        (0_u8..6).prop_map(Input::Recorded),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn every_announced_item_is_decided_and_sorted_at_most_once(inputs in prop::collection::vec(any_input(), 0..60)) {
        let (mut desk, mut now) = (desk(), 0);
        let (mut decisions, mut sorted): (BTreeMap<String, usize>, BTreeMap<String, usize>) = Default::default();
        let mut announced = BTreeMap::<String, usize>::new();
        let mut all = Vec::new();
        for input in inputs {
            let steps = match input {
                Input::Arrival(id, clutter) => {
                    *announced.entry(format!("i{id}")).or_default() += 1;
                    desk.arrival(disposition::Arrival { clutter, ..arrival(&format!("i{id}")) }, now)
                }
                Input::Inspection(id, ok, n) => {
                    let instances = (1..=u16::from(n)).map(instance).collect();
                    desk.inspection(disposition::Inspection { ok, instances, ..inspection(&format!("i{id}")) }, now)
                }
                Input::Gallery(id, None) => desk.gallery(gallery(&format!("i{id}")), now),
                Input::Gallery(id, Some(k)) => desk.gallery(gallery(&format!("i{id}#{k}")), now),
                Input::Tick(by) => { now += by; desk.tick(now) }
                Input::Recorded(id) => desk.recorded_deadline(&format!("i{id}"), Had::parse("had=arrival,inspection").unwrap()),
            };
            all.extend(decided(steps));
        }
        all.extend(decided(desk.tick(i64::MAX)));
        prop_assert_eq!(desk.open_items(), 0);
        for e in &all {
            *decisions.entry(e.item_id.clone()).or_default() += 1;
            if decide(e, &Policy::default()).disposition == Disposition::Sort {
                *sorted.entry(e.item_id.clone()).or_default() += 1;
            }
        }
        prop_assert!(sorted.values().all(|n| *n == 1), "sorted twice: {:?}", sorted);
        for (id, times) in announced {
            let of_item = decisions.iter().filter(|(k, _)| **k == id || k.starts_with(&format!("{id}#"))).count();
            prop_assert!(of_item >= 1, "{} never decided", id);
            prop_assert!(decisions.get(&id).copied().unwrap_or(0) <= times, "{} decided more often than it came", id);
        }
    }
}
