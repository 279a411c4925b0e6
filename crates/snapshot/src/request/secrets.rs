//! What of a request's target no record and no explanation may show.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use portcullis_filter::Secrets;
use portcullis_identity::key;
use portcullis_telemetry::redact::REDACTED;

use crate::Snapshot;
use crate::route::HostData;

/// Every place of secrets that counts for a request: those of its host, or of all hosts where it has none.
pub fn of(snapshot: &Snapshot, host: Option<&HostData>, each: &mut dyn FnMut(&dyn Secrets)) {
    match host {
        Some(host) => host.secrets.iter().for_each(|one| each(&**one)),
        None => snapshot.router.hosts().flat_map(|host| &host.data().secrets).for_each(|one| each(&**one)),
    }
}

/// A path and a query without their secrets.
#[must_use]
pub fn hidden<'a>(
    snapshot: &Snapshot,
    host: Option<&HostData>,
    (path, query): (&'a str, Option<&'a str>),
    headers: &HeaderMap,
) -> (Cow<'a, str>, Option<Cow<'a, str>>) {
    let mut shown = (Cow::Borrowed(path), query.map(Cow::Borrowed));
    // Where most calls of an RPC service go: there is no room for a secret.
    if path == "/" && query.is_none() {
        return shown;
    }
    of(snapshot, host, &mut |one| {
        one.find(path, query, headers, &mut |text| {
            without(&mut shown.0, text);
            if let Some(query) = &mut shown.1 {
                without(query, text);
            }
        });
    });
    shown
}

/// The value of a header field without the secrets that filters of the host read, there or in the target, and without
/// whatever has the shape of a key of ours.
#[must_use]
pub fn hidden_field(
    snapshot: &Snapshot,
    host: Option<&HostData>,
    (path, query): (&str, Option<&str>),
    (headers, value): (&HeaderMap, &HeaderValue),
) -> String {
    let mut shown = String::from_utf8_lossy(value.as_bytes());
    of(snapshot, host, &mut |one| one.find(path, query, headers, &mut |text| without(&mut shown, text)));
    let keys: Vec<String> = key::within(&shown).map(str::to_owned).collect();
    keys.iter().for_each(|key| without(&mut shown, key));
    shown.into_owned()
}

/// Takes a text out. Most often it is longer than what it is looked for in: a key that stands in a field.
fn without(shown: &mut Cow<'_, str>, text: &str) {
    if !text.is_empty() && text.len() <= shown.len() && shown.contains(text) {
        *shown = shown.replace(text, REDACTED).into();
    }
}
