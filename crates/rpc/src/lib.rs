//! JSON-RPC and Solana: parsing, batches, coalescing, WebSocket subscriptions.

pub mod batch;
pub mod body;
pub mod cache;
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
use std::sync::Arc;

/// Plugs in what of this crate is no filter: the reader of bodies, and the caches of their answers.
pub fn plug(seams: &mut Seams) {
    seams.body = Some(Arc::new(Reader));
    seams.caches.extend(cache::RpcCache::all(cache::Bounds::default()));
}
