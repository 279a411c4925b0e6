//! Settings of `redirect`.

use http::StatusCode;
use portcullis_yaml::{Cx, Decode, Diagnostic, Form, Node, SchemaGen, Spanned, code, decode_with};
use serde_json::Value as Json;

use super::target::{Returns, UrlTemplate};

/// Settings of `redirect`, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectConfig {
    /// Where it leads.
    pub target: Target,
    /// The status.
    pub status: StatusCode,
}

/// Where a redirect leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The same path and query at another place; a request that is there already goes on.
    Place {
        /// To HTTPS.
        https: bool,
        /// To this host.
        host: Option<HostName>,
        /// On this port.
        port: Option<u16>,
    },
    /// A URL by template.
    Url(UrlTemplate),
}

/// A redirect. With `https` or `host`, path and query stay, and a request that is already there goes on to the next
/// filter; with `to`, every request is redirected.
#[derive(Decode)]
struct RedirectSettings {
    /// Redirects requests that came in plain text to `https`. What counts is the connection, not what a field says.
    #[config(default)]
    https: bool,
    /// Redirects requests for any other host to this one.
    host: Option<HostName>,
    /// The port of the new place; when left out, the default port of its scheme.
    port: Option<Spanned<u16>>,
    /// A URL by template, such as `https://www.example.com{uri}` or `/new{path}`. Its host may hold no variable
    /// but `{host}` and `{site.NAME}`, so that no client can choose where others are sent.
    to: Option<Spanned<UrlTemplate>>,
    /// 301, 302, 303, 307 or 308. 307 and 308 keep the method and the body; 308 may be kept for good.
    #[config(default = RedirectStatus(StatusCode::PERMANENT_REDIRECT))]
    status: RedirectStatus,
}

/// A status with a Location, RFC 9110 section 15.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RedirectStatus(StatusCode);

/// A host name or address, lower case, without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(Box<str>);

impl std::ops::Deref for HostName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Decode for RedirectConfig {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let settings = RedirectSettings::decode(node, cx)?;
        let status = settings.status.0;
        let places = settings.https || settings.host.is_some();
        let target = match settings.to {
            Some(to) if places || settings.port.is_some() => {
                let message = "`to` says the whole place: it excludes `https`, `host` and `port`";
                return cx.fail(Diagnostic::error(code::CONFLICTING_KEYS, to.span, message));
            }
            Some(to) => {
                warn_of_return(&to, status, cx);
                Target::Url(to.value)
            }
            None if !places => {
                let message = "the redirect leads nowhere";
                let help = "add `https: true`, `host: www.example.com` or `to: \"https://www.example.com{uri}\"`";
                return cx.fail(Diagnostic::error(code::MISSING_KEY, node.span, message).help(help));
            }
            None => {
                let port = settings.port.map(|port| port.value);
                Target::Place { https: settings.https, host: settings.host, port }
            }
        };
        Some(Self { target, status })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        RedirectSettings::schema(schemas)
    }
}

/// A target that is where the request was is asked for again, and answered the same. Only a warning: a cookie, or the
/// GET after a POST, may bring the second request to another route.
fn warn_of_return(to: &Spanned<UrlTemplate>, status: StatusCode, cx: &mut Cx<'_>) {
    let (message, help) = match to.value.returns() {
        None => return,
        // The answer to a form is often found where the form was sent.
        Some(Returns::There) if status == StatusCode::SEE_OTHER => return,
        Some(Returns::There) => {
            ("`to` is where the request was: it is redirected again and again", "name another host or path")
        }
        Some(Returns::OnAnotherScheme) => (
            "`to` keeps host and path: a request that has the scheme already is redirected again and again",
            "`https: true` redirects only what is not there yet",
        ),
    };
    cx.push(Diagnostic::warning(code::INVALID_VALUE, to.span, message).help(help));
}

const TO: Form = Form::new("a place to redirect to", &["https://www.example.com{uri}", "/new{path}"]);
const STATUS: Form = Form::new("a status of a redirect", &["301", "302", "303", "307", "308"]);
const HOST: Form = Form::new("a host", &["www.example.com"]);

impl Decode for UrlTemplate {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &TO, Self::parse)
    }

    fn schema(_: &mut SchemaGen) -> Json {
        TO.string_schema()
    }
}

impl Decode for RedirectStatus {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let status = StatusCode::decode(node, cx)?;
        match status.as_u16() {
            301 | 302 | 303 | 307 | 308 => Some(Self(status)),
            _ => cx.invalid(node, &STATUS, None),
        }
    }

    fn schema(_: &mut SchemaGen) -> Json {
        serde_json::json!({ "title": "status of a redirect", "enum": [301, 302, 303, 307, 308] })
    }

    fn encode(&self) -> Option<Json> {
        self.0.encode()
    }
}

impl Decode for HostName {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &HOST, |text| {
            let host = text.to_ascii_lowercase();
            let authority: http::uri::Authority = host.parse().map_err(|_| String::new())?;
            if authority.host() != host {
                return Err(format!("only the host stands here; did you mean `{}`?", authority.host()));
            }
            Ok(Self(host.into()))
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        HOST.string_schema()
    }
}
