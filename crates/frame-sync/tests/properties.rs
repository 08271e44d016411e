//! Laws of both policies, against brute-force references.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use frame_sync::{ApproximateOptions, Options, Policy, Synchronizer};
use proptest::prelude::*;

/// Stamps of every stream, each ascending.
type Streams = Vec<Vec<i64>>;

/// Ends every search: with a common stamp far away nothing before it stays undecided.
const FAR_NS: i64 = 1_000_000;

fn ascending(max_len: usize, max_ns: i64) -> impl Strategy<Value = Vec<i64>> {
    prop::collection::btree_set(0..max_ns, 0..max_len).prop_map(|s: BTreeSet<i64>| s.into_iter().collect())
}

fn streams(max_streams: usize, max_len: usize, max_ns: i64) -> impl Strategy<Value = Streams> {
    prop::collection::vec(ascending(max_len, max_ns), 1..=max_streams)
}

/// An order of delivery that keeps every stream in order: `picks` says which stream delivers next.
fn deliver(options: Options, streams: &Streams, picks: &[usize]) -> (Vec<Vec<i64>>, Synchronizer<()>) {
    let mut sync = Synchronizer::new(streams.len(), options).unwrap();
    let mut next = vec![0; streams.len()];
    let mut sets = Vec::new();
    let mut feed = |sync: &mut Synchronizer<()>, stream: usize| {
        let Some(stamp) = streams[stream].get(next[stream]) else { return };
        next[stream] += 1;
        sets.extend(sync.push(stream, *stamp, ()).unwrap().sets.iter().map(|s| s.stamps_ns()));
    };
    for pick in picks {
        feed(&mut sync, pick % streams.len());
    }
    for (stream, stamps) in streams.iter().enumerate() {
        for _ in stamps {
            feed(&mut sync, stream);
        }
    }
    (sets, sync)
}

fn sealed(mut streams: Streams) -> Streams {
    for stream in &mut streams {
        stream.push(FAR_NS);
    }
    streams
}

fn approximate(age_penalty: f64, max_interval_ns: Option<i64>, bounds: Vec<i64>) -> Options {
    let policy = Policy::Approximate(ApproximateOptions { age_penalty, max_interval_ns, inter_message_lower_bound_ns: bounds });
    Options { policy, ..Options::approximate(1000) }
}

fn span(set: &[i64]) -> i64 {
    set.iter().max().unwrap() - set.iter().min().unwrap()
}

/// All ways to take one stamp a stream.
fn all_sets(streams: &Streams) -> Vec<Vec<i64>> {
    streams.iter().fold(vec![Vec::new()], |sets, stream| {
        sets.iter().flat_map(|set| stream.iter().map(move |stamp| [set.as_slice(), &[*stamp]].concat())).collect()
    })
}

/// The documented outcome without an age penalty, by trying all sets: of those that hold the pivot (the latest of the
/// oldest values) the smallest, the earliest of equals.
fn smallest_contiguous_sets(mut streams: Streams, max_interval_ns: Option<i64>) -> Vec<Vec<i64>> {
    let mut out = Vec::new();
    while streams.iter().all(|s| !s.is_empty()) {
        let heads: Vec<i64> = streams.iter().map(|s| s[0]).collect();
        if max_interval_ns.is_some_and(|max| span(&heads) > max) {
            let earliest = (0..heads.len()).min_by_key(|i| heads[*i]).unwrap();
            streams[earliest].remove(0);
            continue;
        }
        let pivot = (0..heads.len()).max_by_key(|i| (heads[*i], std::cmp::Reverse(*i))).unwrap();
        let best = all_sets(&streams)
            .into_iter()
            .filter(|set| set[pivot] == heads[pivot])
            .min_by_key(|set| (span(set), *set.iter().min().unwrap(), set.clone()))
            .unwrap();
        for (stream, used) in streams.iter_mut().zip(&best) {
            stream.retain(|s| s > used);
        }
        out.push(best);
    }
    out
}

