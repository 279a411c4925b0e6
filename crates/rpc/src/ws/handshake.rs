//! The handshake of RFC 6455 section 4, from both ends.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora_http::{RequestHeader, ResponseHeader};

/// What is hashed behind the key (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The bytes of a key.
const KEY: usize = 16;

/// Why a request that asks for an upgrade gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A version of the protocol other than 13.
    #[error("Sec-WebSocket-Version must be 13")]
    Version,
    /// No key, several, or one that is not 16 bytes.
    #[error("Sec-WebSocket-Key must be 16 bytes in base64")]
    Key,
    /// Another method than GET.
    #[error("a WebSocket is opened with GET")]
    Method,
}

/// Checks a client's request, and makes the head that grants it. Of extensions and subprotocols that it offers none is
/// chosen.
///
/// # Errors
/// What is wrong with it.
pub fn accept(request: &RequestHeader) -> Result<ResponseHeader, Wrong> {
    if request.method != Method::GET {
        return Err(Wrong::Method);
    }
    if only(&request.headers, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version.trim() != "13") {
        return Err(Wrong::Version);
    }
    let key = only(&request.headers, &SEC_WEBSOCKET_KEY).map(str::trim).ok_or(Wrong::Key)?;
    if STANDARD.decode(key).map_or(true, |bytes| bytes.len() != KEY) {
        return Err(Wrong::Key);
    }
    let mut parts = http::Response::new(()).into_parts().0;
    parts.status = StatusCode::SWITCHING_PROTOCOLS;
    let value = HeaderValue::from_str(&accepted(key)).map_err(|_| Wrong::Key)?;
    parts.headers.insert(SEC_WEBSOCKET_ACCEPT, value);
    Ok(parts.into())
}

/// The one value of a field that must have one.
fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// What a server says to a key.
fn accepted(key: &str) -> String {
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(GUID);
    STANDARD.encode(hash.finish())
}

/// A request to an upstream, and what it is to say to it.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The head.
    pub request: RequestHeader,
    accepted: String,
}

impl Offer {
    /// A request for this path, with a key that nobody used before.
    #[must_use]
    pub fn new(path: &http::uri::PathAndQuery) -> Self {
        let key = STANDARD.encode(rand::random::<[u8; KEY]>());
        let mut parts = http::Request::new(()).into_parts().0;
        parts.uri = path.clone().into();
        parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        parts.headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        // Base64 is always a field value.
        parts.headers.extend(HeaderValue::from_str(&key).ok().map(|value| (SEC_WEBSOCKET_KEY, value)));
        Self { request: parts.into(), accepted: accepted(&key) }
    }

    /// Whether an answer grants this request, and agrees on nothing that was not offered.
    #[must_use]
    pub fn is_granted_by(&self, response: &ResponseHeader) -> bool {
        let headers = &response.headers;
        response.status == StatusCode::SWITCHING_PROTOCOLS
            && only(headers, &SEC_WEBSOCKET_ACCEPT).is_some_and(|value| value.trim() == self.accepted)
            && !headers.contains_key(http::header::SEC_WEBSOCKET_EXTENSIONS)
            && !headers.contains_key(http::header::SEC_WEBSOCKET_PROTOCOL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 6455 section 1.2, with a field changed.
    fn request(name: &'static str, value: Option<&'static str>) -> RequestHeader {
        let mut parts = http::Request::new(()).into_parts().0;
        parts.headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
        parts.headers.insert("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        parts.headers.insert("sec-websocket-extensions", HeaderValue::from_static("permessage-deflate"));
        parts.headers.insert("sec-websocket-protocol", HeaderValue::from_static("chat"));
        match value {
            Some(value) => drop(parts.headers.insert(name, HeaderValue::from_static(value))),
            None => drop(parts.headers.remove(name)),
        }
        parts.into()
    }

    #[test]
    fn grants_the_request_of_the_rfc_and_declines_extensions_and_protocols() {
        let response = accept(&request("x", Some("y"))).unwrap();
        assert_eq!(response.status, 101);
        assert_eq!(response.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers.len(), 1);
    }

    #[test]
    fn refuses_what_the_rfc_does_not_allow() {
        for version in [None, Some("8"), Some("13, 8"), Some("")] {
            assert_eq!(accept(&request("sec-websocket-version", version)).unwrap_err(), Wrong::Version, "{version:?}");
        }
        for key in [None, Some(""), Some("dGhl"), Some("not base64 at all!!!!!!!"), Some("dGhlIHNhbXBsZSBub25jZQ")] {
            assert_eq!(accept(&request("sec-websocket-key", key)).unwrap_err(), Wrong::Key, "{key:?}");
        }
        let mut twice = request("x", None);
        twice.append_header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(accept(&twice).unwrap_err(), Wrong::Key);
        let mut post = request("x", None);
        post.set_method(Method::POST);
        assert_eq!(accept(&post).unwrap_err(), Wrong::Method);
    }

    #[test]
    fn an_offer_is_granted_by_the_answer_to_its_own_key_alone() {
        let (offer, other) = (Offer::new(&"/".parse().unwrap()), Offer::new(&"/".parse().unwrap()));
        let mut answer = accept(&offer.request).unwrap();
        assert!(offer.is_granted_by(&answer));
        assert!(!other.is_granted_by(&answer));
        answer.insert_header("sec-websocket-extensions", "permessage-deflate").unwrap();
        assert!(!offer.is_granted_by(&answer));
    }
}
