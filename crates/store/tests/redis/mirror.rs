//! The script answers as the pool of `portcullis-caps` does, number by number.

use std::time::Duration;

use portcullis_caps::{Ask, Bucket, Budget, GatewayId, Pool, Present, Stake, Terms};
use proptest::prelude::*;

use crate::script::Scripted;
use crate::server::Redis;

/// A time that Redis's clock has said, in microseconds.
const NOW: u64 = 1_772_323_200_123_456;

/// One word: who, after how many microseconds, what.
#[derive(Debug, Clone)]
struct Step {
    gateway: u64,
    after: u64,
    new_life: i64,
    skipped: u64,
    spends: u64,
    keeps: u64,
    want: u64,
    share: u64,
    present: (u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let after =
        prop_oneof![0_u64..2_000, 0_u64..200_000, 900_000_u64..1_100_000, 0_u64..40_000_000, Just(90_000_000_000)];
    let new_life = prop_oneof![8 => Just(0_i64), 1 => Just(1), 1 => Just(-1)];
    let number = || prop_oneof![Just(0_u64), 0_u64..20, 0_u64..2_000, Just(1 << 40)];
    let words = (0_u64..5, after, new_life, prop_oneof![8 => Just(1_u64), 1 => Just(0), 1 => Just(3)]);
    (words, number(), number(), number(), 0_u64..500, (1_u32..6, 0_u32..6)).prop_map(
        |((gateway, after, new_life, skipped), spends, keeps, want, share, present)| {
            let present = (present.0, present.1.min(present.0));
            Step { gateway, after, new_life, skipped, spends, keeps, want, share, present }
        },
    )
}

fn budgets() -> impl Strategy<Value = Budget> {
    let rates = prop::sample::select(vec![
        "1/s",
        "10/s",
        "300/s",
        "999/s",
        "123457/s",
        "7/m",
        "1000/h",
        "999983/d",
        "3000000000/s",
    ]);
    let rate = (rates, prop_oneof![1_u64..100, 1_u64..100_000, Just(1 << 33)])
        .prop_filter_map("a bucket", |(rate, burst)| Some(Budget::Rate(Bucket::new(rate.parse().ok()?, burst).ok()?)));
    prop_oneof![2 => rate, 1 => prop_oneof![0_u64..5_000, Just(1 << 50)].prop_map(Budget::Quota)]
}

/// What gateways know of themselves.
#[derive(Clone, Copy, Default)]
struct Side {
    life: u64,
    word: u64,
    before: u64,
    spent: u64,
    heard: u64,
    allowance: u64,
}

/// Plays the words to both; the first that they answer differently.
fn play(scripted: &mut Scripted, key: &str, budget: Budget, terms: Terms, steps: &[Step]) -> Result<(), String> {
    let (mut pool, mut now) = (Pool::default(), NOW);
    let mut sides = [Side { life: 1_772_323_200_000, ..Side::default() }; 5];
    for (nth, step) in steps.iter().enumerate() {
        now += step.after;
        let side = &mut sides[usize::try_from(step.gateway).unwrap()];
        if step.new_life != 0 {
            let life = side.life.saturating_add_signed(step.new_life);
            *side = Side { life, before: side.before + side.spent, ..Side::default() };
        }
        side.word += step.skipped;
        side.spent += step.spends;
        // Whatever it says: within its allowance, beyond it, or giving back.
        let allowance = side.spent.max(side.allowance.min(side.spent + step.keeps));
        let ask = Ask {
            gateway: GatewayId(step.gateway + 1),
            life: side.life,
            word: side.word,
            before: side.before,
            spent: side.spent,
            heard: side.heard,
            allowance,
            share: step.share,
            want: step.want,
        };
        let (known, heard) = step.present;
        let present = Present { known, heard, gone_after: Present::GONE_AFTER };
        let stake = Stake { budget, terms, present };
        let exact = pool.ask(now * 1_000, &ask, &stake);
        let mirrored = scripted.ask(key, now, &ask, &stake);
        if exact != mirrored {
            return Err(format!("word {nth} at {now}: {exact:?} is answered {mirrored:?} to {ask:?}"));
        }
        if let Some(grant) = exact {
            (side.allowance, side.heard) = (grant.allowance, side.spent);
        }
    }
    Ok(())
}

#[test]
fn the_script_answers_every_schedule_of_words_as_the_pool_does() {
    let redis = Redis::start();
    let scripted = std::cell::RefCell::new((Scripted::new(redis.connection()), 0));
    let strategy = (budgets(), (1_u64..400, 0_u64..40), prop::collection::vec(step(), 1..40));
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let run = proptest::test_runner::TestRunner::new(config).run(&strategy, |(budget, (most, overdraft), steps)| {
        let (scripted, nth) = &mut *scripted.borrow_mut();
        *nth += 1;
        let terms = Terms { most, overdraft, ahead: Terms::AHEAD, ttl: Terms::TTL }.checked().unwrap();
        play(scripted, &format!("{{t}}:{nth}"), budget, terms, &steps).map_err(TestCaseError::fail)
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

fn word(nth: u64, spent: u64, want: u64) -> Ask {
    let gateway = GatewayId(1);
    Ask { gateway, life: 1, word: nth, before: 0, spent, heard: 0, allowance: spent, share: 0, want }
}

fn stake(budget: Budget) -> Stake {
    let terms = Terms { most: 100, overdraft: 0, ahead: Terms::AHEAD, ttl: Terms::TTL };
    Stake { budget, terms, present: Present::ALONE }
}

/// As after a failover to a machine whose clock is behind.
#[test]
fn a_clock_that_is_set_back_stops_no_bucket() {
    let redis = Redis::start();
    let mut scripted = Scripted::new(redis.connection());
    let stake = stake(Budget::Rate(Bucket::new("100/s".parse().unwrap(), 100).unwrap()));
    let first = scripted.ask("a", NOW, &word(1, 100, 100), &stake).unwrap();
    assert_eq!(first.left, 0);
    let back = NOW - 600_000_000;
    assert_eq!(scripted.ask("a", back, &word(2, 100, 100), &stake).unwrap().allowance, 100);
    assert_eq!(scripted.ask("a", back + 500_000, &word(3, 100, 100), &stake).unwrap().allowance, 150);
}

#[test]
fn a_rate_that_is_edited_forgives_no_debt() {
    let redis = Redis::start();
    let mut scripted = Scripted::new(redis.connection());
    let rate = |text: &str, burst| stake(Budget::Rate(Bucket::new(text.parse().unwrap(), burst).unwrap()));
    let slow = scripted.ask("a", NOW, &word(1, 80, 0), &rate("7/m", 100)).unwrap();
    assert_eq!(slow.left, 20);
    let fast = scripted.ask("a", NOW, &word(2, 80, 0), &rate("1000/s", 100)).unwrap();
    assert_eq!(fast.left, 20, "the tokens that are missing stay missing");
    assert_eq!(scripted.ask("a", NOW + 30_000, &word(3, 80, 0), &rate("1000/s", 100)).unwrap().left, 50);
}

#[test]
fn what_means_nothing_any_more_is_forgotten() {
    let redis = Redis::start();
    let mut scripted = Scripted::new(redis.connection());
    let stake = stake(Budget::Rate(Bucket::new("100/s".parse().unwrap(), 100).unwrap()));
    let _ = scripted.ask("{a}:1", NOW, &word(1, 50, 0), &stake);
    let left: u64 = redis.run_command("PTTL {a}:1");
    assert!((60_000..63_000).contains(&left), "twice until gateways are forgotten, and until it is full: {left}");
    assert!(Duration::from_millis(left) > Present::GONE_AFTER);
}

#[test]
fn a_key_that_holds_something_else_is_an_error_and_is_left_alone() {
    let redis = Redis::start();
    let mut connection = redis.connection();
    let _: () = redis::cmd("LPUSH").arg("a").arg("x").query(&mut connection).unwrap();
    let script = concat!("local function clock() return 1 end\n", include_str!("../../src/redis/pool.lua"));
    let asked: redis::RedisResult<redis::Value> = redis::cmd("EVAL")
        .arg(script)
        .arg(1)
        .arg("a")
        .arg(&["1", "1", "1", "quota", "9", "0", "0", "1", "1", "1", "9", "1", "1", "1", "0", "0", "0", "0", "0", "1"])
        .query(&mut connection);
    assert_eq!(asked.unwrap_err().code(), Some("WRONGTYPE"));
    assert_eq!(redis.run_command::<String>("TYPE a"), "list");
}
