//! JSON-RPC and Solana: parsing, batches, coalescing, WebSocket subscriptions.

pub mod batch;
pub mod body;
pub mod cache;
pub mod error_object;
pub mod json;
pub mod message;
pub mod scan;
pub mod solana;
pub mod ws;

pub use body::{Body, Reader};
