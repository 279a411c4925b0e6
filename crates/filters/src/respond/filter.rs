//! Gives the answer; a body without variables is shared, not copied.

use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Response, Verdict};
use portcullis_types::ProxyError;

use super::config::RespondConfig;
use crate::fields::{Answering, set};
use crate::template::Vars;

/// The `respond` filter.
pub struct Respond {
    config: RespondConfig,
}

impl Filter for Respond {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        let vars = Vars::of_request(cx);
        let mut answer = Response::new(self.config.status);
        if let Some(body) = &self.config.body {
            answer = answer.with_body(body.content_type.clone(), body.bytes(&vars));
        }
        let mut answering = Answering { head: &mut answer.header, vars };
        self.config.headers.iter().for_each(|field| set(&mut answering, field));
        Ok(Verdict::Respond(Box::new(answer)))
    }
}

impl ConfiguredFilter for Respond {
    const NAME: &'static str = "respond";

    type Config = RespondConfig;

    fn build(config: RespondConfig, _cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { config })
    }
}
