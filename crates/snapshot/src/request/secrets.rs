//! What of a request's target no record and no explanation may show.

use std::borrow::Cow;

use http::HeaderMap;
use portcullis_filter::Secrets;
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

/// Takes a text out. Most often it is longer than what it is looked for in: a key that stands in a field.
fn without(shown: &mut Cow<'_, str>, text: &str) {
    if !text.is_empty() && text.len() <= shown.len() && shown.contains(text) {
        *shown = shown.replace(text, REDACTED).into();
    }
}
