//! Actions within one process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod shared;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use intact_msgs::action::DivertItem;
use ros_interfaces::action_msgs::msg::{GoalStatus, GoalStatusArray};
use shared::{LONG, Robot, eventually, goal};
use transport::{ActionClient, ActionError, ActionOutcome, ActionServerHandle, Context, ContextOptions, Node, NodeOptions, Qos};

fn cell() -> (Node, ActionServerHandle, ActionClient<DivertItem>) {
    let context = Context::new(ContextOptions::in_process()).unwrap();
    let node = context.node(NodeOptions::new("robot")).unwrap();
    let server = node.action_server("divert_item", Robot).unwrap();
    let client = context.node(NodeOptions::new("decision")).unwrap().action_client("divert_item").unwrap();
    (node, server, client)
}

#[test]
fn a_goal_brings_feedback_in_order_and_a_result() {
    let (node, _server, client) = cell();
    let phases = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&phases);
    let outcome = client.send(goal("ok", "A1"), move |feedback| sink.lock().unwrap().push(feedback.phase), LONG).unwrap();
    assert!(matches!(&outcome, ActionOutcome::Succeeded(result) if result.success));
    assert_eq!(*phases.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
    assert!(node.context().activity().wait_idle(LONG));
}

#[test]
fn rejected_and_aborted_goals_say_why() {
    let (_node, _server, client) = cell();
    match client.send(goal("x", "nowhere"), |_| {}, LONG) {
        Err(ActionError::Rejected { reason, .. }) => assert_eq!(reason, "no lane `nowhere`"),
        other => panic!("{other:?}"),
    }
    let outcome = client.send(goal("unreachable", "A1"), |_| {}, LONG).unwrap();
    assert!(matches!(&outcome, ActionOutcome::Aborted(result) if result.message == "out of reach"));
}

#[test]
fn a_running_goal_is_cancelled_and_time_runs_out() {
    let (node, _server, client) = cell();
    let active = client.start(goal("slow", "A1"), |_| {}, LONG).unwrap();
    assert!(active.cancel(LONG).unwrap());
    assert!(matches!(active.wait(LONG).unwrap(), ActionOutcome::Canceled(_)));
    assert!(!client.cancel(active.id(), LONG).unwrap(), "it has ended");

    let started = Instant::now();
    let late = client.send(goal("slow", "A1"), |_| {}, Duration::from_millis(50));
    assert!(matches!(late, Err(ActionError::Timeout { .. })) && started.elapsed() < LONG);
    assert!(node.context().activity().wait_idle(LONG), "the late goal was asked to cancel");

    let waiting: Vec<_> = (0..3).map(|_| client.start(goal("slow", "A1"), |_| {}, LONG).unwrap()).collect();
    assert_eq!(client.cancel_all(LONG).unwrap(), 3);
    assert!(waiting.iter().all(|goal| matches!(goal.wait(LONG), Ok(ActionOutcome::Canceled(_)))));
}

#[test]
fn goals_run_one_after_another_and_their_status_is_latched() {
    let (node, _server, client) = cell();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            std::thread::spawn(move || client.send(goal("ok", "A1"), |_| {}, LONG).unwrap())
        })
        .collect();
    assert!(threads.into_iter().all(|thread| matches!(thread.join().unwrap(), ActionOutcome::Succeeded(_))));
    let last = Arc::new(Mutex::new(None));
    let sink = Arc::clone(&last);
    let _status = node
        .subscribe("divert_item/_action/status", Qos::latched(), move |status: Arc<GoalStatusArray>| {
            *sink.lock().unwrap() = Some(status);
        })
        .unwrap();
    // A result may be out before the status that follows it.
    let complete = eventually(LONG, || {
        let last = last.lock().unwrap();
        let goals = last.as_ref().map_or(&[][..], |status| &status.status_list);
        goals.len() == 8 && goals.iter().all(|goal| goal.status == GoalStatus::STATUS_SUCCEEDED)
    });
    assert!(complete, "{:?}", last.lock().unwrap());
}

#[test]
fn a_server_cancels_what_has_come_and_takes_what_comes_next() {
    let (node, server, client) = cell();
    let before: Vec<_> = (0..3).map(|_| client.start(goal("slow", "A1"), |_| {}, LONG).unwrap()).collect();
    server.cancel_all();
    let ran = Arc::new(AtomicBool::new(false));
    let running = Arc::clone(&ran);
    let after = client.start(goal("slow", "A1"), move |_| running.store(true, Ordering::SeqCst), LONG).unwrap();
    assert!(before.iter().all(|goal| matches!(goal.wait(LONG), Ok(ActionOutcome::Canceled(_)))), "the running one and those that waited");
    assert!(eventually(LONG, || ran.load(Ordering::SeqCst)), "a later goal is carried out");
    assert!(after.cancel(LONG).unwrap() && node.context().activity().wait_idle(LONG));
}

#[test]
fn dropping_the_server_cancels_its_goal_and_frees_the_name() {
    let (node, server, client) = cell();
    let active = client.start(goal("slow", "A1"), |_| {}, LONG).unwrap();
    drop(server);
    assert!(matches!(client.send(goal("ok", "A1"), |_| {}, Duration::from_millis(20)), Err(ActionError::NoServer { .. })));
    drop(active);
    let _again = node.action_server("divert_item", Robot).unwrap();
    assert!(client.send(goal("ok", "A1"), |_| {}, LONG).is_ok());
}
