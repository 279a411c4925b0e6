//! The `RateLimit-Policy` and `RateLimit` fields of draft-ietf-httpapi-ratelimit-headers-11 (May 2026), as structured
//! fields (RFC 9651).
//!
//! How caps are told: a bucket is a policy of its burst (`q`) in the time that it takes to fill (`w`), so that a client
//! that keeps to the policy keeps to the bucket. A quota is its limit in the length of the day or month. A number at
//! once has no window and the unit `concurrent-requests`; connections, subscriptions and credits are told with units
//! that the draft's registry does not have, since to call them requests would be wrong.

use crate::policy::{Held, Unit};
use crate::standing::{Counted, Refusal, Standing, ceil};

/// The largest integer of a structured field (RFC 9651 section 3.3.1).
const MAX_INTEGER: u64 = 999_999_999_999_999;

/// Appends a `RateLimit-Policy` value: `"rate";q=20;w=2, "connections";q=5;qu="connections"`.
///
/// The names must be distinct; those of one request's caps are.
pub fn write_policy<'a>(standings: impl IntoIterator<Item = &'a Standing>, out: &mut String) {
    for (nth, standing) in standings.into_iter().enumerate() {
        name(nth, standing, out);
        integer("q", standing.limit, out);
        if let Some(unit) = unit(standing.counted) {
            // The units are constants without quotes.
            [";qu=\"", unit, "\""].into_iter().for_each(|part| out.push_str(part));
        }
        if let Some(window) = standing.window {
            integer("w", ceil(window).max(1), out);
        }
    }
}

/// Appends a `RateLimit` value: `"rate";r=17;t=1`.
pub fn write_limit<'a>(standings: impl IntoIterator<Item = &'a Standing>, out: &mut String) {
    for (nth, standing) in standings.into_iter().enumerate() {
        name(nth, standing, out);
        integer("r", standing.remaining, out);
        if let Some(reset) = standing.reset {
            integer("t", ceil(reset), out);
        }
    }
}

/// Appends the `RateLimit` value of a refusal. Its `t` is the `Retry-After`, as the draft's section 6 wants.
pub fn write_refused(refusal: &Refusal, out: &mut String) {
    name(0, &refusal.standing, out);
    integer("r", refusal.standing.remaining, out);
    if let Some(seconds) = refusal.retry_after() {
        integer("t", seconds, out);
    }
}

fn name(nth: usize, standing: &Standing, out: &mut String) {
    if nth > 0 {
        out.push_str(", ");
    }
    out.push('"');
    if standing.cap.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        out.push_str(&standing.cap);
    } else {
        escaped(&standing.cap, out);
    }
    out.push('"');
}

#[cold]
fn escaped(name: &str, out: &mut String) {
    for character in name.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        // Names are checked to be printable when caps are made.
        out.push(if matches!(character, ' '..='~') { character } else { '?' });
    }
}

fn integer(key: &str, value: u64, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    [";", key, "=", digits.format(value.min(MAX_INTEGER))].into_iter().for_each(|part| out.push_str(part));
}

/// `None` for the default of the draft.
const fn unit(counted: Counted) -> Option<&'static str> {
    match counted {
        Counted::Spent(Unit::Requests) => None,
        Counted::Spent(Unit::Credits) => Some("credits"),
        Counted::Spent(Unit::Bytes) => Some("content-bytes"),
        Counted::Held(Held::Requests) => Some("concurrent-requests"),
        Counted::Held(Held::Connections) => Some("connections"),
        Counted::Held(Held::Subscriptions) => Some("subscriptions"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::Scope;
    use crate::short::Wait;
    use crate::standing::RefusalKind;

    fn standing(cap: &str, counted: Counted, limit: u64, time: Option<(u64, u64)>) -> Standing {
        Standing {
            cap: cap.into(),
            scope: Scope::Plan,
            counted,
            limit,
            window: time.map(|(window, _)| Duration::from_millis(window)),
            remaining: limit.saturating_sub(3),
            reset: time.map(|(_, reset)| Duration::from_millis(reset)),
        }
    }

    fn check(standings: &[Standing], policy: &str, limit: &str) {
        let (mut policies, mut limits) = (String::new(), String::new());
        write_policy(standings, &mut policies);
        write_limit(standings, &mut limits);
        assert_eq!((policies.as_str(), limits.as_str()), (policy, limit));
    }

    #[test]
    fn writes_lists_of_items() {
        let rate = standing("rate", Counted::Spent(Unit::Requests), 20, Some((1_500, 1)));
        let month = standing("credits.month", Counted::Spent(Unit::Credits), 1_000_000, Some((2_592_000_000, 60_000)));
        let bytes = standing("bytes.rate", Counted::Spent(Unit::Bytes), u64::MAX, Some((500, 0)));
        let at_once = standing("concurrency", Counted::Held(Held::Requests), 5, None);
        check(&[], "", "");
        check(std::slice::from_ref(&rate), "\"rate\";q=20;w=2", "\"rate\";r=17;t=1");
        check(
            &[rate, month, at_once],
            "\"rate\";q=20;w=2, \"credits.month\";q=1000000;qu=\"credits\";w=2592000, \
             \"concurrency\";q=5;qu=\"concurrent-requests\"",
            "\"rate\";r=17;t=1, \"credits.month\";r=999997;t=60, \"concurrency\";r=2",
        );
        check(
            &[bytes],
            "\"bytes.rate\";q=999999999999999;qu=\"content-bytes\";w=1",
            "\"bytes.rate\";r=999999999999999;t=0",
        );
        let odd = standing("a\"b\\c\n", Counted::Held(Held::Connections), 5, None);
        check(&[odd], "\"a\\\"b\\\\c?\";q=5;qu=\"connections\"", "\"a\\\"b\\\\c?\";r=2");
    }

    #[test]
    fn a_refusal_tells_when_to_come_again() {
        for (wait, seconds, expected) in [
            (Wait::For(Duration::from_nanos(1)), Some(1), "\"rate\";r=17;t=1"),
            (Wait::For(Duration::from_millis(2_000)), Some(2), "\"rate\";r=17;t=2"),
            (Wait::For(Duration::from_millis(2_001)), Some(3), "\"rate\";r=17;t=3"),
            (Wait::For(Duration::ZERO), Some(1), "\"rate\";r=17;t=1"),
            (Wait::Unknown, Some(1), "\"rate\";r=17;t=1"),
            (Wait::Never, None, "\"rate\";r=17"),
        ] {
            let standing = standing("rate", Counted::Spent(Unit::Requests), 20, Some((2_000, 500)));
            let refusal = Refusal { kind: RefusalKind::OverRate, standing, set: "free".into(), cost: 4, wait };
            let mut out = String::new();
            write_refused(&refusal, &mut out);
            assert_eq!((refusal.retry_after(), out.as_str()), (seconds, expected), "{wait:?}");
        }
    }
}
