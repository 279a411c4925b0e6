//! The API's own errors: a closed list, each with a status, answered as problem+json (RFC 9457).

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

macro_rules! problems {
    ($($variant:ident, $name:literal, $status:ident, $title:literal;)*) => {
        /// Why the API refuses.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $(#[doc = $title] $variant,)*
        }

        impl Kind {
            /// The stable name.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

problems! {
    BadRequest, "bad_request", BAD_REQUEST, "The request cannot be understood";
    Unauthorized, "unauthorized", UNAUTHORIZED, "This needs somebody with a role";
    RoleMissing, "role_missing", FORBIDDEN, "This needs another role";
    TlsRequired, "tls_required", MISDIRECTED_REQUEST, "This listener speaks TLS now";
    TooManyFailures, "too_many_failures", TOO_MANY_REQUESTS, "Too many wrong tokens from this network";
    ContentType, "content_type", UNSUPPORTED_MEDIA_TYPE, "A web page could send such a body; say application/json or application/yaml";
    HostNotLoopback, "host_not_loopback", FORBIDDEN, "Without a token, only requests to a loopback host are served";
    CrossSite, "cross_site", FORBIDDEN, "A web page of another site or origin may not use this API";
    NotFound, "not_found", NOT_FOUND, "There is no such path";
    MethodNotAllowed, "method_not_allowed", METHOD_NOT_ALLOWED, "This path does not take this method";
    OverrideRefused, "override_refused", CONFLICT, "The override does not fit what is there";
    NoTrial, "no_trial", CONFLICT, "No change is on trial, or it cannot be ended so";
    NoSuchGeneration, "no_such_generation", CONFLICT, "There is no generation to go back to";
    ConfigFailed, "config_failed", CONFLICT, "The config is right but could not be put to work; the one before serves";
    UpgradeFailed, "upgrade_failed", CONFLICT, "The binary was not replaced; this process serves as before";
    Upgrading, "upgrading", CONFLICT, "The binary is being replaced; ask again in a moment";
    PreconditionFailed, "precondition_failed", PRECONDITION_FAILED, "Another config serves than the one this was meant for";
    BodyTooLarge, "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    ConfigRefused, "config_refused", UNPROCESSABLE_ENTITY, "The config has errors; nothing changed";
    PreconditionRequired, "precondition_required", PRECONDITION_REQUIRED, "If-Match must name the config that is to be replaced";
    Internal, "internal", INTERNAL_SERVER_ERROR, "The admin API failed";
    NotReady, "not_ready", SERVICE_UNAVAILABLE, "New requests are not wanted here";
    Timeout, "timeout", GATEWAY_TIMEOUT, "The answer took too long";
}

/// An error, with what is known of this case.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Option<String>,
    more: Map<String, Value>,
    fields: Vec<(axum::http::HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, detail: None, more: Map::new(), fields: Vec::new() }
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a member to the body.
    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.more.insert(key.to_owned(), value);
        self
    }

    /// Says which config serves.
    pub(crate) fn etag(mut self, hash: &str) -> Self {
        self.fields.extend(HeaderValue::from_str(&format!("\"{hash}\"")).ok().map(|value| (ETAG, value)));
        self
    }

    /// Says which methods a path takes.
    pub(crate) fn allow(mut self, methods: &str) -> Self {
        self.fields.extend(HeaderValue::from_str(methods).ok().map(|value| (ALLOW, value)));
        self
    }
}

impl Problem {
    /// In a line, for where nobody waits for an answer.
    pub(crate) fn says(self) -> String {
        self.detail.unwrap_or_else(|| self.kind.title().to_owned())
    }
}

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (name, status) = (self.kind.name(), self.kind.status());
        let mut body = json!({
            "type": format!("urn:portcullis:admin:{name}"),
            "title": self.kind.title(),
            "status": status.as_u16(),
            "reason": name,
        });
        if let Some(object) = body.as_object_mut() {
            object.extend(self.detail.map(|detail| ("detail".to_owned(), Value::String(detail))));
            object.extend(self.more);
        }
        let mut response = Response::new(Body::from(format!("{body:#}\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.kind == Kind::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"portcullis admin\""));
        }
        if self.kind == Kind::TooManyFailures {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        headers.extend(self.fields);
        response
    }
}
