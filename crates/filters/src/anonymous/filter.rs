//! Names those whom no filter before it knew.

use std::sync::Arc;

use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Verdict};
use portcullis_identity::Caller;
use portcullis_types::ProxyError;

use super::config::{AnonymousConfig, By};
use crate::caller::{Door, now};

/// The `anonymous` filter.
pub struct Anonymous {
    config: AnonymousConfig,
    door: Door,
}

impl Anonymous {
    fn id(&self, cx: &RequestCx<'_>) -> Arc<str> {
        let client = cx.facts.client.to_canonical();
        match self.config.by {
            By::Nothing => "anonymous".into(),
            By::Address => format!("anonymous:{client}").into(),
            By::Network => {
                let network = self.door.identities().book().throttle.rules().network(client);
                format!("anonymous:{network}").into()
            }
        }
    }
}

impl Filter for Anonymous {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        if Door::is_known(cx) {
            return Ok(Verdict::Continue);
        }
        let now = now();
        if let Err(failure) = self.door.banned(cx, now) {
            return Err(self.door.refuse(cx, failure, now));
        }
        let caller = Caller { id: self.id(cx), plan: Arc::clone(&self.config.plan.0), consumer: None };
        self.door.admit_anonymous(cx, caller);
        Ok(Verdict::Continue)
    }
}

impl ConfiguredFilter for Anonymous {
    const NAME: &'static str = "anonymous";

    type Config = AnonymousConfig;

    fn build(config: AnonymousConfig, cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { config, door: Door::new(cx) })
    }
}
