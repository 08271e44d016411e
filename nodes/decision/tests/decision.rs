//! The decision node in process: written before it is commanded, in time, once, and never sorted in doubt.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use common::{Bench, PATIENCE, arrival, bench, inspection, report};
use disposition::Ledger;
use intact_msgs::msg::{CellEvent, Decision, GalleryReport, Outcome};
use node_kit::{Mode, NodeOverrides, RunningNode};

fn sort_one(bench: &Bench, id: &str) -> Arc<Decision> {
    bench.arrivals.publish(arrival(id)).unwrap();
    bench.inspections.publish(inspection(id)).unwrap();
    bench.reports.publish(report(id)).unwrap();
    bench.decision()
}

#[test]
fn writes_then_publishes_then_commands() {
    let bench = bench(Mode::Live, NodeOverrides::default(), true);
    // When the decision is heard, the ledger has it.
    let (path, found) = (bench.ledger.clone(), Arc::new(Mutex::new(None)));
    let kept = Arc::clone(&found);
    let _spy = bench
        .node
        .subscribe("decision", transport::Qos::event(), move |m: Arc<Decision>| {
            let rows = Ledger::open(&path).unwrap().decisions("test").unwrap();
            *kept.lock().unwrap() = Some(rows.iter().any(|r| r.item_id == m.item_id && r.lane == m.lane));
        })
        .unwrap();
    let decision = sort_one(&bench, "a");
    assert_eq!(decision.disposition, Decision::SORT);
    assert_eq!(decision.reasons, [Decision::OK]);
    assert_eq!((decision.lane.as_str(), decision.product.as_str()), ("sort_a", "cup"));
    assert!(decision.pick_pose_valid && decision.pick_pose.header.frame_id == "camera_color_optical_frame");
    assert!(decision.latency_ms >= 25.0, "perception alone took 25 ms: {}", decision.latency_ms);
    // The robot gets the pose in its own frame: 0.9 m below a camera that looks down from 1 m over the tray's middle.
    let goal = bench.goals.recv_timeout(PATIENCE).unwrap();
    let p = &goal.pick_pose.pose.position;
    assert_eq!((goal.item_id.as_str(), goal.pick_pose.header.frame_id.as_str()), ("a", "cell"));
    assert!((p.x - 0.65).abs() < 1e-9 && p.y.abs() < 1e-9 && (p.z - 0.1).abs() < 1e-9, "{p:?}");
    bench.wait_event(CellEvent::ITEM_DONE, "a");
    assert_eq!(*found.lock().unwrap(), Some(true));
    let ledger = Ledger::open(&bench.ledger).unwrap();
    bench.eventually(|| ledger.outcomes("test").unwrap().iter().any(|o| o.item_id == "a" && o.result == "DIVERTED"));
    assert_eq!(ledger.verify().unwrap(), 1);
}

#[test]
fn without_a_transform_nothing_is_sorted_or_moved() {
    let bench = bench(Mode::Live, NodeOverrides::default(), false);
    let decision = sort_one(&bench, "a");
    assert_eq!((decision.disposition, decision.reasons.as_slice()), (Decision::SIDELINE, [Decision::NO_TRANSFORM.to_owned()].as_slice()));
    let outcome = bench.outcomes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(outcome.result, Outcome::LEFT_FOR_PERSON);
    assert!(bench.goals.try_recv().is_err(), "the robot was commanded");
}

#[test]
fn the_deadline_is_kept_and_recorded() {
    let overrides = NodeOverrides::default().set("deadline_ms", 400_i64).set("frame_wait_ms", 0_i64);
    let bench = bench(Mode::Live, overrides, true);
    let started = Instant::now();
    bench.arrivals.publish(arrival("a")).unwrap();
    bench.inspections.publish(inspection("a")).unwrap();
    let decision = bench.decision();
    let taken = started.elapsed();
    assert!(decision.deadline_expired && taken >= Duration::from_millis(390) && taken < PATIENCE, "{taken:?}");
    assert_eq!(decision.reasons, [Decision::DEADLINE, Decision::MISSING_INPUT]);
    assert_eq!(bench.wait_event(CellEvent::DEADLINE_EXPIRED, "a"), "had=arrival,inspection");
    bench.reports.publish(report("a")).unwrap(); // too late
    bench.wait_event(CellEvent::INPUT_REFUSED, "a");
    assert!(bench.decisions.recv_timeout(Duration::from_millis(100)).is_err(), "decided twice");
}

