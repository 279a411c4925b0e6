//! How words to pools and their answers are written for the script.

use std::fmt::Write as _;

use portcullis_caps::{Budget, Grant, LeaseAsk, LeaseKey, Period, Present, Scope};
use redis::{Cmd, Value};

use super::slots::{tag_of, tag_text};

/// Numbers that the script holds exactly.
const EXACT: u64 = 1 << 52;
/// How long the pool of a rate is kept at most, of a day's quota and of a month's after the last word, in milliseconds.
const DAY: u64 = 86_400_000;
const KEEP_RATE: u64 = 400 * DAY;
const KEEP_DAY: u64 = 2 * DAY;
const KEEP_MONTH: u64 = 32 * DAY;

/// Fields of a word; the script counts on it.
const FIELDS: usize = 17;

/// A word, written.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    pub(crate) key: String,
    pub(crate) tag: u16,
    fields: [String; FIELDS],
}

impl Word {
    /// Writes a word; `None` when a number is too large for the script.
    pub(crate) fn of(prefix: &str, ask: &LeaseAsk) -> Option<Self> {
        let LeaseAsk { key, ask: word, budget, terms, period } = ask;
        let ttl = u64::try_from(terms.ttl.as_nanos()).ok()?;
        let (kind, most, count, per) = match budget {
            Budget::Rate(bucket) => {
                let (count, per) = fitting(bucket.fraction());
                ("rate", bucket.burst(), count, per)
            }
            Budget::Quota(limit) => ("quota", *limit, 0, 0),
        };
        let keep = match period {
            None => KEEP_RATE,
            Some(Period::Day) => KEEP_DAY,
            Some(Period::Month) => KEEP_MONTH,
        };
        let numbers = [most, count, per, terms.most, terms.lease(), ttl, keep];
        let totals = [word.life, word.word, word.before, word.spent, word.heard, word.allowance, word.share, word.want];
        if numbers.iter().chain(&totals).any(|number| *number >= EXACT) {
            return None;
        }
        let [most, count, per, hold, lease, ttl, keep] = numbers.map(|number| number.to_string());
        let [life, nth, before, spent, heard, allowance, share, want] = totals.map(|number| number.to_string());
        let gateway = word.gateway.0.to_string();
        let fields = [
            kind.to_owned(),
            most,
            count,
            per,
            hold,
            lease,
            ttl,
            keep,
            gateway,
            life,
            nth,
            before,
            spent,
            heard,
            allowance,
            share,
            want,
        ];
        let rest = name_of(key, *period);
        let tag = tag_of(&rest);
        Some(Self { key: format!("{{{}}}:{rest}", tag_text(prefix, tag)), tag, fields })
    }
}

/// Asks the pools of some words, which must have one tag in a cluster.
pub(crate) fn command(script: &str, present: Present, words: &[&Word]) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script).arg(words.len());
    for word in words {
        command.arg(&word.key);
    }
    let gone_after = u64::try_from(present.gone_after.as_nanos()).unwrap_or(EXACT - 1).min(EXACT - 1);
    command.arg(present.known).arg(present.heard).arg(gone_after);
    for field in words.iter().flat_map(|word| &word.fields) {
        command.arg(field);
    }
    command
}

/// What a pool answered: nothing to a word that was old.
pub(crate) fn grant(word: &portcullis_caps::Ask, answer: &Value) -> Option<Grant> {
    let Value::Array(numbers) = answer else { return None };
    let number = |nth: usize| match numbers.get(nth) {
        Some(Value::Int(number)) => u64::try_from(*number).ok(),
        _ => None,
    };
    let (life, word) = (word.life, word.word);
    Some(Grant { life, word, allowance: number(0)?, left: number(1)?, share: number(2)? })
}

/// A pool's name within its tag. No two pools have the same.
fn name_of(key: &LeaseKey, period: Option<Period>) -> String {
    let scope = match key.scope {
        Scope::Gateway => 'g',
        Scope::Route => 'r',
        Scope::Plan => 'p',
        Scope::Consumer => 'c',
    };
    let kind = match period {
        None => 'r',
        Some(Period::Day) => 'd',
        Some(Period::Month) => 'm',
    };
    let mut name = format!("{scope}{kind}{}", key.window);
    for field in [Some(&key.set), Some(&key.cap), key.consumer.as_ref()].into_iter().flatten() {
        name.push(':');
        escape(field, &mut name);
    }
    name
}

/// Writes a field so that it has no colon, no brace and no space.
fn escape(field: &str, into: &mut String) {
    for char in field.chars() {
        match char {
            ':' | '%' | '{' | '}' | '\0'..=' ' => {
                let _ = write!(into, "%{:02x}", u32::from(char));
            }
            char => into.push(char),
        }
    }
}

/// A fraction whose parts the script holds exactly. One that does not fit is a rate multiplied by an override; it is
/// taken as the nearest that does, which differs in the fifteenth digit.
fn fitting((count, per): (u32, u64)) -> (u64, u64) {
    const MOST: u64 = 1 << 51;
    let (mut a, mut b) = (u64::from(count), per);
    if b < MOST {
        return (a, b);
    }
    // The convergents of the continued fraction.
    let ((mut p, mut q), (mut p_before, mut q_before)) = ((1_u64, 0_u64), (0_u64, 1_u64));
    while b > 0 {
        let whole = a / b;
        let next = |last: u64, before: u64| whole.checked_mul(last)?.checked_add(before);
        let (Some(p_next), Some(q_next)) = (next(p, p_before), next(q, q_before)) else { break };
        if q_next >= MOST || p_next > u64::from(u32::MAX) {
            break;
        }
        ((p_before, q_before), (p, q)) = ((p, q), (p_next, q_next));
        (a, b) = (b, a % b);
    }
    if p == 0 || q == 0 { (1, per.min(MOST - 1)) } else { (p, q) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_that_does_not_fit_is_taken_as_its_nearest() {
        for (count, per) in [(1, 1_000_000), (7, 86_400_000_000_000), (7_007, 86_400_000_000_000_000), (1, u64::MAX)] {
            let (p, q) = fitting((count, per));
            assert!(q < 1 << 51 && p > 0);
            #[expect(clippy::cast_precision_loss, reason = "what is compared is the precision")]
            let off = (p as f64 / q as f64) / (f64::from(count) / per as f64) - 1.0;
            assert!(off.abs() < 1e-12 || per == u64::MAX, "{count}/{per}: {p}/{q}, {off}");
        }
    }

    #[test]
    fn fields_cannot_pose_as_others() {
        let mut text = String::new();
        escape("a:b%{c} d", &mut text);
        assert_eq!(text, "a%3ab%25%7bc%7d%20d");
    }
}
