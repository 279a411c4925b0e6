//! One entry of a file of consumers with some of its keys ended: everything else of its text stays.
//!
//! Both formats are read as YAML, of which JSON is a part, since that tells where each value stands. What came out is
//! read again as the gateway reads it, and compared: an edit that does anything else than what was asked is refused.

use portcullis_identity::directory::Limits;
use portcullis_identity::{Directory, Format, KeyHash, Timestamp};
use portcullis_yaml::{Diagnostics, Loader, Node, Position, SourceMap, Span, parse};
use std::io;
use std::path::{Path, PathBuf};

/// What is to end.
#[derive(Debug)]
pub(super) enum Target {
    /// All keys of this consumer.
    Consumer(String),
    /// This key.
    Hash(KeyHash),
}

impl Target {
    /// The text that an entry has if it has what is sought.
    fn text(&self) -> String {
        match self {
            Self::Consumer(id) => id.clone(),
            Self::Hash(hash) => hash.to_string(),
        }
    }
}

/// An entry after the edit.
#[derive(Debug)]
pub(super) struct Edited {
    pub(super) text: Vec<u8>,
    /// Whose it is, if it has what was sought.
    pub(super) id: Option<String>,
    /// Keys that ended now.
    pub(super) ended: usize,
    /// Keys that had ended before.
    pub(super) over: usize,
}

/// A text that takes the place of a stretch.
struct Change {
    at: std::ops::Range<usize>,
    text: String,
}

/// Ends keys of an entry, if it has what is sought.
pub(super) fn edit(format: Format, entry: Vec<u8>, target: &Target, now: Timestamp) -> Result<Edited, String> {
    let untouched = |text| Edited { text, id: None, ended: 0, over: 0 };
    let sought = target.text();
    let holds =
        |text: &[u8]| text.windows(sought.len().max(1)).any(|part| part.eq_ignore_ascii_case(sought.as_bytes()));
    if !holds(&entry) {
        return Ok(untouched(entry));
    }
    let text = String::from_utf8(entry).map_err(|_| "it is not UTF-8".to_owned())?;
    let node = read(&text)?;
    let consumer = match format {
        Format::Ndjson => Some(&node),
        Format::Yaml => node.items().first(),
    };
    let Some(consumer) = consumer else { return Ok(untouched(text.into_bytes())) };
    let id = scalar(consumer, "id").unwrap_or_default();
    let (mut changes, mut over) = (Vec::new(), 0);
    let mut found = matches!(target, Target::Consumer(wanted) if *wanted == id);
    for key in consumer.get("keys").map(|entry| entry.value.items()).unwrap_or_default() {
        let wanted = match target {
            Target::Consumer(_) => found,
            Target::Hash(hash) => {
                scalar(key, "hash").and_then(|text| text.parse::<KeyHash>().ok()).as_ref() == Some(hash)
            }
        };
        if !wanted {
            continue;
        }
        found = true;
        match change(&text, key, now)? {
            Some(change) => changes.push(change),
            None => over += 1,
        }
    }
    if !found {
        return Ok(untouched(text.into_bytes()));
    }
    let ended = changes.len();
    let text = apply(text, changes);
    verify(format, &text, &id, (ended + over, now))?;
    Ok(Edited { text: text.into_bytes(), id: Some(id), ended, over })
}

/// Variables mean nothing in a file of consumers.
struct Plain;

