//! A source of endpoints: a text file with an address on each line, as a registry might keep it.

use async_trait::async_trait;
use portcullis_filter::seam::{EndpointSink, EndpointSource, FoundEndpoint};
use std::time::Duration;

/// Reads the file that a cluster names, again and again.
pub(crate) struct Registry;

#[async_trait]
impl EndpointSource for Registry {
    async fn follow(&self, of: &str, sink: &dyn EndpointSink) -> Result<(), String> {
        loop {
            let text = tokio::fs::read_to_string(of).await.map_err(|error| format!("{of}: {error}"))?;
            let found: Result<Vec<_>, _> = text.lines().map(|line| line.parse().map(FoundEndpoint::new)).collect();
            sink.found(found.map_err(|error| format!("{of}: {error}"))?);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
