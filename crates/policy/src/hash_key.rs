//! Which value of a request sticks: what percentages, splits and hash balancing are keyed by.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use portcullis_types::RequestView;

use crate::matcher::{cookie, query};
use crate::stable_hash::{stable_hash, stable_hash_of_ip};

/// A value of a request. Written `client_ip`, `path`, `header:x-user`, `cookie:sid`, `query:user`.
///
/// All of it is known before any filter ran. What only a filter knows, such as the consumer behind an API key, is no key
/// of this kind: what is chosen after the filters hashes it with [`stable_hash`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HashKey {
    /// The client's trusted address.
    ClientIp,
    /// The path that routing sees: normalised, without the query, before the route rewrites it.
    Path,
    /// The first value of a header field.
    Header(HeaderName),
    /// The first value of a cookie.
    Cookie(Box<str>),
    /// The first value of a query parameter, decoded.
    Query(Box<str>),
}

/// The text is no hash key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `client_ip`, `path`, `header:NAME`, `cookie:NAME` or `query:NAME`")]
pub struct HashKeyError;

impl HashKey {
    /// The hash of the value, the same in every process; `None` when the request has no such value.
    #[must_use]
    pub fn hash(&self, view: &RequestView<'_>) -> Option<u64> {
        match self {
            Self::ClientIp => Some(stable_hash_of_ip(0, view.client)),
            Self::Path => Some(stable_hash(0, view.path.as_bytes())),
            Self::Header(name) => view.headers.get(name).map(|value| stable_hash(0, value.as_bytes())),
            Self::Cookie(name) => cookie::values(view, name).next().map(|value| stable_hash(0, value)),
            Self::Query(name) => {
                let value = query::values(view.query, name).next()?;
                Some(query::decoded(value, |bytes| stable_hash(0, bytes)))
            }
        }
    }

    /// The hash of the value, or of the client's address when there is none.
    #[must_use]
    pub fn hash_or_client(&self, view: &RequestView<'_>) -> u64 {
        self.hash(view).unwrap_or_else(|| stable_hash_of_ip(0, view.client))
    }
}

impl FromStr for HashKey {
    type Err = HashKeyError;

    fn from_str(text: &str) -> Result<Self, HashKeyError> {
        match text.split_once(':') {
            None if text == "client_ip" => Ok(Self::ClientIp),
            None if text == "path" => Ok(Self::Path),
            None | Some((_, "")) => Err(HashKeyError),
            Some(("header", name)) => name.parse().map(Self::Header).map_err(|_| HashKeyError),
            Some(("cookie", name)) => Ok(Self::Cookie(name.into())),
            Some(("query", name)) => Ok(Self::Query(name.into())),
            Some(_) => Err(HashKeyError),
        }
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Path => f.write_str("path"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_kit::Request;

    #[test]
    fn keys_are_read_and_written() {
        for text in ["client_ip", "path", "header:x-user", "cookie:sid", "query:user"] {
            assert_eq!(text.parse::<HashKey>().unwrap().to_string(), text);
        }
        for text in
            ["", "ip", "consumer", "path:/a", "client_ip:", "header", "header:", "header:a b", "cookie:", "body:x"]
        {
            assert_eq!(text.parse::<HashKey>(), Err(HashKeyError), "{text}");
        }
    }

    #[test]
    fn equal_values_hash_equally_wherever_they_stand() {
        let request = Request::new("GET /?user=a%6C").header("x-user", "al").header("cookie", "sid=al");
        let hash = |key: &str| key.parse::<HashKey>().unwrap().hash(&request.view());
        let expected = Some(stable_hash(0, b"al"));
        for key in ["header:x-user", "cookie:sid", "query:user"] {
            assert_eq!(hash(key), expected, "{key}");
        }
        for key in ["header:x-other", "cookie:other", "query:other"] {
            assert_eq!(hash(key), None, "{key}");
            let client = request.view().client;
            assert_eq!(key.parse::<HashKey>().unwrap().hash_or_client(&request.view()), stable_hash_of_ip(0, client));
        }
    }

    #[test]
    fn paths_are_equal_whatever_stands_beside_them() {
        let hash = |line: &str| HashKey::Path.hash(&Request::new(line).view());
        assert_eq!(hash("GET /a/b"), Some(stable_hash(0, b"/a/b")));
        for same in ["POST /a/b", "GET /a/b?page=2"] {
            assert_eq!(hash(same), hash("GET /a/b"), "{same}");
        }
        for other in ["GET /a", "GET /a/b/", "GET /a/B"] {
            assert_ne!(hash(other), hash("GET /a/b"), "{other}");
        }
    }
}