#[test]
fn a_replay_takes_the_recorded_deadline() {
    let bench = bench(Mode::Lockstep, NodeOverrides::default(), true);
    let event = CellEvent {
        kind: CellEvent::DEADLINE_EXPIRED,
        item_id: "a".into(),
        detail: "had=arrival,inspection".into(),
        ..CellEvent::default()
    };
    bench.recorded.publish(event).unwrap();
    let decision = sort_one(&bench, "a");
    assert!(decision.deadline_expired && decision.anomaly_score.is_nan());
    assert_eq!(decision.reasons, [Decision::DEADLINE, Decision::MISSING_INPUT]);
}

#[test]
fn in_lockstep_a_deadline_waits_for_those_who_still_work() {
    for finishes in [true, false] {
        let bench = bench(Mode::Lockstep, NodeOverrides::default(), true);
        bench.arrivals.publish(arrival("a")).unwrap();
        let working = bench.node.context().activity().begin(); // perception, say
        bench.clock(60_000);
        assert!(bench.decisions.recv_timeout(Duration::from_millis(80)).is_err(), "decided while others worked");
        if finishes {
            bench.inspections.publish(inspection("a")).unwrap();
            bench.reports.publish(report("a")).unwrap();
        }
        drop(working);
        let decision = bench.decision();
        assert_eq!(decision.disposition == Decision::SORT, finishes, "{:?}", decision.reasons);
        assert!(bench.node.context().activity().wait_idle(PATIENCE));
    }
}

#[test]
fn a_ledger_that_fails_sorts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let overrides = NodeOverrides::default().set("ledger_path", folder.path().display().to_string());
    let bench = bench(Mode::Live, overrides, true);
    let decision = sort_one(&bench, "a");
    assert_eq!((decision.disposition, decision.reasons[0].as_str()), (Decision::SIDELINE, Decision::LEDGER_FAILED));
    assert_eq!(decision.lane, "sideline");
    assert_eq!(bench.outcomes.recv_timeout(PATIENCE).unwrap().result, Outcome::LEFT_FOR_PERSON);
    assert!(bench.goals.try_recv().is_err(), "commanded what is not written down");
}

#[test]
fn an_id_is_sorted_once_even_across_a_restart() {
    let first = bench(Mode::Live, NodeOverrides::default(), true);
    assert_eq!(sort_one(&first, "a").disposition, Decision::SORT);
    assert_eq!(sort_one(&first, "b").disposition, Decision::SORT);
    first.arrivals.publish(arrival("a")).unwrap();
    let again = first.decision();
    assert_eq!((again.disposition, again.reasons[0].as_str()), (Decision::SIDELINE, Decision::DUPLICATE_ITEM));
    let overrides = NodeOverrides::default().set("ledger_path", first.ledger.display().to_string());
    let restarted = bench(Mode::Live, overrides, true);
    let again = sort_one(&restarted, "b");
    assert_eq!((again.disposition, again.reasons[0].as_str()), (Decision::SIDELINE, Decision::DUPLICATE_ITEM));
    assert!(restarted.goals.recv_timeout(Duration::from_millis(100)).is_err(), "commanded an id that was seen twice");
    assert_eq!(Ledger::open(&first.ledger).unwrap().duplicates("test").unwrap(), ["a", "b"]);
}

