//! The bucket against a naive one in 128-bit fractions, and its edits.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn bucket(rate: &str, burst: u64) -> Bucket {
    Bucket::new(rate.parse().unwrap(), burst).unwrap()
}

/// The textbook's bucket: a level that grows with time, in units of `1 / period` of a token.
struct Naive {
    count: u128,
    per: u128,
    most: u128,
    level: u128,
    at: u64,
}

impl Naive {
    fn new(count: u64, per: u64, burst: u64) -> Self {
        let (count, per) = (u128::from(count), u128::from(per));
        Self { count, per, most: u128::from(burst) * per, level: u128::from(burst) * per, at: 0 }
    }

    fn refill(&mut self, now: u64) {
        self.level = self.most.min(self.level + u128::from(now - self.at) * self.count);
        self.at = now;
    }

    fn take(&mut self, now: u64, cost: u64) -> bool {
        self.refill(now);
        let cost = u128::from(cost) * self.per;
        let taken = cost <= self.level;
        if taken {
            self.level -= cost;
        }
        taken
    }
}

#[test]
fn refuses_what_makes_no_bucket() {
    for (rate, burst, error) in [
        ("0/s", 1, BucketError::NoRate),
        ("1/s", 0, BucketError::NoBurst),
        ("1/month", 1, BucketError::Month),
        ("4294967311/s", 1, BucketError::TooFine),
        ("1/d", 1 << 62, BucketError::TooDeep),
        ("1/s", u64::MAX, BucketError::TooDeep),
    ] {
        assert_eq!(Bucket::new(rate.parse().unwrap(), burst), Err(error), "{rate} {burst}");
    }
}

#[test]
fn says_what_it_is() {
    for (rate, burst, expected) in [
        ("10/s", 20, "10 per second, burst 20"),
        ("90/m", 1, "90 per minute, burst 1"),
        ("60/m", 1, "1 per second, burst 1"),
        ("5/d", 5, "5 per day, burst 5"),
    ] {
        assert_eq!(bucket(rate, burst).to_string(), expected);
    }
}

#[test]
fn three_per_second_are_three_million_in_a_million_seconds() {
    let bucket = bucket("3/s", 1);
    let mut state = FullAt::default();
    for _ in 0..3_000_001 {
        state = bucket.spend(state, 0, 1);
    }
    // All but the burst has come after exactly that time.
    assert!(bucket.check(state, 1_000_000 * SECOND, 1).is_err());
    assert_eq!(bucket.remaining(state, 1_000_000 * SECOND), 0);
    assert_eq!(bucket.full_in(state, 1_000_000 * SECOND), Duration::from_nanos(333_333_334));
    assert!(bucket.check(state, 1_000_000 * SECOND + 333_333_334, 1).is_ok());
    assert!(bucket.check(state, 1_000_000 * SECOND + 333_333_333, 1).is_err());
}

#[test]
fn more_than_the_burst_is_never_allowed() {
    let bucket = bucket("10/s", 20);
    assert!(bucket.check(FullAt::default(), 0, 20).is_ok());
    assert_eq!(bucket.check(FullAt::default(), 0, 21), Err(Short { remaining: 20, wait: Wait::Never }));
}

#[test]
fn debt_is_waited_off_and_an_edit_keeps_it() {
    let slow = bucket("10/s", 20);
    let owes_100 = slow.spend(FullAt::default(), 0, 120);
    assert_eq!(slow.check(owes_100, 0, 1).unwrap_err().wait, Wait::For(Duration::from_millis(10_100)));
    let fast = bucket("100/s", 200);
    let kept = fast.adopt(&slow, owes_100, 0);
    assert_eq!(fast.remaining(kept, 0), 80);
    let tight = bucket("10/s", 5);
    let kept = tight.adopt(&slow, owes_100, 0);
    assert_eq!(tight.full_in(kept, 0), Duration::from_secs(12));
    assert_eq!(tight.full_in(tight.clamp(kept, 0), 0), Duration::from_millis(500));
}

#[test]
fn scaling_multiplies_rate_and_burst() {
    for (thousandths, expected) in [
        (2_000, "20 per second, burst 40"),
        (500, "5 per second, burst 10"),
        (1_000, "10 per second, burst 20"),
        (1, "36 per hour, burst 1"),
    ] {
        assert_eq!(bucket("10/s", 20).scaled(thousandths).to_string(), expected);
    }
    let fine = bucket("4294967291/s", 1000).scaled(1_001);
    assert_eq!(fine.tokens_in(Duration::from_secs(1)) / 1_000, 4_299_262);
}

#[test]
fn the_longest_times_do_not_overflow() {
    let bucket = bucket("1/d", 1);
    let late = 1 << 62;
    let forever = bucket.spend(FullAt::default(), late, u64::MAX);
    assert!(bucket.check(forever, late, 1).is_err());
    assert_eq!(bucket.remaining(forever, 0), 0);
    let _ = bucket.adopt(&bucket, forever, 0);
}

fn rate() -> impl Strategy<Value = (u64, u64, u64)> {
    let per = prop_oneof![Just(SECOND), Just(60 * SECOND), Just(86_400 * SECOND), 1_u64..2_000];
    (prop_oneof![1_u64..20, 1_u64..1_000_000, Just(4_294_967_291)], per, 1_u64..50)
}

proptest! {
    #[test]
    fn decides_as_the_naive_bucket_does(
        (count, per, burst) in rate(),
        asked in prop::collection::vec((0_u64..3_000, 0_u64..60), 1..200),
    ) {
        let bucket = Bucket::of(count, per, burst).unwrap();
        let mut naive = Naive::new(count, per, burst);
        let (mut state, mut now) = (FullAt::default(), 0_u64);
        for (steps, cost) in asked {
            // In thousandths of the time of a token, so that the edges are met whatever the rate.
            let passed = u128::from(steps) * u128::from(per) / u128::from(count) / 1_000;
            now += u64::try_from(passed).unwrap() + steps % 2;
            naive.refill(now);
            prop_assert_eq!(u128::from(bucket.remaining(state, now)), naive.level / naive.per);
            let checked = bucket.check(state, now, cost);
            prop_assert_eq!(checked.is_ok(), naive.take(now, cost));
            match checked {
                Ok(after) => state = after,
                Err(Short { wait: Wait::For(wait), .. }) => {
                    let then = now + u64::try_from(wait.as_nanos()).unwrap();
                    prop_assert!(bucket.check(state, then, cost).is_ok());
                    prop_assert!(bucket.check(state, then - 1, cost).is_err());
                }
                Err(short) => prop_assert!(short.wait == Wait::Never && cost > burst),
            }
        }
    }

    #[test]
    fn an_edit_neither_gives_nor_takes_tokens(
        (count, per, burst) in rate(),
        (other_count, other_per, other_burst) in rate(),
        spent in 0_u64..200,
    ) {
        let (before, after) = (Bucket::of(count, per, burst).unwrap(), Bucket::of(other_count, other_per, other_burst).unwrap());
        let owed = before.spend(FullAt::default(), 7, spent);
        let kept = after.adopt(&before, owed, 7);
        prop_assert_eq!(kept, after.spend(FullAt::default(), 7, spent));
    }
}
