//! `tracestate` of W3C Trace Context: what vendors add to a trace, passed on as it came or within its limits.
//!
//! A list of at most [`MEMBERS`] members `key=value`, over as many fields as there are. One that breaks a rule is given up
//! as a whole, as the specification has it: a broken list says nothing. Keys are read by the grammar of level 2, which takes
//! all that level 1 takes.

use crate::class::trim_ows;

/// The most members of a list; one that has more is given up.
const MEMBERS: usize = 32;
/// Past this length members are left out: first those longer than [`LONG_MEMBER`], then the last ones.
const LENGTH: usize = 512;
/// A member longer than this is among the first to be left out.
const LONG_MEMBER: usize = 128;
/// The bound on a key's bytes and on a value's.
const PART: usize = 256;

/// What becomes of the fields of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceState {
    /// There is none, or it is to be given up.
    None,
    /// The one field there is goes on as it is.
    AsItIs,
    /// This takes the place of all fields.
    Written(Vec<u8>),
}

impl TraceState {
    /// Judges the values of all fields, in order; `fields` gives them anew each time. Allocates only where something else
    /// than what came is to be written.
    pub fn of<'a, I: Iterator<Item = &'a [u8]>>(fields: impl Fn() -> I) -> Self {
        let (mut count, mut length) = (0, 0usize);
        for member in members(fields()) {
            if !is_member(member) {
                return Self::None;
            }
            count += 1;
            length += member.len() + 1;
        }
        if count == 0 || count > MEMBERS {
            return Self::None;
        }
        let length = length - 1;
        let mut all = fields();
        let only = all.next().filter(|_| all.next().is_none());
        // Nothing but members and commas, and not too much of it.
        if only.is_some_and(|only| only.len() == length && length <= LENGTH) {
            return Self::AsItIs;
        }
        Self::Written(written(members(fields()), length))
    }
}

/// The members of all fields; empty ones are allowed and say nothing.
fn members<'a>(fields: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    let members = fields.flat_map(|field| field.split(|byte| *byte == b','));
    members.map(trim_ows).filter(|member| !member.is_empty())
}

fn is_member(member: &[u8]) -> bool {
    let Some(at) = member.iter().position(|byte| *byte == b'=') else { return false };
    let Some((key, [_, value @ ..])) = member.split_at_checked(at) else { return false };
    is_key(key) && is_value(value)
}

fn is_key(key: &[u8]) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = |byte: &u8| alphanumeric(byte) || b"_-*/@".contains(byte);
    key.len() <= PART && key.first().is_some_and(alphanumeric) && key.iter().all(fits)
}

/// Printable ASCII but `,` and `=`. A space at its end was trimmed before.
fn is_value(value: &[u8]) -> bool {
    let fits = |byte: &u8| matches!(byte, b' '..=b'~') && !b",=".contains(byte);
    (1..=PART).contains(&value.len()) && value.iter().all(fits)
}

/// One list of the members, within [`LENGTH`] bytes.
fn written<'a>(members: impl Iterator<Item = &'a [u8]>, mut length: usize) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = members.collect();
    if length > LENGTH {
        kept.retain(|member| {
            let leave = length > LENGTH && member.len() > LONG_MEMBER;
            if leave {
                length -= member.len() + 1;
            }
            !leave
        });
    }
    while length > LENGTH
        && let Some(last) = kept.pop()
    {
        length -= last.len() + 1;
    }
    kept.join(&b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[&str]) -> TraceState {
        TraceState::of(|| fields.iter().map(|field| field.as_bytes()))
    }

    fn written(text: &str) -> TraceState {
        TraceState::Written(text.as_bytes().to_vec())
    }

    #[test]
    fn a_list_that_is_right_goes_on_as_it_is() {
        for list in ["a=b", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "t1@vendor=x y", "0a=b", "a=!~", &many(32)] {
            assert_eq!(of(&[list]), TraceState::AsItIs, "{list}");
        }
    }

    #[test]
    fn several_fields_become_one_and_what_says_nothing_is_left_out() {
        assert_eq!(of(&["a=1", "b=2"]), written("a=1,b=2"));
        assert_eq!(of(&["a=1, b=2\t,", " c=3 "]), written("a=1,b=2,c=3"));
        assert_eq!(of(&["", "a=1"]), written("a=1"));
        assert_eq!(of(&["a=1,,b=2"]), written("a=1,b=2"));
    }

    #[test]
    fn a_broken_list_is_given_up_as_a_whole() {
        let long = format!("{}=1", "k".repeat(257));
        let wide = format!("k={}", "v".repeat(257));
        let cases = [
            "a",
            "=b",
            "a=",
            "A=b",
            "a=b=c",
            "a=b,c",
            "@a=b",
            "-a=b",
            "a b=c",
            "a=b\u{7f}",
            "a=é",
            &long,
            &wide,
            &many(33),
        ];
        for list in cases {
            assert_eq!(of(&[list]), TraceState::None, "{list}");
            assert_eq!(of(&["ok=1", list]), TraceState::None, "{list}");
        }
        assert_eq!(of(&[]), TraceState::None);
        assert_eq!(of(&["", " , "]), TraceState::None);
    }

    #[test]
    fn past_its_length_long_members_go_first_and_then_the_last_ones() {
        let long = format!("long={}", "v".repeat(200));
        let short: Vec<String> = (0..10).map(|n| format!("k{n}={}", "v".repeat(47))).collect();
        let list = format!("{long},{}", short.join(","));
        assert_eq!(of(&[&list]), written(&short.join(",")), "509 bytes are left without the long one");
        let more = format!("{},{long},last=1", short.join(","));
        assert_eq!(of(&[&more]), written(&short.join(",")), "the last one goes, then it fits");
    }

    fn many(count: usize) -> String {
        (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",")
    }
}
