//! Delays by a paused clock, aborts, shares, and the bound on delayed requests.

use std::time::Duration;

use portcullis_filter::testkit::{Exchange, Seen};
use portcullis_filter::{Chain, StateStore};
use portcullis_types::{Percent, Reason};

use super::Draws;
use crate::testing::{block_on, chain, check_refused, link, run};

fn fault(settings: &str) -> Chain {
    chain(&[("fault", settings)])
}

fn get() -> Exchange {
    Exchange::get("http://a/")
}

/// Runs an exchange and says how long it took by the paused clock.
fn timed(chain: &Chain, exchange: Exchange) -> (Seen, Duration) {
    block_on(async {
        let start = tokio::time::Instant::now();
        let seen = exchange.run(chain).await;
        (seen, start.elapsed())
    })
}

#[test]
fn delays_then_lets_go_on() {
    let (seen, took) = timed(&fault("delay: { duration: 5s }"), get());
    assert_eq!((seen.status, took.as_secs(), seen.upstream.is_some()), (200, 5, true));
    assert_eq!(seen.notes.annotations(), [("fault", "delayed".to_owned())]);
}

#[test]
fn aborts_with_a_status_or_a_reason() {
    let check = |abort: &str, status: u16, reason: Reason| {
        let seen = run(&fault(&format!("abort: {abort}")), get());
        assert_eq!((seen.status, seen.reason, seen.upstream.is_none()), (status, Some(reason), true), "{abort}");
        assert_eq!(seen.notes.annotations(), [("fault", "aborted".to_owned())]);
    };
    check("{}", 503, Reason::FaultInjected);
    check("{ status: 418 }", 418, Reason::FaultInjected);
    check("{ status: 204 }", 204, Reason::FaultInjected);
    check("{ reason: over_rate }", 429, Reason::OverRate);
    check("{ reason: upstream_reset }", 502, Reason::UpstreamReset);
}

#[test]
fn delays_before_it_aborts() {
    let (seen, took) = timed(&fault("{ delay: { duration: 2s }, abort: { status: 500 } }"), get());
    assert_eq!((seen.status, took.as_secs()), (500, 2));
}

#[test]
fn touches_only_marked_requests() {
    let check = |when: &str, value: Option<&str>, status: u16| {
        let exchange = value.into_iter().fold(get(), |exchange, value| exchange.field("x-fault", value));
        let seen = run(&fault(&format!("{{ abort: {{ status: 500 }}, when: {when} }}")), exchange);
        assert_eq!(seen.status, status, "{when} {value:?}");
    };
    check("{ header: x-fault }", Some("anything"), 500);
    check("{ header: x-fault }", None, 200);
    check("{ header: x-fault, value: 'yes' }", Some("yes"), 500);
    check("{ header: x-fault, value: 'yes' }", Some("no"), 200);
    check("{ header: x-fault, value: 'yes' }", None, 200);
}

#[test]
fn a_share_is_kept_and_a_seed_repeats_it() {
    let aborted = |seed: u64, share: &str| {
        let chain = fault(&format!("{{ abort: {{ status: 500, share: {share} }}, seed: {seed} }}"));
        block_on(async {
            let mut drawn = Vec::new();
            for _ in 0..2_000 {
                drawn.push(get().run(&chain).await.status == 500);
            }
            drawn
        })
    };
    let count = |drawn: &[bool]| drawn.iter().filter(|it| **it).count();
    assert_eq!(aborted(7, "30%"), aborted(7, "30%"));
    assert_ne!(aborted(7, "30%"), aborted(8, "30%"));
    assert!((540..=660).contains(&count(&aborted(7, "30%"))));
    assert_eq!(count(&aborted(7, "0%")), 0);
    assert_eq!(count(&aborted(7, "100%")), 2_000);
}

#[test]
fn draws_are_uniform_over_the_shares() {
    let draws = Draws::seeded(1);
    let half: Percent = "50%".parse().expect("a share");
    let inside = (0..10_000).filter(|_| half.contains_hash(draws.next())).count();
    assert!((4_800..=5_200).contains(&inside), "{inside}");
}

#[test]
fn holds_no_more_requests_than_it_may() {
    let chain = fault("{ delay: { duration: 10s }, max_delayed: 2 }");
    let mut notes: Vec<String> = block_on(async {
        let exchanges = (0..3).map(|_| get().run(&chain));
        let seen = join_all(exchanges.collect()).await;
        seen.iter().map(|seen| seen.notes.annotations()[0].1.clone()).collect()
    });
    notes.sort();
    assert_eq!(notes, ["delay_skipped", "delayed", "delayed"]);
}

#[test]
fn a_client_that_goes_away_frees_its_place() {
    let chain = fault("{ delay: { duration: 10s }, max_delayed: 1 }");
    block_on(async {
        let gone = tokio::time::timeout(Duration::from_secs(1), get().run(&chain)).await;
        assert!(gone.is_err(), "the delay was held");
        let seen = get().run(&chain).await;
        assert_eq!(seen.notes.annotations()[0].1, "delayed");
    });
}

#[test]
fn places_are_counted_across_generations() {
    let state = StateStore::default();
    let generation = |most: u32| {
        let settings = format!("{{ delay: {{ duration: 10s }}, max_delayed: {most} }}");
        Chain::new(vec![link("fault", &settings, &state)]).expect("a chain")
    };
    let (before, after) = (generation(5), generation(1));
    let seen = block_on(async { join_all(vec![get().run(&before), get().run(&after)]).await });
    let notes: Vec<_> = seen.iter().map(|seen| seen.notes.annotations()[0].1.as_str()).collect();
    assert_eq!(notes, ["delayed", "delay_skipped"]);
}

/// Polls futures together, in order.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[test]
fn refuses_wrong_settings() {
    let check = |yaml: &str, expected: &str| check_refused("fault", yaml, expected);
    check("{}", "the filter does nothing");
    check("delay: { duration: 61s }", "a delay of at most `60s`");
    check("delay: { share: 5% }", "`duration` is missing");
    check("abort: { status: 503, reason: over_rate }", "exclude one another");
    check("abort: { reason: over_rat }", "did you mean `over_rate`?");
    check("abort: { share: 101% }", "is not a percentage");
    check("{ abort: {}, max_delayed: 0 }", "from 1");
    check("{ abort: {}, wen: { header: x } }", "did you mean `when`?");
}
