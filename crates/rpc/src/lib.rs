//! JSON-RPC and Solana: parsing, batches, coalescing, WebSocket subscriptions.

pub mod batch;
pub mod body;
pub mod cache;
#[cfg(test)]
mod counted;
pub mod error_object;
pub mod filter;
pub mod json;
pub mod message;
pub mod scan;
pub mod solana;
pub mod ws;

pub use body::{Body, Reader};
pub use filter::register;

use portcullis_filter::seam::Seams;
use portcullis_telemetry::metrics::RpcMetrics;
use std::sync::Arc;

/// Plugs in what of this crate is no filter: the reader of bodies, and the caches of their answers. What caches do counts in
/// these metrics; filters find theirs among the services.
pub fn plug(seams: &mut Seams, metrics: &RpcMetrics) {
    seams.body = Some(Arc::new(Reader));
    seams.caches.extend(cache::RpcCache::all(cache::Bounds::default(), metrics));
}
