//! Examples of what a cell meets: late, doubled and lost messages, clocks set back, cameras that drift.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use frame_sync::{ApproximateOptions, AssemblerOptions, DropReason, FrameAssembler, FrameStream, Options, Policy, SyncError, Synchronizer};

const MS: i64 = 1_000_000;

#[test]
fn with_a_lower_bound_a_set_goes_out_with_its_last_message() {
    let frames = |bounds| {
        let policy = Policy::Approximate(ApproximateOptions { inter_message_lower_bound_ns: bounds, ..Default::default() });
        let mut sync = Synchronizer::new(2, Options { policy, ..Options::approximate(10) }).unwrap();
        let mut delays = Vec::new();
        for k in 0..20 {
            sync.push(0, k * 33 * MS, 'c').unwrap();
            let now = sync.push(1, k * 33 * MS + 2 * MS, 'd').unwrap().sets;
            delays.extend(now.iter().map(|set| k * 33 * MS - set.members[0].stamp_ns));
        }
        delays
    };
    assert_eq!(frames(vec![16 * MS, 16 * MS]), vec![0; 20], "none waits for the next frame");
    assert!(frames(vec![]).iter().all(|d| *d <= 33 * MS), "without a bound the delay is one frame at most");
}

#[test]
fn duplicates_and_late_messages_are_dropped_and_counted() {
    let mut sync = Synchronizer::new(2, Options::exact(4)).unwrap();
    sync.push(0, 100 * MS, 'a').unwrap();
    let duplicate = sync.push(0, 100 * MS, 'b').unwrap();
    assert_eq!(duplicate.dropped[0].reason, DropReason::Duplicate);
    let late = sync.push(0, 90 * MS, 'c').unwrap();
    assert_eq!(late.dropped[0].reason, DropReason::OutOfOrder);
    let set = sync.push(1, 100 * MS, 'd').unwrap().sets.remove(0);
    assert_eq!(set.values(), ['a', 'd'], "the first of two duplicates stands");
    assert_eq!((sync.counters()[0].duplicates, sync.counters()[0].out_of_order, sync.counters()[0].resets), (1, 1, 0));
}

#[test]
fn a_clock_set_back_starts_anew() {
    for options in [Options::exact(4), Options::approximate(4)] {
        let mut sync = Synchronizer::new(2, options).unwrap();
        sync.push(0, 10_000 * MS, ()).unwrap();
        let jump = sync.push(0, 5_000 * MS, ()).unwrap();
        assert!(jump.reset);
        assert_eq!((jump.dropped[0].stamp_ns, jump.dropped[0].reason), (10_000 * MS, DropReason::Reset));
        assert_eq!(sync.counters()[0].resets, 1);
        let sets = sync.push(1, 5_000 * MS, ()).unwrap().sets;
        assert_eq!(sets.len(), 1, "stamps from before the jump do not stand in the way");
    }
}

#[test]
fn a_silent_stream_does_not_grow_memory() {
    for options in [Options::exact(5), Options::approximate(5)] {
        let mut sync = Synchronizer::new(2, options).unwrap();
        for k in 0..1000 {
            assert!(sync.push(0, k * 33 * MS, ()).unwrap().sets.is_empty());
        }
        assert_eq!(sync.waiting(), [5, 0]);
        assert_eq!(sync.counters()[0].overflow, 995);
    }
}

#[test]
fn drift_shows_offset_and_trend() {
    let mut sync = Synchronizer::new(2, Options::approximate(10)).unwrap();
    // Stream 1 starts 1 ms late and loses another 0.1 ms a second.
    for k in 0..100 {
        let t = k * 33 * MS;
        sync.push(0, t, ()).unwrap();
        sync.push(1, t + MS + t / 10_000, ()).unwrap();
    }
    let drift = sync.drift().streams()[1];
    assert_eq!(drift.min_ns, MS);
    assert!((drift.trend_ns_per_s - 100_000.0).abs() < 1.0, "{drift:?}");
    assert!(drift.mean_ns > drift.min_ns as f64 && drift.mean_ns < drift.max_ns as f64);
    assert_eq!(sync.drift().worst_ns(), drift.max_ns);
    assert_eq!(sync.drift().streams()[0].max_ns, 0);
}

