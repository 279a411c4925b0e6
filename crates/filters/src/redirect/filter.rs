//! Decides whether to redirect, and builds the Location.
//!
//! Without `to`, a request that is already where it should be goes on, so the filter cannot loop by itself.

use http::{HeaderValue, StatusCode, header};
use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Response, Verdict};
use portcullis_types::{ProxyError, Reason, Scheme};
use std::fmt::Write as _;

use super::config::{RedirectConfig, Target};
use crate::template::Vars;

/// The `redirect` filter.
pub struct Redirect {
    target: Target,
    status: StatusCode,
}

impl Filter for Redirect {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        let location = match &self.target {
            Target::Url(url) => url.location(&Vars::of_request(cx)),
            Target::Place { https, host, port } => {
                let view = cx.view();
                let moves_scheme = *https && view.scheme() == Scheme::Http;
                let moves_host = host.as_deref().is_some_and(|host| host != view.host);
                if !moves_scheme && !moves_host {
                    return Ok(Verdict::Continue);
                }
                let host = host.as_deref().unwrap_or(view.host);
                let scheme = if *https { Scheme::Https } else { view.scheme() };
                place(scheme, host, *port, &cx.request.uri)
            }
        };
        let location = location.ok_or_else(|| {
            ProxyError::with_detail(Reason::HostInvalid, "the request names no host that it could be redirected on")
        })?;
        Ok(Verdict::Respond(Box::new(Response::new(self.status).with_field(header::LOCATION, location))))
    }
}

/// The same path and query at another place; `None` without a host.
fn place(scheme: Scheme, host: &str, port: Option<u16>, uri: &http::Uri) -> Option<HeaderValue> {
    if host.is_empty() {
        return None;
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') { target } else { "/" };
    let mut url = String::with_capacity(host.len() + target.len() + 16);
    let bare_v6 = host.contains(':') && !host.starts_with('[');
    let (open, close) = if bare_v6 { ("[", "]") } else { ("", "") };
    // Writing into a string cannot fail.
    let _ = write!(url, "{}://{open}{host}{close}", scheme.as_str());
    if let Some(port) = port.filter(|port| *port != scheme.default_port()) {
        let _ = write!(url, ":{port}");
    }
    url.push_str(target);
    HeaderValue::try_from(url).ok()
}

impl ConfiguredFilter for Redirect {
    const NAME: &'static str = "redirect";

    type Config = RedirectConfig;

    fn build(config: RedirectConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { target: config.target, status: config.status })
    }
}
