//! What a destination may do to us for long: fail at random, be gone for an hour, come back. Nothing is lost, every lane
//! stays in order, and whoever comes back is not run over.

use super::*;

/// A number that looks random and is the same for the same words.
fn drawn(seed: u64, position: u64, count: usize) -> u64 {
    let mixed = EventId::derive(&[&seed.to_be_bytes(), &position.to_be_bytes(), &count.to_be_bytes()]);
    u64::from(u16::from_be_bytes([mixed.0[14], mixed.0[15]]))
}

/// What came first of each event, in order of arrival: repeats are told by their id.
fn first_arrivals(took: &[u64]) -> Vec<u64> {
    let mut known = BTreeSet::new();
    took.iter().copied().filter(|position| known.insert(*position)).collect()
}

/// Every lane saw all of its events, each one after the one before it.
fn assert_complete_and_in_order(took: &[u64], lanes: &[u8]) {
    let mut of_lane: HashMap<u8, Vec<u64>> = HashMap::new();
    for position in first_arrivals(took) {
        of_lane.entry(lanes[position as usize - 1]).or_default().push(position);
    }
    for lane in lanes.iter().collect::<BTreeSet<_>>() {
        let all: Vec<u64> = (1..=lanes.len() as u64).filter(|n| lanes[*n as usize - 1] == *lane).collect();
        assert_eq!(of_lane.get(lane), Some(&all), "lane {lane}");
    }
}

/// A tenth is refused, a tenth gets no answer, a tenth is taken and its answer is lost.
async fn thirty_percent_fail(seed: u64) {
    const LANES: u64 = 150;
    const EVENTS: usize = 1_800;
    let mut world = World::new(move |numbers, count| match drawn(seed, numbers[0], count) % 10 {
        0 => Does::Answer(500),
        1 => Does::Fail(CallFailure::TimedOut),
        2 => Does::Lose,
        _ => Does::Answer(200),
    })
    .await;
    world.step = Duration::from_millis(200);
    let lanes: Vec<u8> = (0..EVENTS as u64).map(|n| (drawn(seed, n, 0) % LANES) as u8).collect();
    world.start();
    for (number, part) in lanes.chunks(EVENTS / 6).enumerate() {
        world.append(part).await;
        let some = (number + 1) * EVENTS / 10;
        world.until("some of it", async || first_arrivals(&world.took()).len() >= some).await;
        if number % 2 == 0 {
            world.crash().await;
        } else {
            world.dispatch.stop(ID).await;
            world.forget();
        }
        world.start();
    }
    world.step = Duration::from_secs(5);
    world.until_cursor(EVENTS as u64).await;
    assert_complete_and_in_order(&world.took(), &lanes);
    assert_eq!(world.attempts(DeliveryState::Failed).await.len(), 0, "nothing was given up");
    assert!(world.halts.try_recv().is_err());
    let failed = world.far.calls.lock().len() - EVENTS;
    assert!(failed > EVENTS / 4, "only {failed} calls failed");
    world.dispatch.stop(ID).await;
}

#[tokio::test]
async fn thirty_percent_of_failures_lose_nothing_and_keep_every_lane_in_order() {
    for seed in 1..=3 {
        thirty_percent_fail(seed).await;
    }
}

/// Lets the loop work off what it can do now.
async fn settle_down() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// An hour without the destination, a hundred events a second; then it is back.
#[tokio::test]
async fn an_hour_without_the_destination_costs_a_probe_a_minute_and_then_all_comes_in_order() {
    const PER_BATCH: u64 = 1_000;
    let mut world = World::new(|_, _| Does::Fail(CallFailure::NotConnected)).await;
    let begun = world.clock.now();
    let (mut lanes, mut at_first): (Vec<u8>, _) = (Vec::new(), 0);
    world.start();
    for batch in 0..360 {
        let new: Vec<u8> = (0..PER_BATCH).map(|n| (drawn(7, lanes.len() as u64 + n, 0) % 250) as u8).collect();
        world.append(&new).await;
        lanes.extend(new);
        for _ in 0..10 {
            settle_down().await;
            world.clock.advance(Duration::from_secs(1));
        }
        let (_, rows) = world.progress().await;
        // What was tried before the breaker opened, and what follows it in its lanes; then nothing more.
        at_first = if batch < 3 { rows } else { at_first };
        assert!(rows <= at_first && rows < 400, "{rows} rows after {:?}", world.clock.now().since(begun));
    }
    let calls: Vec<Timestamp> = world.far.calls.lock().iter().map(|(at, _)| *at).collect();
    assert_probes_keep_their_rate(&calls);
    assert!(world.took().is_empty());

    let last_row = world.store.parked(ID, 1_000).await.unwrap();
    assert!(last_row.iter().all(|row| row.attempts <= 4), "attempts are not used up by an outage");
    world.script(everything);
    world.step = Duration::from_secs(1);
    while world.progress().await != (lanes.len() as u64, 0) {
        let before = world.took().len();
        // Each look bounds how long it may take until something more has come.
        world
            .until("something more", async || {
                world.took().len() > before || world.progress().await == (lanes.len() as u64, 0)
            })
            .await;
    }
    let took = world.took();
    assert_eq!(took.len(), lanes.len(), "each came once");
    assert_complete_and_in_order(&took, &lanes);
    assert_eq!(world.attempts(DeliveryState::Failed).await.len(), 0);
    world.dispatch.stop(ID).await;
}