#[test]
fn a_slow_robot_delays_no_decision() {
    let bench = bench(Mode::Live, NodeOverrides::default(), true);
    *bench.motion.lock().unwrap() = 10 * PATIENCE;
    for n in 0..6 {
        // Each decision is awaited for less long than the robot needs for one item.
        sort_one(&bench, &format!("i{n}"));
    }
    assert!(bench.goals.try_recv().is_err(), "the robot is still at its first item");
}

#[test]
fn a_divert_that_takes_too_long_ends_as_the_robot_says() {
    let bench = bench(Mode::Live, NodeOverrides::default().set("robot_timeout_s", 0.3), true);
    *bench.motion.lock().unwrap() = 10 * PATIENCE;
    sort_one(&bench, "a");
    // This robot had the item in its bin when it was told to stop.
    assert_eq!(bench.goals.recv_timeout(PATIENCE).unwrap().item_id, "a");
    let ledger = Ledger::open(&bench.ledger).unwrap();
    bench.eventually(|| ledger.outcomes("test").unwrap().iter().any(|o| o.item_id == "a"));
    assert_eq!(ledger.outcomes("test").unwrap()[0].result, "DIVERTED");
    assert!(bench.outcomes.try_recv().is_err(), "the robot tells the outcome, nobody else contradicts it");
}

/// Both scores and both models are on the message and in the ledger; the alarm that is taken back is named.
#[test]
fn what_was_judged_beside_the_reference_is_kept_with_who_judged_it() {
    let bench = bench(Mode::Live, NodeOverrides::default(), true);
    let mut seen = inspection("a");
    (seen.damage_score, seen.instances[0].damage_score) = (0.9, 0.9);
    let beside = GalleryReport { is_rejudged: true, damage_rejudged: 0.2, model: "comparison.onnx@1".into(), ..report("a") };
    bench.arrivals.publish(arrival("a")).unwrap();
    bench.inspections.publish(seen).unwrap();
    bench.reports.publish(beside).unwrap();
    let decision = bench.decision();
    assert_eq!(
        (decision.disposition, decision.reasons.as_slice()),
        (Decision::SORT, [Decision::OK.to_owned(), Decision::EXPLAINED_AWAY.to_owned()].as_slice())
    );
    assert_eq!((decision.damage_score, decision.damage_rejudged), (0.9, 0.2));
    assert_eq!((decision.model.as_str(), decision.comparison_model.as_str()), ("classical", "comparison.onnx@1"));
    let without = sort_one(&bench, "b");
    assert!(without.damage_rejudged.is_nan() && without.comparison_model.is_empty());
    let rows = Ledger::open(&bench.ledger).unwrap().decisions("test").unwrap();
    let kept: Vec<_> = rows.iter().map(|r| (r.damage_score, r.damage_rejudged, r.model.as_str(), r.comparison_model.as_str())).collect();
    assert_eq!(kept, [(Some(0.9), Some(0.2), "classical", "comparison.onnx@1"), (Some(0.1), None, "classical", "")]);
}

#[test]
fn a_clutter_is_decided_item_by_item() {
    let bench = bench(Mode::Lockstep, NodeOverrides::default(), true);
    let mut announced = arrival("a");
    announced.clutter = true;
    let mut seen = inspection("a");
    let mut second = seen.instances[0].clone();
    second.instance_id = 2;
    second.damage_score = 0.9;
    seen.damage_score = 0.9;
    seen.instances.push(second);
    bench.arrivals.publish(announced).unwrap();
    bench.inspections.publish(seen).unwrap();
    bench.reports.publish(report("a#2")).unwrap();
    bench.reports.publish(report("a#1")).unwrap();
    let (one, two) = (bench.decision(), bench.decision());
    assert_eq!((one.item_id.as_str(), one.disposition), ("a#1", Decision::SORT));
    assert_eq!((two.item_id.as_str(), two.disposition, two.damage_score), ("a#2", Decision::SIDELINE, 0.9));
}