impl Loader for Plain {
    fn read(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn env(&self, _: &str) -> Option<String> {
        Some(String::new())
    }

    fn glob(&self, _: &Path, _: &str) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

fn read(text: &str) -> Result<Node, String> {
    let mut sources = SourceMap::default();
    let id = sources.add("entry", text.to_owned());
    let mut diagnostics = Diagnostics::new();
    let node = parse(id, &sources, &Plain, &portcullis_yaml::Limits::default(), &mut diagnostics);
    node.filter(|_| !diagnostics.has_errors())
        .ok_or_else(|| "it cannot be read; `portcullis check` says why".to_owned())
}

fn scalar(node: &Node, key: &str) -> Option<String> {
    Some(node.get(key)?.value.scalar()?.text().to_owned())
}

/// What ends a key; `None` when it has ended.
fn change(text: &str, key: &Node, now: Timestamp) -> Result<Option<Change>, String> {
    let odd = || "its key is written in a way that cannot be edited here; edit it by hand".to_owned();
    if let Some(entry) = key.get("not_after") {
        let value = entry.value.scalar().ok_or_else(odd)?.text().to_owned();
        let end = value.parse::<u64>().map(Timestamp::from_seconds).ok().or_else(|| value.parse().ok());
        if end.is_some_and(|end| end <= now) {
            return Ok(None);
        }
        let at = range(text, entry.value.span).ok_or_else(odd)?;
        return Ok(Some(Change { at, text: format!("\"{now}\"") }));
    }
    let hash = key.get("hash").ok_or_else(odd)?;
    let end = range(text, hash.value.span).ok_or_else(odd)?.end;
    let begin = range(text, key.span).ok_or_else(odd)?.start;
    if text.get(begin..).is_some_and(|rest| rest.starts_with('{')) {
        return Ok(Some(Change { at: end..end, text: format!(", \"not_after\": \"{now}\"") }));
    }
    // A block: a line of its own, below the hash and whatever is said behind it.
    let rest = text.get(end..).ok_or_else(odd)?;
    let line = end + rest.find('\n').unwrap_or(rest.len());
    let indent = " ".repeat(hash.key.span.start.column.saturating_sub(1) as usize);
    Ok(Some(Change { at: line..line, text: format!("\n{indent}not_after: \"{now}\"") }))
}

fn range(text: &str, span: Span) -> Option<std::ops::Range<usize>> {
    Some(offset(text, span.start)?..offset(text, span.end)?)
}

fn offset(text: &str, position: Position) -> Option<usize> {
    let line = position.line.checked_sub(1)? as usize;
    let begin: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(begin..)?;
    let column = position.column.checked_sub(1)? as usize;
    let within = rest.char_indices().map(|(at, _)| at).chain([rest.len()]).nth(column)?;
    Some(begin + within)
}

fn apply(mut text: String, mut changes: Vec<Change>) -> String {
    changes.sort_by_key(|change| std::cmp::Reverse(change.at.start));
    for Change { at, text: new } in changes {
        text.replace_range(at, &new);
    }
    text
}

/// Whether the gateway reads of it what was meant.
fn verify(format: Format, text: &str, id: &str, (over, now): (usize, Timestamp)) -> Result<(), String> {
    let (made, _) = Directory::new(0)
        .rebuild_from(format, &mut text.as_bytes(), Limits::default())
        .map_err(|error| format!("the consumer `{id}` would be wrong: {error}"))?;
    let consumer = made.by_id(id).ok_or("it cannot be edited here; edit it by hand")?;
    let ended = consumer.keys().iter().filter(|key| key.not_after.is_over(now)).count();
    if ended >= over { Ok(()) } else { Err("it cannot be edited here; edit it by hand".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_identity::HashSecret;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const ENDED: &str = "2027-01-15T08:00:00Z";

    fn hash(n: u8) -> KeyHash {
        HashSecret::from_bytes([1; 32]).hash(&[n; 20])
    }

    fn check(format: Format, text: &str, target: &Target, expected: &str) {
        let fill =
            |text: &str| (0..4).fold(text.to_owned(), |text, n| text.replace(&format!("H{n}"), &hash(n).to_string()));
        let edited = edit(format, fill(text).into_bytes(), target, NOW).unwrap();
        assert_eq!(String::from_utf8(edited.text).unwrap(), fill(expected).replace("NOW", ENDED), "{text}");
    }

    #[test]
    fn ends_keys_and_leaves_the_rest_of_the_text_as_it_is() {
        let acme = || Target::Consumer("acme".to_owned());
        let flow = r#"{"id":"acme","plan":"p","keys":[{"hash":"H0"},{"hash":"H1","label":"ünï"}]}"#;
        let ended = r#"{"id":"acme","plan":"p","keys":[{"hash":"H0", "not_after": "NOW"},{"hash":"H1", "not_after": "NOW","label":"ünï"}]}"#;
        check(Format::Ndjson, flow, &acme(), ended);
        let one = r#"{"id":"acme","plan":"p","keys":[{"hash":"H0"},{"hash":"H1", "not_after": "NOW","label":"ünï"}]}"#;
        check(Format::Ndjson, flow, &Target::Hash(hash(1)), one);
        check(Format::Ndjson, flow, &Target::Consumer("acm".to_owned()), flow);
        check(Format::Ndjson, flow, &Target::Hash(hash(2)), flow);
        let later = r#"{"id":"acme","plan":"p","keys":[{"hash":"H0","not_after":1900000000},{"not_after":"2020-01-01T00:00:00Z","hash":"H1"}]}"#;
        let sooner = r#"{"id":"acme","plan":"p","keys":[{"hash":"H0","not_after":"NOW"},{"not_after":"2020-01-01T00:00:00Z","hash":"H1"}]}"#;
        check(Format::Ndjson, later, &acme(), sooner);
    }

    #[test]
    fn ends_keys_of_yaml_in_flow_and_in_block_form() {
        let acme = || Target::Consumer("acme".to_owned());
        let block = "- id: acme # the first\n  plan: p\n  keys:\n    - hash: H0 # old\n      label: a\n    # between\n    - label: b\n      hash: \"H1\"\n\n# after\n";
        let ended = "- id: acme # the first\n  plan: p\n  keys:\n    - hash: H0 # old\n      not_after: \"NOW\"\n      label: a\n    # between\n    - label: b\n      hash: \"H1\"\n      not_after: \"NOW\"\n\n# after\n";
        check(Format::Yaml, block, &acme(), ended);
        let flow = "- { id: acme, plan: p, keys: [{ hash: H0 }, { hash: H1, not_after: 2031-01-01T00:00:00Z }] } # x\n";
        let ended = "- { id: acme, plan: p, keys: [{ hash: H0, \"not_after\": \"NOW\" }, { hash: H1, not_after: \"NOW\" }] } # x\n";
        check(Format::Yaml, flow, &acme(), ended);
        let unended = "- id: acme\n  plan: p\n  keys:\n  - hash: H0";
        check(Format::Yaml, unended, &acme(), "- id: acme\n  plan: p\n  keys:\n  - hash: H0\n    not_after: \"NOW\"");
    }

    #[test]
    fn what_is_over_stays_and_is_counted() {
        let text = format!(r#"{{"id":"acme","plan":"p","keys":[{{"hash":"{}","not_after":5}}]}}"#, hash(0));
        let edited = edit(Format::Ndjson, text.clone().into_bytes(), &Target::Hash(hash(0)), NOW).unwrap();
        assert_eq!((edited.text, edited.ended, edited.over), (text.into_bytes(), 0, 1));
    }
}
