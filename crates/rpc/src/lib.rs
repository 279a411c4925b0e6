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
