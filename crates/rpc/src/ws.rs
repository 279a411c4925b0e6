//! WebSocket RPC that the gateway terminates itself: frames, subscriptions, the streams behind them.
//!
//! A connection is not tunnelled. The [`filter`] grants the upgrade, a [`session`] speaks with the client, and a [`hub`]
//! holds the connections to the upstreams, on which one subscription serves all clients that asked for the same. What
//! decides is without IO: [`frame`] reads and writes frames, [`table`] knows who shares which stream and what becomes of them
//! when an upstream goes away.
//!
//! Invariants: a client's number of a subscription stays what it is; notifications of a subscription come in the order of
//! the upstream, each once, for as long as the client keeps up; a client that may have missed some is told so, by the
//! close of its connection; what waits for a client, for an upstream or for an answer is bounded.

pub mod client;
pub mod close;
pub mod config;
pub mod filter;
pub mod frame;
pub mod handshake;
pub mod hub;
pub mod kind;
pub mod line;
pub mod message;
pub mod session;
pub mod spent;
pub mod table;
#[cfg(test)]
mod testing;

pub use config::WebsocketConfig;
pub use filter::RpcWebsocket;
