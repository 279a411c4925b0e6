//! A host source: every name under `sites.test` is a site that looks like `template.test`, after a moment of waiting.

use async_trait::async_trait;
use portcullis_filter::Site;
use portcullis_filter::seam::HostSource;
use portcullis_types::ProxyError;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The sites under `sites.test`.
pub(crate) struct Sites;

#[async_trait]
impl HostSource for Sites {
    async fn host(&self, host: &str) -> Result<Option<Arc<Site>>, ProxyError> {
        // Stands for a look-up elsewhere: the answer comes later, on another turn of the runtime.
        tokio::task::yield_now().await;
        let Some(name) = host.strip_suffix(".sites.test") else { return Ok(None) };
        let variables = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        Ok(Some(Arc::new(Site { like: "template.test".to_owned(), variables })))
    }
}
