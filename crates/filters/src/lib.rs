//! The built-in filters, a folder each.
//!
//! Every filter is the same three things: settings that decode from the config or say what is wrong with them
//! (`config`), the filter (`filter`), and tests that run it in a chain without sockets (`tests`). Settings are compiled
//! when they are read: templates are parsed, names and values typed, sets sorted. On the hot path nothing is parsed
//! or looked up by name that the config could have said before.
//!
//! | filter | what it does |
//! |---|---|
//! | [`access`] | allows or denies by client network, method and path |
//! | [`caps`] | holds callers to what they may spend |
//! | [`anonymous`] | holds callers that nobody knows to a plan |
//! | [`api_key`] | who calls, by a key |
//! | [`client_certificate`] | who calls, by a client certificate |
//! | [`compress`] | compresses answers |
//! | [`cors`] | cross-origin resource sharing |
//! | [`errors`] | answers errors in the operator's words |
//! | [`fault`] | delays and aborts on purpose |
//! | [`headers`] | edits fields |
//! | [`identity`] | tells the upstream who calls |
//! | [`jwt`] | who calls, by a token |
//! | [`limits`] | bounds the size of requests |
//! | [`redirect`] | redirects |
//! | [`respond`] | answers without an upstream |

pub mod access;
pub mod anonymous;
pub mod answer;
pub mod api_key;
pub mod caller;
pub mod caps;
pub mod client_certificate;
pub mod compress;
pub mod cors;
pub mod errors;
pub mod fault;
pub mod fields;
pub mod headers;
pub mod identity;
pub mod jwt;
pub mod limits;
pub mod networks;
pub mod redirect;
pub mod respond;
pub mod template;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use portcullis_filter::Registry;

/// All built-in filters. A team's binary adds its own with [`Registry::with`].
#[must_use]
pub fn registry() -> Registry {
    Registry::default()
        .with::<access::Access>()
        .with::<caps::Caps>()
        .with::<anonymous::Anonymous>()
        .with::<api_key::ApiKey>()
        .with::<client_certificate::ClientCertificate>()
        .with::<compress::Compress>()
        .with::<cors::Cors>()
        .with::<errors::Errors>()
        .with::<fault::Fault>()
        .with::<headers::Headers>()
        .with::<identity::TellIdentity>()
        .with::<jwt::Jwt>()
        .with::<limits::Limits>()
        .with::<redirect::Redirect>()
        .with::<respond::Respond>()
}
