//! The gate: everything between `accept` and the first line of a request.
//!
//! It owns what Pingora does not: caps on connections, the PROXY protocol, TLS, deadlines for the handshake and for a
//! whole request head, the strictness of every head and every body, pipelining, draining. A connection is one task;
//! it holds no buffer while it waits for a request.

pub(crate) mod accept;
mod answer;
pub(crate) mod caps;
pub(crate) mod conn;
mod connect;
mod cork;
mod frames;
mod head;
mod http1;
mod http2;
pub(crate) mod io;
mod l4;
mod linger;
mod pace;
mod proxy_header;
pub(crate) mod raw;
mod reject;
mod serve;
mod tls;
mod transport;
mod tunnel;
mod upgraded;
