//! The bounds of leases, by the script in a real server, on a clock of the simulation's own: nothing depends on how
//! fast this machine is.

use portcullis_caps::{Bucket, Budget, FullAt, GatewayId, Link, Moment, Outage, Present, Share, Stake, Terms};

use crate::script::Scripted;
use crate::server::Redis;

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const START: u64 = 1_772_323_200_000_000;
/// Milliseconds between two looks of a gateway at its shares, and a word's way there and back.
const TICK: u64 = 50;
const WAY: u64 = 4;

struct Gateway {
    share: Share,
    load: f64,
    owed: f64,
    /// A grant on its way, and when it arrives.
    coming: Option<(u64, portcullis_caps::Grant)>,
}

/// When requests came, and when they were admitted, in nanoseconds.
#[derive(Default)]
struct Story {
    came: Vec<u64>,
    admitted: Vec<u64>,
}

fn play(key: &str, scripted: &mut Scripted, stake: &Stake, load: &[f64], millis: u64) -> Story {
    let at = |millis: u64| Moment { nanos: millis * MILLI, unix_millis: START / MICRO + millis };
    let new = |load: &f64| Gateway { share: Share::new(at(0), &stake.terms, 0), load: *load, owed: 0.0, coming: None };
    let mut gateways: Vec<Gateway> = load.iter().map(new).collect();
    let mut story = Story::default();
    for milli in 0..millis {
        let now = milli * MILLI;
        let link = Link { up_until: u64::MAX, gateways: 3, outage: Outage::Refuse };
        for (id, gateway) in gateways.iter_mut().enumerate() {
            if let Some((_, grant)) = gateway.coming.take_if(|(when, _)| *when <= milli) {
                gateway.share.granted(&grant, &stake.terms);
            }
            gateway.owed += gateway.load / 1_000.0;
            while gateway.owed >= 1.0 {
                gateway.owed -= 1.0;
                story.came.push(now);
                if gateway.share.check(now, 1, &stake.budget, &link).is_ok() {
                    gateway.share.spend(now, 1, &stake.budget, &link);
                    story.admitted.push(now);
                }
            }
            // They do not look in step.
            if (milli + 17 * id as u64).is_multiple_of(TICK)
                && let Some(ask) = gateway.share.ask(now, GatewayId(id as u64 + 1), &stake.terms)
                && let Some(grant) = scripted.ask(key, START + milli * 1_000, &ask, stake)
            {
                gateway.coming = Some((milli + WAY, grant));
            }
        }
    }
    story
}

/// How many of these one bucket admits that sees everything.
fn exact(times: &[u64], bucket: &Bucket) -> usize {
    let mut state = FullAt::default();
    let admits = |time: &u64| bucket.check(state, *time, 1).map(|after| state = after).is_ok();
    times.iter().map(admits).filter(|admitted| *admitted).count()
}

#[test]
fn three_gateways_lose_no_more_than_two_percent_and_overrun_by_no_more_than_their_leases() {
    let redis = Redis::start();
    let mut scripted = Scripted::new(redis.connection());
    let bucket = Bucket::new("1000/s".parse().unwrap(), 1_000).unwrap();
    let terms = Terms { most: 300, overdraft: 37, ahead: Terms::AHEAD, ttl: Terms::TTL };
    let present = Present { known: 3, heard: 3, gone_after: Present::GONE_AFTER };
    let stake = Stake { budget: Budget::Rate(bucket), terms, present };
    let (steady, millis) = (2_000 * MILLI, 8_000);
    for (nth, (total, skew)) in [
        (500.0, [0.9, 0.09, 0.01]),
        (1_000.0, [0.9, 0.09, 0.01]),
        (1_200.0, [0.9, 0.09, 0.01]),
        (3_000.0, [0.5, 0.49, 0.01]),
        (1_200.0, [1.0, 0.0, 0.0]),
    ]
    .into_iter()
    .enumerate()
    {
        let story = play(&format!("{{t}}:{nth}"), &mut scripted, &stake, &skew.map(|part| part * total), millis);
        let before = |times: &[u64]| times.iter().filter(|time| **time < steady).count();
        let early = &story.came[..before(&story.came)];
        let would = exact(&story.came, &bucket) - exact(early, &bucket);
        let admitted = story.admitted.len() - before(&story.admitted);
        let lost = 100.0 - admitted as f64 * 100.0 / would as f64;
        println!("{total}/s by {skew:?}: {admitted} of {would}, {lost:.2} % lost");
        assert!(admitted * 100 >= would * 98, "{total} by {skew:?}: {admitted} of {would}");
        let wider = Bucket::new("1000/s".parse().unwrap(), 1_000 + 3 * terms.lease()).unwrap();
        assert_eq!(exact(&story.admitted, &wider), story.admitted.len(), "{total} by {skew:?}: beyond the bound");
    }
    let stats: String = redis.run_command("INFO commandstats");
    println!("{}", stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap());
}

#[test]
fn a_quota_is_spent_to_its_end_and_by_no_more_than_the_leases_beyond() {
    let redis = Redis::start();
    let mut scripted = Scripted::new(redis.connection());
    let terms = Terms { most: 60, overdraft: 7, ahead: Terms::AHEAD, ttl: Terms::TTL };
    let present = Present { known: 3, heard: 3, gone_after: Present::GONE_AFTER };
    let stake = Stake { budget: Budget::Quota(5_000), terms, present };
    let story = play("{t}:q", &mut scripted, &stake, &[900.0, 90.0, 10.0], 9_000);
    let admitted = story.admitted.len();
    assert!((4_900..=5_000 + 3 * 67).contains(&admitted), "{admitted}");
}