/// The outcome with an age penalty, from complete knowledge: walk over the sets `first value at or after s`.
fn penalised_sets(mut streams: Streams, age_penalty: f64) -> Vec<Vec<i64>> {
    let mut out = Vec::new();
    while streams.iter().all(|s| !s.is_empty()) {
        let pivot_ns = streams.iter().map(|s| s[0]).max().unwrap();
        let mut starts: Vec<i64> = streams.iter().flatten().copied().filter(|s| *s <= pivot_ns).collect();
        starts.sort_unstable();
        let set_from = |s: i64| streams.iter().map(|x| x.iter().copied().find(|v| *v >= s)).collect::<Option<Vec<i64>>>();
        let mut best = set_from(starts[0]).unwrap();
        for set in starts.into_iter().map_while(set_from) {
            let later_end = (set.iter().max().unwrap() - best.iter().max().unwrap()) as f64;
            let later_start = (set.iter().min().unwrap() - best.iter().min().unwrap()) as f64;
            if later_end * (1.0 + age_penalty) < later_start {
                best = set;
            }
        }
        for (stream, used) in streams.iter_mut().zip(&best) {
            stream.retain(|s| s > used);
        }
        out.push(best);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn exact_sets_are_the_common_stamps(streams in streams(4, 40, 60), picks in prop::collection::vec(0..4usize, 0..80)) {
        let common: Vec<Vec<i64>> = streams[0].iter()
            .filter(|s| streams.iter().all(|x| x.contains(s)))
            .map(|s| vec![*s; streams.len()])
            .collect();
        let (sets, _) = deliver(Options::exact(1000), &streams, &picks);
        prop_assert_eq!(sets, common);
    }

    #[test]
    fn a_short_exact_queue_gives_fewer_sets_in_order_and_never_a_wrong_one(
        streams in streams(3, 40, 50), picks in prop::collection::vec(0..3usize, 0..80), queue in 1..5usize,
    ) {
        let (sets, sync) = deliver(Options::exact(queue), &streams, &picks);
        prop_assert!(sets.windows(2).all(|w| w[0][0] < w[1][0]));
        prop_assert!(sets.iter().all(|set| streams.iter().zip(set).all(|(s, v)| s.contains(v)) && span(set) == 0));
        prop_assert!(sync.waiting().iter().all(|n| *n <= queue));
    }

    #[test]
    fn approximate_sets_are_the_smallest_contiguous_ones(
        streams in streams(3, 9, 120), picks in prop::collection::vec(0..3usize, 0..40), max in prop::option::of(0..60i64),
    ) {
        let streams = sealed(streams);
        let expected = smallest_contiguous_sets(streams.clone(), max);
        let (sets, _) = deliver(approximate(0.0, max, vec![]), &streams, &picks);
        prop_assert_eq!(sets.iter().map(|s| span(s)).collect::<Vec<_>>(), expected.iter().map(|s| span(s)).collect::<Vec<_>>());
        prop_assert_eq!(sets, expected);
    }

    #[test]
    fn the_age_penalty_prefers_early_sets(
        streams in streams(4, 20, 400), picks in prop::collection::vec(0..4usize, 0..80), age_penalty in 0.0..1.0f64,
    ) {
        let streams = sealed(streams);
        let (sets, _) = deliver(approximate(age_penalty, None, vec![]), &streams, &picks);
        prop_assert_eq!(sets, penalised_sets(streams, age_penalty));
    }

    #[test]
    fn the_order_of_delivery_does_not_matter(
        streams in streams(4, 20, 400),
        a in prop::collection::vec(0..4usize, 0..80), b in prop::collection::vec(0..4usize, 0..80),
    ) {
        let (sets_a, _) = deliver(approximate(0.1, Some(80), vec![]), &streams, &a);
        let (sets_b, _) = deliver(approximate(0.1, Some(80), vec![]), &streams, &b);
        prop_assert_eq!(sets_a, sets_b);
    }

    #[test]
    fn a_right_lower_bound_changes_nothing(
        gaps in prop::collection::vec(prop::collection::vec(10..40i64, 1..15), 1..=3),
        picks in prop::collection::vec(0..3usize, 0..60), bound in 0..=10i64,
    ) {
        let ascending = |gaps: &Vec<i64>| gaps.iter().scan(0, |t, g| { *t += g; Some(*t) }).collect::<Vec<i64>>();
        let streams = sealed(gaps.iter().map(ascending).collect());
        let (plain, _) = deliver(approximate(0.1, None, vec![]), &streams, &picks);
        let (bounded, _) = deliver(approximate(0.1, None, vec![bound; streams.len()]), &streams, &picks);
        prop_assert_eq!(plain, bounded);
    }

    #[test]
    fn nothing_is_lost_from_the_accounts_and_memory_is_bounded(
        stamps in prop::collection::vec((0..3usize, 0..200i64), 0..300), queue in 1..6usize, exact in any::<bool>(),
    ) {
        let options = if exact { Options::exact(queue) } else { Options::approximate(queue).with_max_interval_ns(20) };
        let mut sync = Synchronizer::new(3, Options { jump_back_ns: 50, ..options }).unwrap();
        let max_span_ns = if exact { 0 } else { 20 };
        let (mut dropped, mut sets, mut last) = (0, 0, vec![i64::MIN; 3]);
        for (stream, stamp) in stamps {
            let pushed = sync.push(stream, stamp, ()).unwrap();
            dropped += pushed.dropped.len();
            sets += pushed.sets.len();
            if pushed.reset {
                last = vec![i64::MIN; 3];
            }
            for set in &pushed.sets {
                // used once, and sets do not cross
                prop_assert!(set.stamps_ns().iter().zip(&last).all(|(now, before)| now > before));
                prop_assert!(set.span_ns() <= max_span_ns);
                last = set.stamps_ns();
            }
            prop_assert!(sync.waiting().iter().all(|n| *n <= queue));
        }
        for (counters, waiting) in sync.counters().iter().zip(sync.waiting()) {
            prop_assert_eq!(counters.received, counters.in_sets + counters.dropped() + waiting as u64);
            prop_assert_eq!(counters.in_sets, sets as u64);
        }
        prop_assert_eq!(sync.counters().iter().map(|c| c.dropped()).sum::<u64>(), dropped as u64);
    }
}
