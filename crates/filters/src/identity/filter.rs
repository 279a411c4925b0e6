//! Puts the caller into the head that goes upstream.

use http::{HeaderName, HeaderValue};
use pingora_http::RequestHeader;
use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx};
use portcullis_identity::Caller;
use portcullis_identity::issue::Issuer;
use portcullis_types::{ProxyError, Reason};

use super::config::{Fields, IdentityConfig};
use crate::caller::{Door, now};

/// Consumers whose tokens are remembered.
const REMEMBER: usize = 16_384;

/// The `identity` filter.
pub struct TellIdentity {
    headers: Fields,
    token: Option<(HeaderName, Issuer)>,
}

impl Filter for TellIdentity {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::UpstreamRequestFilter)
    }

    /// What a client says of itself under these names is gone before anything reads it.
    fn claims(&self) -> Vec<HeaderName> {
        let fields = self.headers.consumer.iter().chain(&self.headers.plan);
        fields.chain(self.token.as_ref().map(|(name, _)| name)).cloned().collect()
    }

    async fn upstream_request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<(), ProxyError> {
        let Some(caller) = cx.notes.get::<Caller>() else { return Ok(()) };
        put(cx.request, self.headers.consumer.as_ref(), &caller.id)?;
        put(cx.request, self.headers.plan.as_ref(), &caller.plan)?;
        if let Some((name, issuer)) = &self.token {
            let token = issuer.token_of(&caller.id, &caller.plan, cx.facts.id, now());
            let token = token.map_err(|error| ProxyError::with_detail(Reason::FilterFailed, error.to_string()))?;
            put(cx.request, Some(name), &token)?;
        }
        Ok(())
    }
}

fn put(request: &mut RequestHeader, name: Option<&HeaderName>, value: &str) -> Result<(), ProxyError> {
    let Some(name) = name else { return Ok(()) };
    let failed = || ProxyError::with_detail(Reason::FilterFailed, "an id that is no value of a field");
    let value = HeaderValue::from_str(value).map_err(|_| failed())?;
    request.insert_header(name.clone(), value).map_err(|_| failed())
}

impl ConfiguredFilter for TellIdentity {
    const NAME: &'static str = "identity";

    type Config = IdentityConfig;

    fn build(config: IdentityConfig, cx: &BuildCx<'_>) -> Result<Self, String> {
        let seed = Door::new(cx).identities().seed();
        let token = config.token.map(|token| (token.header, Issuer::new(token.rules, token.key, REMEMBER, seed)));
        Ok(Self { headers: config.headers, token })
    }
}
