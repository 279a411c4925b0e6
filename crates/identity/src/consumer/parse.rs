//! One consumer's text to its spec, with errors that name the key and never repeat a value.
//!
//! serde's own messages quote what they found, and what they found may be a key in clear that stands in the wrong
//! place. So a message is taken apart: what was expected is kept, of what was found only its kind.

use super::ConsumerSpec;

/// How a file of consumers is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line. For many consumers: reads a million in seconds.
    Ndjson,
    /// A YAML list whose items begin with `- ` at the left edge. For some thousands.
    Yaml,
}

/// What is wrong with the text of one consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineProblem {
    /// Lines after the first of this consumer.
    pub(crate) lines_on: u32,
    /// Where in it: `keys[1].hash`; `None` for the text as a whole.
    pub(crate) key: Option<String>,
    /// What is wrong.
    pub(crate) problem: String,
}

/// Reads the text of one consumer.
pub(crate) fn parse(format: Format, text: &[u8]) -> Result<ConsumerSpec, LineProblem> {
    match format {
        Format::Ndjson => serde_json::from_slice(text).map_err(|_| json_problem(text)),
        Format::Yaml => {
            let whole = |problem: &str| LineProblem { lines_on: 0, key: None, problem: problem.to_owned() };
            let text = std::str::from_utf8(text).map_err(|_| whole("it is not UTF-8"))?;
            let items: Vec<ConsumerSpec> = serde_yaml::from_str(text).map_err(|_| yaml_problem(text))?;
            let [item] = <[_; 1]>::try_from(items).map_err(|_| whole("expected one consumer"))?;
            Ok(item)
        }
    }
}

/// Reads it again, slower, keeping the path: only wrong lines pay for it.
fn json_problem(text: &[u8]) -> LineProblem {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read: Result<ConsumerSpec, _> = serde_path_to_error::deserialize(&mut deserializer);
    let (path, error) = match read {
        Ok(_) => (String::new(), deserializer.end().err()),
        Err(error) => (error.path().to_string(), Some(error.into_inner())),
    };
    let Some(error) = error else {
        return LineProblem { lines_on: 0, key: None, problem: "it cannot be read".to_owned() };
    };
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
    let problem = if error.is_data() {
        plain(message)
    } else {
        format!("no JSON: {} at column {}", plain(message), error.column())
    };
    LineProblem { lines_on: 0, key: key(&path), problem }
}

fn yaml_problem(text: &str) -> LineProblem {
    let read: Result<Vec<ConsumerSpec>, _> = serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(text));
    let Err(error) = read else {
        return LineProblem { lines_on: 0, key: None, problem: "expected one consumer".to_owned() };
    };
    let path = error.path().to_string();
    let path = path.strip_prefix("[0]").unwrap_or(&path).trim_start_matches('.').to_owned();
    let error = error.into_inner();
    let line = error.location().map_or(1, |location| location.line());
    let message = error.to_string();
    let message = message.split_once(" at line ").map_or(&*message, |(message, _)| message);
    // The path stands before the message a second time.
    let message = message.rsplit_once("]: ").map_or(message, |(_, message)| message);
    LineProblem {
        lines_on: u32::try_from(line.saturating_sub(1)).unwrap_or(0),
        key: key(&path),
        problem: plain(message),
    }
}

/// A path as a key's name, unless it holds what cannot be one of ours.
fn key(path: &str) -> Option<String> {
    let ours = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'[' | b']' | b'.');
    (!matches!(path, "" | ".") && path.len() <= 64 && path.bytes().all(ours)).then(|| path.to_owned())
}

/// A message without what it quotes.
fn plain(message: &str) -> String {
    if let Some((_, rest)) = message.split_once("unknown field `") {
        let (name, known) = rest.split_once("`, ").unwrap_or((rest, ""));
        let harmless = name.len() <= 24 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let name = if harmless { format!(" `{name}`") } else { String::new() };
        return format!("unknown key{name}, {known}");
    }
    if let Some((_, field)) = message.split_once("missing field ") {
        return format!("{field} is missing");
    }
    if let Some((_, field)) = message.split_once("duplicate field ") {
        return format!("{field} stands twice");
    }
    let found = ["invalid type: ", "invalid value: ", "invalid length "];
    if let Some((_, rest)) = found.iter().find_map(|begin| message.split_once(begin)) {
        let (found, expected) = rest.rsplit_once("expected ").unwrap_or((rest, "something else"));
        let kind = found.split(['`', '"', ',']).next().unwrap_or_default().trim();
        return format!("expected {expected}, found {kind}");
    }
    message.split('"').next().unwrap_or_default().to_owned()
}
