//! What is estimated of simulated networks, in virtual time.

mod world;

use std::slice;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use world::{Media, World};

use super::Estimator;
use crate::choice::{Choice, Ladder, Rung, Step, decide, share};

const KILO: u64 = 1000;
const MEGA: u64 = 1_000_000;
const FIRST: u64 = 1_500_000;

/// A sender who would send so much, and follows the estimate.
fn follower(capacity: u64, wish: u64) -> World {
    let mut world = World::new(FIRST, capacity, Media::Following(wish));
    world.aspire(wish);
    world
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn a_narrow_link_is_filled_and_not_more() {
    let mut world = follower(MEGA, 3 * MEGA);
    let begin = world.run(5.0);
    assert!(begin.queued < milliseconds(1500), "{begin:?}");
    assert_eq!(begin.padding, 0, "there is no trial in a queue");
    for _ in 0..6 {
        let seen = world.run(10.0);
        assert!(seen.least >= 800 * KILO && seen.most <= 1100 * KILO, "{seen:?}");
        assert!(seen.octets * 8 / 10 > 850_000 && seen.lost == 0, "{seen:?}");
        assert!(seen.queued < milliseconds(1000), "{seen:?}");
        assert!(seen.longest_queue < milliseconds(160), "{seen:?}");
    }
    // Trials cost little.
    assert!(world.run(10.0).padding < 15_000);
    world.capacity = 5 * MEGA;
    world.run(10.0);
    assert!(world.estimator.rate() > 3 * MEGA, "{}", world.estimator.rate());
}

#[test]
fn the_link_becomes_narrow_and_wide() {
    let mut world = follower(2 * MEGA, 3 * MEGA);
    world.run(10.0);
    for _ in 0..3 {
        let wide = world.run(10.0);
        assert!(wide.least > 1600 * KILO && wide.most < 2250 * KILO, "{wide:?}");
        world.capacity = 500 * KILO;
        let falls = world.run(3.0);
        assert!(falls.queued < milliseconds(2500), "{falls:?}");
        let narrow = world.run(15.0);
        assert!(narrow.least > 400 * KILO && narrow.most < 560 * KILO, "{narrow:?}");
        assert!(narrow.queued < milliseconds(1000), "{narrow:?}");
        world.capacity = 2 * MEGA;
        world.run(10.0);
        assert!(world.estimator.rate() > 1600 * KILO, "{}", world.estimator.rate());
    }
}

#[test]
fn who_does_not_follow_is_told_what_arrives() {
    let mut world = World::new(FIRST, MEGA, Media::Fixed(3 * MEGA));
    world.run(2.0);
    let seen = world.run(10.0);
    assert!(seen.least > 750 * KILO && seen.most < MEGA, "{seen:?}");
}

#[test]
fn round_trips_do_not_matter_much() {
    for way in [10, 50, 150] {
        let mut world = follower(MEGA, 3 * MEGA);
        world.way = milliseconds(way);
        world.run(8.0);
        let seen = world.run(20.0);
        assert!(seen.least >= 800 * KILO && seen.most <= 1150 * KILO, "{way} {seen:?}");
        assert!(seen.octets * 8 / 20 > 840_000 && seen.lost == 0, "{way} {seen:?}");
        assert!(seen.queued < milliseconds(2000), "{way} {seen:?}");
        let told = world.estimator.round_trip().unwrap();
        let least = milliseconds(2 * way);
        assert!((least..least + milliseconds(250)).contains(&told), "{way} {told:?}");
    }
}

#[test]
fn a_little_loss_is_no_congestion_and_much_is() {
    let mut world = follower(2 * MEGA, 3 * MEGA);
    world.lost = 20;
    world.run(10.0);
    let seen = world.run(20.0);
    assert!(seen.least > 1600 * KILO, "{seen:?}");
    assert!((0.005..0.05).contains(&world.estimator.loss()), "{}", world.estimator.loss());
    world.lost = 200;
    world.run(5.0);
    assert_eq!(world.run(15.0).padding, 0);
    assert!(world.estimator.rate() < 500 * KILO, "{}", world.estimator.rate());
    assert!((0.1..0.35).contains(&world.estimator.loss()), "{}", world.estimator.loss());
    world.lost = 0;
    world.run(15.0);
    assert!(world.estimator.rate() > 1600 * KILO, "{}", world.estimator.rate());
}

#[test]
fn a_queue_that_is_too_short_for_delays_is_seen_by_its_losses() {
    let mut world = follower(MEGA, 3 * MEGA);
    world.queue = milliseconds(30);
    world.run(10.0);
    let seen = world.run(60.0);
    assert!(seen.least > 750 * KILO && seen.most < 1200 * KILO, "{seen:?}");
    assert!(seen.lost * 100 < seen.packets * 7, "{seen:?}");
}

#[test]
fn jitter_is_no_congestion() {
    for (jitter, lost, pictures) in [(20, 0, 30), (20, 20, 30), (20, 0, 100), (40, 0, 30)] {
        let mut world = follower(2 * MEGA, 3 * MEGA);
        world.jitter = milliseconds(jitter);
        (world.lost, world.pictures) = (lost, pictures);
        world.run(5.0);
        let seen = world.run(60.0);
        assert!(seen.least > 1400 * KILO && seen.most < 2500 * KILO, "{jitter} {seen:?}");
        assert!(seen.octets * 8 / 60 > 1_700_000, "{jitter} {seen:?}");
        assert!(seen.queued < milliseconds(3000), "{jitter} {seen:?}");
    }
}

#[test]
fn who_sends_little_is_believed_as_before() {
    let mut world = World::new(FIRST, 5 * MEGA, Media::Fixed(300 * KILO));
    world.jitter = milliseconds(40);
    let seen = world.run(120.0);
    assert!(seen.least == FIRST && seen.most == FIRST && seen.padding == 0, "{seen:?}");
    // It grows with what arrives, not without it.
    let mut world = World::new(100 * KILO, 5 * MEGA, Media::Fixed(300 * KILO));
    let seen = world.run(60.0);
    assert!(seen.least >= 100 * KILO && seen.most < 510 * KILO, "{seen:?}");
    assert!(world.estimator.rate() > 400 * KILO, "{}", world.estimator.rate());
}

#[test]
fn trials_show_that_there_is_more() {
    let mut world = World::new(200 * KILO, 20 * MEGA, Media::Fixed(150 * KILO));
    world.run(1.0);
    world.aspire(3 * MEGA);
    let seen = world.run(5.0);
    assert!(world.estimator.rate() > 3 * MEGA, "{}", world.estimator.rate());
    assert!(seen.padding < 60_000, "{seen:?}");
    // That is enough.
    assert_eq!(world.run(60.0).padding, 0);
}

#[test]
fn trials_in_vain_are_rare_and_harmless() {
    let mut world = World::new(200 * KILO, 400 * KILO, Media::Fixed(150 * KILO));
    world.aspire(1800 * KILO);
    let seen = world.run(60.0);
    assert!(seen.most <= 400 * KILO && seen.least >= 200 * KILO, "{seen:?}");
    assert!(world.estimator.rate() > 300 * KILO, "{}", world.estimator.rate());
    assert!(seen.longest_queue < milliseconds(100) && seen.lost == 0, "{seen:?}");
    // 8 kbit/s.
    assert!(seen.padding < 60_000, "{seen:?}");
}

/// What a leg gets of pictures in four steps, as the estimate is, for so many seconds: the greatest
/// rate, and how often it was changed.
fn choose(world: &mut World, seconds: u32) -> (u64, u32) {
    let mut ladder = Ladder::default();
    for (temporal, rate) in [(0, 75), (1, 150), (2, 900), (3, 1800)] {
        ladder.put(Rung { step: Step { layer: 0, spatial: 0, temporal }, rate: rate * KILO });
    }
    world.aspire(1800 * KILO);
    world.pictures = 25;
    let (mut choice, mut most, mut changes) = (None, 0, 0);
    for _ in 0..seconds * 4 {
        let room = share(world.estimator.rate(), slice::from_ref(&ladder))[0].unwrap();
        let (next, _) = decide(room, choice, world.now);
        changes += u32::from(choice.is_some_and(|before: Choice| before.step != next.step));
        choice = Some(next);
        world.media = Media::Fixed(ladder.cost(next.step));
        most = most.max(ladder.cost(next.step));
        world.run(0.25);
    }
    (most, changes)
}

#[test]
fn layers_follow_the_estimate() {
    let narrow = || World::new(FIRST, 300 * KILO, Media::Fixed(0));
    let mut world = narrow();
    choose(&mut world, 3);
    assert_eq!(choose(&mut world, 60), (150 * KILO, 0));
    let mut world = narrow();
    choose(&mut world, 10);
    world.capacity = 5 * MEGA;
    choose(&mut world, 12);
    assert_eq!(choose(&mut world, 20), (1800 * KILO, 0));
    let mut world = World::new(FIRST, 1500 * KILO, Media::Fixed(0));
    assert_eq!(choose(&mut world, 60), (900 * KILO, 0));
    let mut world = World::new(FIRST, 20 * MEGA, Media::Fixed(0));
    world.lost = 10;
    choose(&mut world, 5);
    assert_eq!(choose(&mut world, 60), (1800 * KILO, 0));
    world.capacity = 300 * KILO;
    choose(&mut world, 3);
    assert_eq!(choose(&mut world, 30), (150 * KILO, 0));
}

#[test]
fn a_large_picture_is_no_congestion_for_long() {
    let mut world = World::new(FIRST, 2 * MEGA, Media::Fixed(MEGA));
    world.run(5.0);
    for _ in 0..10 {
        world.send_burst(40 * 1200);
        let seen = world.run(1.0);
        assert!(seen.least >= 1300 * KILO, "{seen:?}");
        let seen = world.run(7.0);
        assert!(seen.least >= 1300 * KILO && seen.most <= 2200 * KILO, "{seen:?}");
        assert!(world.estimator.rate() > 1500 * KILO, "{}", world.estimator.rate());
    }
}

#[test]
fn clocks_may_drift() {
    for drift in [-300, 300] {
        let mut world = follower(2 * MEGA, 3 * MEGA);
        world.drift = drift;
        world.run(10.0);
        let seen = world.run(60.0);
        assert!(seen.least > 1600 * KILO && seen.most < 2250 * KILO, "{seen:?}");
    }
}

#[test]
fn another_way_is_no_congestion_for_long() {
    let mut world = follower(5 * MEGA, 3 * MEGA);
    world.run(20.0);
    world.way = milliseconds(150);
    let seen = world.run(10.0);
    assert!(seen.least > 1000 * KILO, "{seen:?}");
    world.run(5.0);
    let seen = world.run(30.0);
    assert!(seen.least > 3 * MEGA, "{seen:?}");
    world.way = milliseconds(20);
    let seen = world.run(30.0);
    assert!(seen.least > 3 * MEGA, "{seen:?}");
}

#[test]
fn reports_may_get_lost() {
    let mut world = follower(2 * MEGA, 3 * MEGA);
    world.run(10.0);
    for _ in 0..5 {
        world.reports_lost = true;
        world.run(1.0);
        world.reports_lost = false;
        let seen = world.run(5.0);
        assert!(seen.least > 1600 * KILO && seen.most < 2250 * KILO, "{seen:?}");
    }
}

#[test]
fn nothing_is_learnt_from_silence() {
    let mut world = World::new(FIRST, MEGA, Media::Fixed(3 * MEGA));
    world.reports_lost = true;
    world.aspire(5 * MEGA);
    let seen = world.run(20.0);
    assert!(seen.least == FIRST && seen.most == FIRST && seen.padding == 0, "{seen:?}");
    assert_eq!((world.estimator.due(), world.estimator.round_trip()), (None, None));
}

#[test]
fn the_first_report_tells_what_is_believed() {
    let mut world = World::new(FIRST, MEGA, Media::Fixed(MEGA));
    let seq = world.estimator.sent(1200, world.now);
    let later = world.now + milliseconds(80);
    let report = [(seq, Some(77))].into_iter();
    assert_eq!(world.estimator.reported(report.clone(), later), Some(FIRST));
    assert_eq!(world.estimator.reported(report, later), None);
    assert_eq!(world.estimator.round_trip(), Some(milliseconds(80)));
}

#[derive(Clone, Debug)]
enum Act {
    Pass(u32),
    Send(usize),
    Report(Vec<(u16, Option<i64>)>),
    Aspire(u64),
    Pad,
}

fn act() -> impl Strategy<Value = Act> {
    let seq = prop_oneof![0..200_u16, any::<u16>()];
    let arrival = prop_oneof![-50_000_000..50_000_000_i64, any::<i64>()];
    let fate = (seq, prop::option::weighted(0.9, arrival));
    prop_oneof![
        any::<u32>().prop_map(Act::Pass),
        (0..200_000_u32).prop_map(Act::Pass),
        (0..3000_usize).prop_map(Act::Send),
        prop::collection::vec(fate, 0..50).prop_map(Act::Report),
        any::<u64>().prop_map(Act::Aspire),
        Just(Act::Pad),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the beginning of virtual time")]
    fn whatever_is_reported_does_no_harm(acts in prop::collection::vec(act(), 0..300)) {
        let mut now = Instant::now();
        let mut estimator = Estimator::new(FIRST, now);
        let mut wish = FIRST;
        for act in acts {
            match act {
                Act::Pass(micros) => now += Duration::from_micros(micros.into()),
                Act::Send(octets) => {
                    estimator.sent(octets, now);
                }
                Act::Report(fates) => {
                    estimator.reported(fates.into_iter(), now);
                }
                Act::Aspire(rate) => {
                    wish = wish.max(rate);
                    estimator.aspire(rate, now);
                }
                Act::Pad => {
                    let octets = estimator.padding(now);
                    prop_assert!(octets as u64 <= wish.max(MEGA), "{octets}");
                    prop_assert!(estimator.due().is_none_or(|due| due > now));
                }
            }
            prop_assert!((50_000..=1_000_000_000).contains(&estimator.rate()));
            prop_assert!((0.0..=1.0).contains(&estimator.loss()));
        }
    }
}
