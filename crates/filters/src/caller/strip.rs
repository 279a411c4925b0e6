//! Takes out of a request what only the gateway is to know.

use http::uri::PathAndQuery;
use http::{HeaderName, Uri};
use pingora_http::RequestHeader;
use portcullis_filter::{Notes, Withheld};
use portcullis_identity::credential::{Parts, Places, Stripped};

/// What is looked at for a credential.
pub(crate) fn parts(request: &RequestHeader) -> Parts<'_> {
    Parts { path: request.uri.path(), query: request.uri.query(), headers: &request.headers }
}

/// What is taken out of a request: made while it is borrowed, done when it is not.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    target: Option<PathAndQuery>,
    fields: Vec<HeaderName>,
}

impl Changes {
    /// What is to be done for a request to be what it is without its credential. `None` when what would be left is no
    /// target, which nothing that came by a URI can be.
    pub(crate) fn of(before: Parts<'_>, after: &Stripped<'_>) -> Option<Self> {
        let same = after.path == before.path && after.query.as_deref() == before.query;
        let target = if same {
            None
        } else {
            let text = match &after.query {
                Some(query) => format!("{}?{query}", after.path),
                None => after.path.clone().into_owned(),
            };
            Some(text.parse().ok()?)
        };
        Some(Self { target, fields: after.headers.to_vec() })
    }

    /// Whether anything is to be done.
    pub(crate) fn apply(self, request: &mut RequestHeader) {
        if let Some(target) = self.target {
            request.set_uri(Uri::from(target));
        }
        for name in &self.fields {
            drop(request.remove_header(name));
        }
    }
}

/// Takes a credential out for good: out of a head, too, that another route may go on with.
pub(crate) fn withhold(notes: &mut Notes, places: &Places, presented: Option<&[u8]>) {
    if let Some(withheld) = notes.extensions_mut().get_mut::<Withheld>() {
        let (places, presented) = (places.clone(), presented.map(<[u8]>::to_vec));
        withheld.note(move |head| {
            let before = parts(head);
            let after = places.strip(before, presented.as_deref());
            if let Some(changes) = Changes::of(before, &after) {
                changes.apply(head);
            }
        });
    }
}
