//! Parameters of a query: where one ends, and what its name is.

use super::text;

/// A parameter as it stands in the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    /// All of it: name, `=` and value.
    pub(super) whole: &'a str,
    /// Whether `;` stands before it, rather than `&` or nothing.
    pub(super) after_semicolon: bool,
}

impl<'a> Parameter<'a> {
    /// Whether its name is this one, after decoding and without regard to case.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let own = self.whole.split_once('=').map_or(self.whole, |(own, _)| own);
        if own.bytes().any(|b| matches!(b, b'%' | b'+')) {
            decodes_to(own, name)
        } else {
            own.eq_ignore_ascii_case(name)
        }
    }

    /// Its value, encoded; empty when it has none.
    pub(super) fn value(&self) -> &'a str {
        self.whole.split_once('=').map_or("", |(_, value)| value)
    }
}

fn decodes_to(encoded: &str, name: &str) -> bool {
    let mut wanted = name.bytes();
    let same = text::form(encoded).all(|byte| {
        let pair = byte.zip(wanted.next());
        pair.is_some_and(|(byte, wanted)| byte.eq_ignore_ascii_case(&wanted))
    });
    same && wanted.next().is_none()
}

/// The parameters, separated by `&`, and by `;` too: some upstreams take it for a separator (HTML 4.01 appendix
/// B.2.2), so what stands behind one can be a parameter there.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = Parameter<'_>> {
    query
        .split('&')
        .flat_map(|group| group.split(';').enumerate().map(|(n, whole)| Parameter { whole, after_semicolon: n > 0 }))
}

/// The values of the parameters of a name.
pub(super) fn values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    parameters(query).filter(move |parameter| parameter.is_named(name)).map(|parameter| parameter.value())
}