/// One after another after 1, 2, 4, ... 60, 60 seconds, once the breaker was open.
fn assert_probes_keep_their_rate(calls: &[Timestamp]) {
    let gaps: Vec<u64> = calls.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect();
    let slow = gaps.iter().rposition(|gap| *gap < 60).map_or(0, |last| last + 1);
    // The test's clock runs ahead of a slow disk: fewer than sixty, never more often.
    assert!(gaps.len() - slow >= 30, "once a minute at last: {gaps:?}");
    let rising: Vec<u64> = gaps[slow.saturating_sub(6)..slow].to_vec();
    assert!(rising.iter().zip([1, 2, 4, 8, 16, 32]).all(|(gap, least)| *gap >= least), "{rising:?}");
    assert!(slow <= 500, "{slow} calls before the probes were slow");
}

/// Most calls side by side that began within each second from `from` on, when each takes `span`.
fn side_by_side(calls: &[Timestamp], from: Timestamp, span: Duration) -> Vec<usize> {
    let mut most: Vec<usize> = Vec::new();
    for (index, at) in calls.iter().enumerate().filter(|(_, at)| **at >= from) {
        let open = calls[..=index].iter().rev().take_while(|other| other.plus(span) > *at).count();
        let second = at.since(from).as_secs() as usize;
        most.resize(most.len().max(second + 1), 0);
        most[second] = most[second].max(open);
    }
    most
}

#[tokio::test]
async fn who_comes_back_is_not_run_over_and_a_restart_in_an_outage_begins_as_gently() {
    let mut world = World::new(|_, _| Does::Fail(CallFailure::NotConnected)).await;
    world.pace = Pace { concurrency: 64, ..PACE };
    let lanes: Vec<u8> = (0..4_000_u32).map(|n| (n % 250) as u8).collect();
    world.append(&lanes).await;
    world.start();
    world.step = Duration::from_secs(1);
    world.until("probes", async || world.far.calls.lock().len() > 110).await;
    assert_eq!(world.dispatch.breaker(ID).unwrap().phase, breaker::Phase::Open);
    // A restart does not begin with all that waits.
    let before = world.far.calls.lock().len();
    world.dispatch.stop(ID).await;
    world.forget();
    world.start();
    world.until("it is open again", async || world.dispatch.breaker(ID).unwrap().phase == breaker::Phase::Open).await;
    let tried = world.far.calls.lock().len() - before;
    // Some probes may go before it is looked at; all at once would be more than a hundred.
    assert!(tried <= 60, "{tried} calls until it knew");

    let span = Duration::from_millis(100);
    world.script(move |_, _| Does::Late(200, span));
    world.step = Duration::from_millis(20);
    let was = world.far.calls.lock().len();
    world.until_cursor(4_000).await;
    let calls: Vec<Timestamp> = world.far.calls.lock()[was..].iter().map(|(at, _)| *at).collect();
    // The first is the probe; from its answer on they double.
    let most = side_by_side(&calls, calls[0].plus(span), span);
    assert!(most.iter().zip([2, 4, 8, 16, 32, 64]).all(|(most, bound)| *most <= bound), "{most:?}");
    assert_eq!(most.iter().max(), Some(&64), "and then at full speed: {most:?}");
    assert_complete_and_in_order(&world.took(), &lanes);
    assert_eq!(world.dispatch.breaker(ID).unwrap().phase, breaker::Phase::Closed);
    world.dispatch.stop(ID).await;
}
