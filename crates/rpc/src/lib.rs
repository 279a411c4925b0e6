//! JSON-RPC and Solana: parsing, batches, coalescing, WebSocket subscriptions.

pub mod ws;
