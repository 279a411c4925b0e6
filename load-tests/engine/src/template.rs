//! Texts with places that each request fills in: its number, a random number, one of a list. Pure.
//!
//! What a place gets follows from the seed and the request's number, not from when it is sent: the request of a number is
//! the same in every run of a plan.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use portcullis_judge::random::Random;

/// Lists that places choose from, by name.
pub type Values = BTreeMap<String, Arc<[String]>>;

/// Which request a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Its number, from 1.
    pub number: u64,
    /// The seed of the run.
    pub seed: u64,
}

/// A text with places.
#[derive(Debug, Clone, Default)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(Vec<u8>),
    Number,
    Random(usize),
    Hex(usize),
    Pick(Arc<[String]>),
}

impl Template {
    /// Reads a text. Places are `@{n}`, `@{random:1000}` (a number below), `@{hex:40}` (so many digits), `@{pick:keys}` (one
    /// of the list of that name); `@{at}` is an at sign.
    ///
    /// # Errors
    ///
    /// What is wrong with a place, in words.
    pub fn parse(text: &str, values: &Values) -> Result<Self, String> {
        let mut pieces = text.split("@{");
        let mut parts = Vec::new();
        push_text(&mut parts, pieces.next().unwrap_or_default());
        for piece in pieces {
            let (place, rest) = piece.split_once('}').ok_or("`@{` without a `}`")?;
            if place == "at" {
                push_text(&mut parts, "@");
            } else {
                parts.push(part(place, values)?);
            }
            push_text(&mut parts, rest);
        }
        Ok(Self { parts })
    }

    /// The text, if it has no places.
    #[must_use]
    pub fn fixed(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [] => Some(b""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text of a turn.
    pub fn write(&self, turn: Turn, out: &mut Vec<u8>) {
        let mut random = None;
        for part in &self.parts {
            let mut below = |limit| random.get_or_insert_with(|| turn.random()).below(limit);
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Number => number(out, turn.number),
                Part::Random(limit) => number(out, u64::try_from(below(*limit)).unwrap_or_default()),
                Part::Hex(count) => {
                    out.extend((0..*count).filter_map(|_| b"0123456789abcdef".get(below(16)).copied()));
                }
                Part::Pick(list) => {
                    out.extend(list.get(below(list.len())).map_or(b"".as_slice(), |text| text.as_bytes()))
                }
            }
        }
    }
}

impl Turn {
    /// Random numbers of this turn's own.
    #[must_use]
    pub const fn random(self) -> Random {
        Random::new(self.seed ^ self.number.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.extend_from_slice(text.as_bytes()),
        _ => parts.push(Part::Text(text.as_bytes().to_vec())),
    }
}

fn part(place: &str, values: &Values) -> Result<Part, String> {
    let count = |text: &str, most: usize| {
        let count = text.parse::<usize>().ok().filter(|count| (1..=most).contains(count));
        count.ok_or_else(|| format!("`@{{{place}}}` needs a number from 1 to {most}"))
    };
    match place.split_once(':') {
        None if place == "n" => Ok(Part::Number),
        Some(("random", limit)) => count(limit, 1 << 31).map(Part::Random),
        Some(("hex", digits)) => count(digits, 1 << 16).map(Part::Hex),
        Some(("pick", name)) => match values.get(name) {
            Some(list) if list.is_empty() => Err(format!("the list `{name}` is empty")),
            Some(list) => Ok(Part::Pick(Arc::clone(list))),
            None => Err(format!("there is no list `{name}` in `values`")),
        },
        _ => Err(format!("`@{{{place}}}` is not a place: there are `n`, `random:N`, `hex:N`, `pick:NAME` and `at`")),
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    // A vector takes all that is written.
    drop(write!(out, "{number}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values::from([("keys".to_owned(), ["a", "b"].map(str::to_owned).into()), ("none".to_owned(), [].into())])
    }

    fn text(template: &str, number: u64) -> String {
        let mut out = Vec::new();
        Template::parse(template, &values()).unwrap().write(Turn { number, seed: 5 }, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fills_in_what_a_request_decides() {
        assert_eq!(text("/r/@{n}?a=@{at}{x}", 7), "/r/7?a=@{x}");
        assert_eq!(text("{\"id\":@{n},\"p\":[{}]}", 9), "{\"id\":9,\"p\":[{}]}");
        let drawn: Vec<String> = (1..400).map(|number| text("@{pick:keys}@{random:10}@{hex:3}", number)).collect();
        assert_eq!(drawn[4], text("@{pick:keys}@{random:10}@{hex:3}", 5), "the number decides");
        assert!(drawn.iter().all(|one| one.len() == 5 && (one.starts_with('a') || one.starts_with('b'))), "{drawn:?}");
        let a = drawn.iter().filter(|one| one.starts_with('a')).count();
        assert!((150..250).contains(&a), "{a} of 399");
    }

    #[test]
    fn knows_what_is_fixed() {
        let fixed = |text: &str| Template::parse(text, &values()).unwrap().fixed().map(<[u8]>::to_vec);
        assert_eq!(fixed("abc@{at}d"), Some(b"abc@d".to_vec()));
        assert_eq!(fixed(""), Some(Vec::new()));
        assert_eq!(fixed("a@{n}"), None);
    }

    #[test]
    fn refuses_places_that_it_does_not_know() {
        for (text, expected) in [
            ("@{m}", "is not a place"),
            ("@{pick:kyes}", "there is no list `kyes`"),
            ("@{pick:none}", "is empty"),
            ("@{random:0}", "needs a number"),
            ("@{hex:x}", "needs a number"),
            ("a @{n", "without a `}`"),
        ] {
            let error = Template::parse(text, &values()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
