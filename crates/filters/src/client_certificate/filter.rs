//! Finds the consumer of a certificate.

use std::sync::Arc;

use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phase, Phases, RequestCx, Verdict};
use portcullis_identity::store::Sought;
use portcullis_identity::{Consumer, Expiry, Failure, Timestamp};
use portcullis_types::{ProxyError, TlsInfo};

use super::config::ClientCertificateConfig;
use crate::caller::{Asked, Door, Missed, find, now};

/// The `client_certificate` filter.
pub struct ClientCertificate {
    config: ClientCertificateConfig,
    door: Door,
}

impl ClientCertificate {
    async fn consumer(
        &self,
        cx: &RequestCx<'_>,
        tls: Option<&TlsInfo>,
        now: Timestamp,
    ) -> Result<Result<Arc<Consumer>, Failure>, ProxyError> {
        let Some(certificate) = tls.and_then(|tls| tls.client.as_ref()) else { return Ok(Err(Failure::Missing)) };
        let book = self.door.book();
        if let Some(consumer) = book.directory.by_certificate(&certificate.subject) {
            return Ok(Ok(Arc::clone(consumer)));
        }
        let asked =
            Asked { identities: self.door.identities(), throttle: &book.throttle, client: cx.facts.client, now };
        match find(&asked, Sought::Certificate(&certificate.subject)).await {
            Ok(consumer) => Ok(Ok(consumer)),
            Err(Missed::Nobody) => Ok(Err(Failure::UnknownCertificate)),
            Err(Missed::Refused(failure)) => Ok(Err(failure)),
            Err(Missed::Failed(error)) => Err(error),
        }
    }
}

impl Filter for ClientCertificate {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut ()) -> Result<Verdict, ProxyError> {
        let now = now();
        if let Err(failure) = self.door.banned(cx, now) {
            return Err(self.door.refuse(cx, failure, now));
        }
        if Door::is_known(cx) {
            return Ok(Verdict::Continue);
        }
        let downstream = Arc::clone(&cx.facts.downstream);
        match self.consumer(cx, downstream.tls.as_deref(), now).await? {
            Ok(consumer) => {
                let tls = downstream.tls.as_deref().and_then(|tls| tls.client.as_ref());
                let by = Sought::Certificate(tls.map_or("", |certificate| &certificate.subject));
                let admitted = self.door.admit(cx, &consumer, (by, Expiry::NEVER), now);
                admitted.map_err(|failure| self.door.refuse(cx, failure, now))?;
            }
            Err(Failure::Missing | Failure::UnknownCertificate) if self.config.optional => {}
            Err(failure) => return Err(self.door.refuse(cx, failure, now)),
        }
        Ok(Verdict::Continue)
    }
}

impl ConfiguredFilter for ClientCertificate {
    const NAME: &'static str = "client_certificate";

    type Config = ClientCertificateConfig;

    fn build(config: ClientCertificateConfig, cx: &BuildCx<'_>) -> Result<Self, String> {
        Ok(Self { config, door: Door::with_consumers(cx)? })
    }
}