#[test]
fn wrong_use_is_an_error() {
    assert_eq!(Synchronizer::<()>::new(0, Options::exact(1)).err(), Some(SyncError::NoStreams));
    assert_eq!(Synchronizer::<()>::new(1, Options::exact(0)).err(), Some(SyncError::NoQueue));
    let bad =
        |o: ApproximateOptions| Synchronizer::<()>::new(2, Options { policy: Policy::Approximate(o), ..Options::approximate(1) }).is_err();
    assert!(bad(ApproximateOptions { age_penalty: -0.1, ..Default::default() }));
    assert!(bad(ApproximateOptions { age_penalty: f64::NAN, ..Default::default() }));
    assert!(bad(ApproximateOptions { max_interval_ns: Some(-1), ..Default::default() }));
    assert!(bad(ApproximateOptions { inter_message_lower_bound_ns: vec![0], ..Default::default() }));
    let mut sync = Synchronizer::new(2, Options::exact(1)).unwrap();
    assert_eq!(sync.push(2, 0, ()).err(), Some(SyncError::NoSuchStream { stream: 2, streams: 2 }));
}

#[test]
fn extreme_stamps_do_not_overflow() {
    for options in [Options::exact(3), Options::approximate(3).with_max_interval_ns(5)] {
        let mut sync = Synchronizer::new(2, options).unwrap();
        for stamp in [0, i64::MAX, i64::MIN, i64::MAX - 1, 5] {
            sync.push(0, stamp, ()).unwrap();
            sync.push(1, stamp, ()).unwrap();
        }
        assert!(sync.counters()[0].resets > 0);
    }
}

#[test]
fn frames_of_two_cameras_come_out_whole() {
    let options = AssemblerOptions { cameras: 2, with_depth: true, sync: Options::approximate(10).with_max_interval_ns(10 * MS) };
    let mut frames = FrameAssembler::<&str, f32, u8>::new(options).unwrap();
    let mut sets = Vec::new();
    for k in 0..5 {
        let t = k * 33 * MS;
        for camera in 0..2 {
            let late = camera as i64 * 3 * MS;
            sets.extend(frames.push_color(camera, t + late, "colour").unwrap().frames);
            sets.extend(frames.push_info(camera, t + late, camera as u8).unwrap().frames);
            sets.extend(frames.push_depth(camera, t + late + MS, 0.5).unwrap().frames);
        }
    }
    assert!(sets.len() >= 4, "{}", sets.len());
    for (k, set) in sets.iter().enumerate() {
        assert_eq!(set.len(), 2);
        assert_eq!((set[0].info.value, set[1].info.value), (0, 1));
        assert_eq!(set[0].color.stamp_ns, k as i64 * 33 * MS);
        assert_eq!(set[1].depth.as_ref().unwrap().stamp_ns, k as i64 * 33 * MS + 4 * MS);
    }
    assert_eq!(frames.stream_of(4), Some((1, FrameStream::Depth)));
    assert_eq!(frames.stream_of(6), None);
    assert!(frames.push_color(2, 0, "").is_err());
}

#[test]
fn cameras_without_depth_give_frames_without_depth() {
    let options = AssemblerOptions { cameras: 1, with_depth: false, sync: Options::exact(2) };
    let mut frames = FrameAssembler::<u8, u8, u8>::new(options).unwrap();
    frames.push_color(0, 1, 7).unwrap();
    let set = frames.push_info(0, 1, 9).unwrap().frames.remove(0);
    assert_eq!((set[0].color.value, &set[0].depth, set[0].info.value), (7, &None, 9));
    assert!(frames.push_depth(0, 1, 0).is_err());
}
