//! Hosts that are not in the config: a table of millions of sites, asked on a miss.

use async_trait::async_trait;
use std::sync::Arc;

use portcullis_types::ProxyError;

use crate::cx::Site;

/// Where hosts come from when the config does not name them.
///
/// It is asked only when no exact or wildcard name of the config fits, before the default host. Answers should be
/// cached by the source: the gateway asks it for each request.
#[async_trait]
pub trait HostSource: Send + Sync {
    /// The site of a host (lower-case, no port), `None` when there is none.
    ///
    /// # Errors
    /// The request is answered with this; [`portcullis_types::Reason::NoHost`] is what `None` gives.
    async fn host(&self, host: &str) -> Result<Option<Arc<Site>>, ProxyError>;
}
