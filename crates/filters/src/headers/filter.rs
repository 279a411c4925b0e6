//! Applies the edits: typed names and values, templates compiled at load.
//!
//! Request fields are edited on the head that goes upstream, after the gateway's own fields are set; so routing and
//! other filters see the request as the client sent it, and each attempt is edited once.

use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, ResponseCx};
use portcullis_types::ProxyError;

use super::config::{Edits, HeadersConfig};
use crate::fields::{Head, Message, add, set};

/// The `headers` filter.
pub struct Headers {
    config: HeadersConfig,
}

impl Filter for Headers {
    type Ctx = ();

    fn phases(&self) -> Phases {
        let mut phases = Phases::NONE;
        if !self.config.request.is_empty() {
            phases = phases.and(Phase::UpstreamRequestFilter);
        }
        if !self.config.response.is_empty() {
            phases = phases.and(Phase::ResponseFilter);
        }
        phases
    }

    async fn upstream_request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<(), ProxyError> {
        apply(&self.config.request, cx);
        Ok(())
    }

    async fn response_filter(&self, cx: &mut ResponseCx<'_>, _ctx: &mut ()) -> Result<(), ProxyError> {
        apply(&self.config.response, cx);
        Ok(())
    }
}

/// What is removed goes last, so that a value can be taken from it: that is how a field is renamed.
fn apply(edits: &Edits, message: &mut impl Message) {
    edits.set.iter().for_each(|field| set(message, field));
    edits.add.iter().for_each(|field| add(message, field));
    edits.remove.iter().for_each(|name| message.head().remove(name.get()));
}

impl ConfiguredFilter for Headers {
    const NAME: &'static str = "headers";

    type Config = HeadersConfig;

    fn build(config: HeadersConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { config })
    }
}