#[test]
fn without_a_robot_the_item_is_left_and_the_line_goes_on() {
    let bench = common::bench_without_robot(NodeOverrides::default().set("robot_wait_s", 0.1));
    assert_eq!(sort_one(&bench, "a").disposition, Decision::SORT);
    let outcome = bench.outcomes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(outcome.result, Outcome::LEFT_FOR_PERSON);
    assert!(outcome.message.contains("robot"), "{}", outcome.message);
}

#[test]
fn stopping_decides_what_is_open() {
    let bench = bench(Mode::Live, NodeOverrides::default(), true);
    bench.arrivals.publish(arrival("a")).unwrap();
    bench.wait_handled();
    bench.decision_node.deactivate().unwrap();
    let decision = bench.decision();
    assert_eq!((decision.item_id.as_str(), decision.disposition), ("a", Decision::SIDELINE));
    let outcomes = Ledger::open(&bench.ledger).unwrap().outcomes("test").unwrap();
    assert!(outcomes.iter().any(|o| o.item_id == "a" && o.result == "LEFT_FOR_PERSON"), "what became of it is written down: {outcomes:?}");
    bench.decision_node.activate().unwrap();
    assert_eq!(sort_one(&bench, "b").disposition, Decision::SORT);
}

/// The cell was told to stop while an item waited for the robot: a robot that turns up then must not move it.
#[test]
fn a_robot_that_turns_up_while_the_cell_stops_is_sent_nothing() {
    let bench = common::bench_without_robot(NodeOverrides::default().set("robot_wait_s", 20.0));
    assert_eq!(sort_one(&bench, "a").disposition, Decision::SORT);
    let (goals, done) = mpsc::channel();
    let (node, motion) = (bench.node.clone(), Arc::clone(&bench.motion));
    let robot = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        common::start_robot(&node, goals, &motion)
    });
    std::thread::sleep(Duration::from_millis(500)); // by now the item waits for the robot
    let begun = Instant::now();
    bench.decision_node.deactivate().unwrap();
    let stopped_after = begun.elapsed();
    let _robot = robot.join().unwrap();
    assert!(stopped_after < Duration::from_secs(10), "who stops does not wait for a robot: {stopped_after:?}");
    assert!(done.try_recv().is_err(), "the robot moved the item of a cell that was stopped");
    let outcome = bench.outcomes.recv_timeout(PATIENCE).unwrap();
    assert_eq!((outcome.item_id.as_str(), outcome.result), ("a", Outcome::LEFT_FOR_PERSON));
    assert!(outcome.message.contains("stopped"), "{}", outcome.message);
    bench.decision_node.activate().unwrap();
    sort_one(&bench, "b");
    assert_eq!(done.recv_timeout(PATIENCE).unwrap().item_id, "b", "a cell that runs again commands the robot again");
    bench.wait_event(CellEvent::ITEM_DONE, "b");
}

#[test]
fn thresholds_change_while_it_runs_and_bad_policies_are_refused() {
    let bench = bench(Mode::Live, NodeOverrides::default(), true);
    assert_eq!(sort_one(&bench, "a").disposition, Decision::SORT);
    bench.decision_node.ports().node.parameters().set("anomaly_threshold", 0.01).unwrap();
    assert_eq!(sort_one(&bench, "b").reasons, [Decision::ANOMALY]);
    let context = transport::Context::new(transport::ContextOptions::in_process()).unwrap();
    let bad = NodeOverrides::default().set("lanes", vec!["cup".to_owned()]);
    let error = node_kit::launch::<decision::Decision>(&context, bad, Mode::Live).err().unwrap().to_string();
    assert!(error.contains("lanes") && error.contains("key=value"), "{error}");
}

#[test]
fn the_default_parameters_are_the_default_policy() {
    assert_eq!(decision::DecisionParams::default().policy().unwrap(), disposition::Policy::default());
}

#[test]
fn the_readme_holds_the_parameters() {
    let table = node_kit::schema::markdown::<decision::DecisionParams>();
    assert!(include_str!("../README.md").contains(&table), "README.md must contain:\n{table}");
}
