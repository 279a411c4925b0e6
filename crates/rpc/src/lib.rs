//! JSON-RPC and Solana: parsing, batches, coalescing, WebSocket subscriptions.

pub mod json;
pub mod message;
pub mod scan;
pub mod ws;
