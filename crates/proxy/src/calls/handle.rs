//! The handle by which filters reach the gateway's own requests. It is there before the gateway is.

use async_trait::async_trait;
use pingora_http::RequestHeader;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use portcullis_filter::seam::{UpstreamRequest, UpstreamResponse, UpstreamStream, Upstreams};
use portcullis_snapshot::{ClusterIdx, Snapshot};
use portcullis_types::{ClusterName, EndpointName, ProxyError, Reason};

use super::{Aim, Tries, call, upgrade};
use crate::core::Core;
use crate::gateway::Gateway;

/// The gateway's own requests, for filters that are built before the gateway starts, and where none ever does.
#[derive(Default)]
pub struct OwnRequests {
    core: OnceLock<Weak<Core>>,
}

impl OwnRequests {
    /// Requests go out by this gateway from here on; the first that is named stays.
    pub fn bind(&self, gateway: &Gateway) {
        // A second gateway in one process has a handle of its own.
        drop(self.core.set(Arc::downgrade(&gateway.core)));
    }

    fn core(&self) -> Result<Arc<Core>, ProxyError> {
        let unbound = || ProxyError::with_detail(Reason::Internal, "no gateway serves");
        self.core.get().and_then(Weak::upgrade).ok_or_else(unbound)
    }
}

/// A cluster of the current generation, else of one that serves beside it.
fn find(core: &Core, cluster: &ClusterName) -> Result<(Arc<Snapshot>, ClusterIdx), ProxyError> {
    let unknown = || ProxyError::with_detail(Reason::Internal, format!("there is no cluster {cluster}"));
    let mut found = core.generations.serving().into_iter();
    found.find_map(|snapshot| snapshot.cluster_names.get(cluster).copied().map(|at| (snapshot, at))).ok_or_else(unknown)
}

#[async_trait]
impl Upstreams for OwnRequests {
    async fn call(&self, cluster: &ClusterName, request: UpstreamRequest) -> Result<UpstreamResponse, ProxyError> {
        let core = self.core()?;
        let (snapshot, index) = find(&core, cluster)?;
        let aim = Aim::at(&snapshot, index);
        call(&core, aim, &request, &mut Tries::new(Instant::now(), request.timeout)).await
    }

    async fn upgrade(
        &self,
        cluster: &ClusterName,
        header: RequestHeader,
        avoid: &[EndpointName],
    ) -> Result<UpstreamStream, ProxyError> {
        let core = self.core()?;
        let found = {
            let (snapshot, index) = find(&core, cluster)?;
            snapshot.cluster(index).cloned()
        };
        // Of the generation nothing is held: the stream outlives it.
        upgrade::open(&core, &found.ok_or(Reason::Internal)?, &header, avoid).await
    }
}
