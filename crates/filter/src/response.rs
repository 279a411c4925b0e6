//! An answer the gateway gives by itself: a filter's, a route's `respond`, a redirect, an error.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use pingora_http::ResponseHeader;

/// A whole answer, head and body. Content-Length and Date are set when it is sent.
#[derive(Debug, Clone)]
pub struct Response {
    /// The head.
    pub header: ResponseHeader,
    /// The body; not sent for HEAD, 204 and 304.
    pub body: Bytes,
}

impl Response {
    /// An empty answer of this status.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { header: ResponseHeader::from(head(status)), body: Bytes::new() }
    }

    /// The same answer with a body.
    #[must_use]
    pub fn with_body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.with_field(http::header::CONTENT_TYPE, content_type)
    }

    /// The same answer with one field set, in place of any of that name.
    #[must_use]
    pub fn with_field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        // Infallible for a typed name and value short of the map's limit of 32,768 fields.
        drop(self.header.insert_header(name, value));
        self
    }
}

fn head(status: StatusCode) -> http::response::Parts {
    let mut parts = http::Response::new(()).into_parts().0;
    parts.status = status;
    parts
}
