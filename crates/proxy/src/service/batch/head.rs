//! The head of a part: what of the client's concerns its connection, the framing or the coding of the whole is left out.

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PROXY_AUTHORIZATION, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri, Version};
use pingora_http::RequestHeader;

use portcullis_filter::Facts;
use portcullis_types::{ProxyError, Reason};

/// Fields of the hop, of the framing, and those by which an answer would be no plain text of its own.
const LEFT_OUT: [HeaderName; 19] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    EXPECT,
    // The answers are put together as text.
    ACCEPT_ENCODING,
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    HeaderName::from_static("http2-settings"),
];

/// Makes a head one of an own request: in origin form, of HTTP/1.1, with a Host.
pub(super) fn ready(request: &mut RequestHeader, facts: &Facts) -> Result<(), ProxyError> {
    let invalid = |_| ProxyError::with_detail(Reason::Internal, "the head of a part");
    nominated(request);
    for name in &LEFT_OUT {
        drop(request.remove_header(name));
    }
    let target = request.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    request.set_uri(Uri::from(target));
    request.set_version(Version::HTTP_11);
    if !request.headers.contains_key(HOST) {
        let host = facts.port.map_or_else(|| facts.host.to_string(), |port| format!("{}:{port}", facts.host));
        let host = HeaderValue::from_str(&host);
        let host = host.map_err(|_| ProxyError::with_detail(Reason::Internal, "the head of a part"))?;
        request.insert_header(HOST, host).map_err(invalid)?;
    }
    Ok(())
}

/// Takes out what Connection names (RFC 9110 section 7.6.1).
fn nominated(request: &mut RequestHeader) {
    let values: Vec<HeaderValue> = request.headers.get_all(CONNECTION).iter().cloned().collect();
    for name in values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        drop(request.remove_header(name.trim()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_types::{Downstream, RequestId};
    use std::sync::Arc;

    #[test]
    fn nothing_of_the_hop_nor_of_the_whole_is_left() {
        let nowhere = ([127, 0, 0, 1], 0).into();
        let (peer, socket_peer, local) = (nowhere, nowhere, nowhere);
        let downstream = Downstream { listener: "edge".into(), peer, socket_peer, local, tls: None };
        let mut facts = Facts::new(RequestId(1), Arc::new(downstream));
        (facts.host, facts.port) = ("app.test".into(), Some(8443));
        let mut head = RequestHeader::build("POST", b"/v1?x=1", None).unwrap();
        for (name, value) in [
            ("connection", "x-mine, close"),
            ("x-mine", "1"),
            ("content-length", "99"),
            ("accept-encoding", "gzip"),
            ("expect", "100-continue"),
            ("authorization", "Bearer x"),
        ] {
            head.append_header(name, value).unwrap();
        }
        ready(&mut head, &facts).unwrap();
        let mut left: Vec<_> =
            head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        assert_eq!(left, [("authorization", "Bearer x"), ("host", "app.test:8443")]);
        assert_eq!((head.uri.to_string().as_str(), head.version), ("/v1?x=1", Version::HTTP_11));
    }
}
