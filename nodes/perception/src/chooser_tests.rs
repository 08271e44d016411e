#![allow(clippy::unwrap_used)]

use super::*;
use ros_interfaces::builtin_interfaces::msg::Time;
use ros_interfaces::std_msgs::msg::Header;

const MS: i64 = 1_000_000;
const LOCKSTEP: Rules =
    Rules { arrival_tolerance_ns: 5 * MS, frame_wait_ns: 500 * MS, follow_record: false, history: 8, waiting_limit: 4, lockstep: true };

fn header(ms: i64) -> Header {
    Header { stamp: Time::from_nanos(ms * MS), frame_id: "camera_color_optical_frame".into() }
}

fn image(ms: i64) -> Arc<Image> {
    Arc::new(Image { header: header(ms), ..Image::default() })
}

fn arrival(id: &str, ms: i64) -> Input {
    Input::Arrival(Arc::new(ItemArrival { header: header(ms), item_id: id.into(), ..ItemArrival::default() }))
}

fn recorded(id: &str, ms: i64) -> Input {
    Input::Recorded(Arc::new(CellEvent { header: header(ms), kind: CellEvent::FRAME_CHOSEN, item_id: id.into(), ..CellEvent::default() }))
}

fn frame(ms: i64) -> Vec<Input> {
    let info = Arc::new(CameraInfo { header: header(ms), ..CameraInfo::default() });
    vec![Input::Color(0, image(ms)), Input::Depth(0, image(ms)), Input::Info(0, info)]
}

/// Feeds everything; gives `id@milliseconds`, `id@…c` for colour alone and `id!` for failures.
fn run(rules: Rules, inputs: Vec<Input>) -> Vec<String> {
    let mut chooser = Chooser::new(1, 20 * MS).unwrap();
    let verdicts = inputs.into_iter().flat_map(|i| chooser.take(i, Duration::ZERO, rules)).collect::<Vec<_>>();
    told(verdicts)
}

fn told(verdicts: Vec<Verdict>) -> Vec<String> {
    verdicts
        .into_iter()
        .filter_map(|v| match v {
            Verdict::Inspect(job) => {
                let view = job.views.first().unwrap();
                let alone = if view.depth.is_none() { "c" } else { "" };
                Some(format!("{}@{}{alone}", job.arrival.item_id, view.color.header.stamp.nanos() / MS))
            }
            Verdict::Fail(arrival, ..) => Some(format!("{}!", arrival.item_id)),
            Verdict::Event { kind, item_id, .. } => (kind == CellEvent::INPUT_REFUSED).then(|| format!("refused {item_id}")),
        })
        .collect()
}

fn join(parts: Vec<Vec<Input>>) -> Vec<Input> {
    parts.into_iter().flatten().collect()
}

#[test]
fn the_first_set_after_the_arrival_is_judged_in_whatever_order_they_come() {
    let before = join(vec![frame(0), vec![arrival("a", 100)], frame(97), frame(133)]);
    assert_eq!(run(LOCKSTEP, before), ["a@97"]);
    let after = join(vec![frame(0), frame(97), frame(133), vec![arrival("a", 100)]]);
    assert_eq!(run(LOCKSTEP, after), ["a@97"]);
}

#[test]
fn a_recorded_choice_is_followed_exactly() {
    let early = join(vec![vec![recorded("a", 133), arrival("a", 100)], frame(100), frame(133)]);
    assert_eq!(run(LOCKSTEP, early), ["a@133"]);
    let follow = Rules { follow_record: true, ..LOCKSTEP };
    let late = join(vec![vec![arrival("a", 100)], frame(100), frame(133), vec![recorded("a", 133)]]);
    assert_eq!(run(follow, late), ["a@133"]);
}

#[test]
fn colour_alone_or_failure_when_the_wait_is_over() {
    let inputs = vec![arrival("a", 100), Input::Color(0, image(110)), Input::Clock(601 * MS)];
    assert_eq!(run(LOCKSTEP, inputs), ["a@110c"]);
    assert_eq!(run(LOCKSTEP, vec![arrival("a", 100), Input::Clock(599 * MS)]), Vec::<String>::new());
    assert_eq!(run(LOCKSTEP, vec![arrival("a", 100), Input::Clock(601 * MS)]), ["a!"]);
}

#[test]
fn live_waits_run_on_the_steady_clock() {
    let live = Rules { lockstep: false, ..LOCKSTEP };
    let mut chooser = Chooser::new(1, 0).unwrap();
    chooser.take(arrival("a", 100), Duration::from_secs(5), live);
    chooser.take(Input::Clock(i64::MAX), Duration::from_millis(5400), live);
    assert_eq!(chooser.waiting(), 1);
    assert_eq!(told(chooser.tick(Duration::from_millis(5501), live)), ["a!"]);
}

#[test]
fn an_item_id_is_taken_once() {
    let inputs = join(vec![vec![arrival("a", 0), arrival("a", 1), arrival("", 2)], frame(5)]);
    assert_eq!(run(LOCKSTEP, inputs), ["refused a", "refused ", "a@5"]);
}

#[test]
fn waiting_arrivals_are_bounded_and_none_is_forgotten() {
    let inputs = (0..7).map(|n| arrival(&n.to_string(), 0)).collect();
    assert_eq!(run(LOCKSTEP, inputs), ["0!", "1!", "2!"]);
}

#[test]
fn a_clock_set_back_forgets_old_frames() {
    let inputs = join(vec![frame(10_000), frame(0), vec![arrival("a", 5)], frame(33)]);
    assert_eq!(run(LOCKSTEP, inputs), ["a@33"]);
}
