//! What is taken out before something leaves the gateway.

use serde_json::Value;
use std::net::IpAddr;

/// Keys of the config whose values are secrets where they are not references.
const SECRET: [&str; 4] = ["token", "password", "secret", "key"];
/// What stands in their place.
const MASK: &str = "\"…\"";

/// A record without query and user agent, its client's address by its network.
pub(super) fn record(record: &mut Value) {
    let Some(fields) = record.as_object_mut() else { return };
    for key in ["query", "user_agent"] {
        if let Some(value) = fields.get_mut(key) {
            *value = Value::from("…");
        }
    }
    if let Some(client) = fields.get_mut("client") {
        *client = Value::from(network(client.as_str().unwrap_or_default()));
    }
}

/// `203.0.113.9` becomes `203.0.113.0/24`; of IPv6 48 bits are kept.
fn network(address: &str) -> String {
    let Ok(address) = address.parse::<IpAddr>() else { return "…".to_owned() };
    let bits = if address.is_ipv4() { 24 } else { 48 };
    ipnet::IpNet::new(address, bits).map_or_else(|_| "…".to_owned(), |network| network.trunc().to_string())
}

/// A config whose secrets are references only: others are masked, to the end of their value.
pub(super) fn config(text: &str) -> String {
    text.lines().map(|line| line_of(line) + "\n").collect()
}

fn line_of(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, value)) = next_secret(rest) {
        out.push_str(before);
        let end = end_of(value);
        let (said, after) = value.split_at(end);
        let bare = said.trim().trim_matches(['"', '\'']);
        let harmless = bare.is_empty() || bare.starts_with("file:") || bare.starts_with("${") || bare.starts_with('{');
        out.push_str(if harmless { said } else { MASK });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What stands before the value of the next secret key, and the rest.
fn next_secret(text: &str) -> Option<(&str, &str)> {
    let places = text.match_indices(':').filter(|(at, _)| {
        let key = text.get(..*at).unwrap_or_default().trim_end_matches(['"', '\'']);
        let word = key.rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).next().unwrap_or_default();
        SECRET.contains(&word) && text.get(at + 1..).is_some_and(|after| after.is_empty() || after.starts_with(' '))
    });
    let (at, _) = places.min_by_key(|(at, _)| *at)?;
    let begin = (at + 2).min(text.len());
    Some((text.get(..begin)?, text.get(begin..)?))
}

/// Where a value ends: at its closing quote, else at a comma, a brace, a comment or the end of the line.
fn end_of(value: &str) -> usize {
    let spaces = value.len() - value.trim_start().len();
    let inner = value.get(spaces..).unwrap_or_default();
    match inner.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let close = inner.get(1..).and_then(|after| after.find(quote));
            close.map_or(value.len(), |close| spaces + close + 2)
        }
        Some('{') => spaces,
        _ => value.find([',', '}', '#']).unwrap_or(value.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_of_the_config_is_masked_and_a_reference_is_not() {
        for (text, expected) in [
            (
                "admin: { bind: \"127.0.0.1:9901\", token: \"abc, d\" }",
                "admin: { bind: \"127.0.0.1:9901\", token: \"…\" }",
            ),
            ("  token: abc # why", "  token: \"…\"# why"),
            ("token: \"file:admin.token\"", "token: \"file:admin.token\""),
            ("password: ${REDIS}", "password: ${REDIS}"),
            ("{ token: a, password: 'b c' }", "{ token: \"…\", password: \"…\" }"),
            ("key: certs/a.key", "key: \"…\""),
            ("secret: { inline: yes }", "secret: { inline: yes }"),
            ("tokens: { a: b }", "tokens: { a: b }"),
            ("  url: \"http://a:b\"", "  url: \"http://a:b\""),
            ("token:", "token:"),
        ] {
            assert_eq!(config(text), format!("{expected}\n"), "{text}");
        }
    }

    #[test]
    fn a_record_keeps_no_client() {
        let mut one = json!({ "client": "203.0.113.9", "query": "a=b", "user_agent": "x", "path": "/a" });
        record(&mut one);
        assert_eq!(one, json!({ "client": "203.0.113.0/24", "query": "…", "user_agent": "…", "path": "/a" }));
        let mut six = json!({ "client": "2001:db8:1:2::9" });
        record(&mut six);
        assert_eq!(six["client"], "2001:db8:1::/48");
    }
}
