//! What holds for every input: the fuzzer looks for one where it does not.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Directory;
use crate::consumer::Format;
use crate::credential::{BasicPart, Parts, Places};
use crate::directory::Limits;
use crate::time::Timestamp;
use crate::token::{KeySet, Rules, Verifier, claimed_issuer};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Path and query in the first line, fields in the others. What is found is in no part of the request once it is
/// stripped; a stripped request has nothing left to find or to strip.
#[must_use]
pub fn credential(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return true };
    let mut lines = text.lines();
    let target = lines.next().unwrap_or_default();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    if !path.starts_with('/') {
        // The gate lets no other path in.
        return true;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")).take(32) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    [None, Some(BasicPart::User), Some(BasicPart::Password)].into_iter().all(|basic| {
        let template = if basic.is_some() { "/v1/{key}" } else { "/{key}" };
        let places = Places { path: template.parse().ok(), basic, ..Places::default() };
        stripped(&places, Parts { path, query, headers: &headers })
    })
}

fn stripped(places: &Places, parts: Parts<'_>) -> bool {
    let found = places.extract(parts);
    let presented = found.as_ref().ok().and_then(|found| found.as_ref()).map(|found| found.text.as_bytes());
    places.secrets(parts, &mut |_| {});
    let after = places.strip(parts, presented);
    let mut headers = parts.headers.clone();
    for name in &after.headers {
        headers.remove(name);
    }
    let left = Parts { path: &after.path, query: after.query.as_deref(), headers: &headers };
    let holds = |text: &str| {
        presented.is_some_and(|key| !key.is_empty() && memchr::memmem::find(text.as_bytes(), key).is_some())
    };
    let segments =
        left.path.split('/').any(|segment| presented.is_some_and(|key| !key.is_empty() && segment.as_bytes() == key));
    let places = Places { path: None, ..places.clone() };
    let nothing = matches!(places.extract(left), Ok(None));
    !segments && !left.query.is_some_and(holds) && nothing
}

/// A file is loaded or refused, as NDJSON and as YAML; a reload of it over itself keeps everybody.
#[must_use]
pub fn consumers(data: &[u8]) -> bool {
    [Format::Ndjson, Format::Yaml].into_iter().all(|format| {
        let limits = Limits { text: 4096, consumers: 64 };
        let load = |over: &Directory| over.rebuild_from(format, &mut &*data, limits);
        match load(&Directory::new(1)) {
            Ok((directory, _)) => load(&directory).is_ok_and(|(again, summary)| {
                again.len() == directory.len() && again.keys() == directory.keys() && summary.kept == directory.len()
            }),
            Err(error) => !error.problems.is_empty() && !error.to_string().is_empty(),
        }
    })
}

/// Neither as a token nor as a key set does any text make the checks fail, and nobody's token is taken.
#[must_use]
pub fn jwt(data: &[u8]) -> bool {
    // The base point of P-256, which no issuer has for a key and no mutation of bytes signs for.
    const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}"#;
    let keys = KeySet::parse(data).ok().or_else(|| KeySet::parse(KEYS.as_bytes()).ok());
    let rules = Rules::new("i", &["a"], std::time::Duration::ZERO, None);
    let (Some(keys), Ok(rules)) = (keys, rules) else { return false };
    let verifier = Verifier::new(rules, keys, 0, [0; 32]);
    drop(claimed_issuer(data));
    verifier.remembered(data, NOW).is_none() && verifier.verify(data, NOW).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_for_what_the_fuzzer_begins_with() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
        for (name, law) in [("credential", credential as fn(&[u8]) -> bool), ("consumers", consumers), ("jwt", jwt)] {
            let mut seen = 0;
            for entry in std::fs::read_dir(folder.join(name)).expect("seeds") {
                let path = entry.expect("a file").path();
                assert!(law(&std::fs::read(&path).expect("a seed")), "{}", path.display());
                seen += 1;
            }
            assert!(seen > 1, "{name}");
        }
    }
}
