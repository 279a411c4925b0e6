//! A platform team's own gateway: its auth, its choice of upstream and its error page, in one filter of its own crate.

use http::{HeaderName, HeaderValue, StatusCode};
use portcullis_filter::{
    BuildCx, ConfiguredFilter, ErrorCx, Filter, Phase, Phases, RequestCx, Response, SelectCx, Verdict,
};
use portcullis_types::{ProxyError, Reason};
use portcullis_yaml::Decode;
use std::process::ExitCode;

#[cfg(test)]
mod tests;

/// Settings of `tenant`.
#[derive(Decode)]
struct TenantConfig {
    /// The field that names the tenant.
    header: HeaderName,
    /// The tenants that are served, each with the zone its data lives in.
    tenants: portcullis_yaml::Named<String>,
}

/// Admits known tenants, keeps each in its zone, and answers errors in the team's words.
struct Tenant(TenantConfig);

/// What the filter remembers of one request.
#[derive(Default)]
struct Seen {
    zone: Option<String>,
}

impl Filter for Tenant {
    type Ctx = Seen;

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter).and(Phase::UpstreamPeer).and(Phase::FailToProxy)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, seen: &mut Seen) -> Result<Verdict, ProxyError> {
        let name = cx.request.headers.get(&self.0.header).and_then(|value| value.to_str().ok());
        let name = name.ok_or(Reason::KeyMissing)?;
        let zone = self.0.tenants.get(name).ok_or(Reason::KeyUnknown)?;
        seen.zone = Some(zone.value.clone());
        cx.notes.consumer = Some(name.into());
        Ok(Verdict::Continue)
    }

    fn upstream_peer(&self, cx: &mut SelectCx<'_>, seen: &mut Seen) -> Result<Option<usize>, ProxyError> {
        let in_zone = cx.candidates.iter().enumerate().filter(|(_, c)| c.zone.as_deref() == seen.zone.as_deref());
        let usable = in_zone.filter(|(_, candidate)| candidate.healthy && !candidate.tried);
        Ok(usable.min_by_key(|(_, candidate)| candidate.in_flight).map(|(at, _)| at))
    }

    fn fail_to_proxy(&self, cx: &mut ErrorCx<'_>, _seen: &mut Seen) -> Option<Response> {
        let status = StatusCode::from_u16(cx.error.reason.status()).ok()?;
        let text = format!("Sorry: {}. Tell support {}.\n", cx.error.reason.title(), cx.facts.id);
        Some(Response::new(status).with_body(HeaderValue::from_static("text/plain; charset=utf-8"), text))
    }
}

impl ConfiguredFilter for Tenant {
    const NAME: &'static str = "tenant";
    type Config = TenantConfig;

    fn build(config: TenantConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self(config))
    }
}

fn main() -> ExitCode {
    portcullis::App::new().registry(|filters| filters.with::<Tenant>()).main()
}
