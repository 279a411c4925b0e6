//! The integration tests: one binary, a module per subject. Each test is a sentence about the gateway's behaviour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod admin_access;
mod admin_api;
mod admin_records;
mod caps;
mod cardinality;
mod changes;
mod choice;
mod cli;
mod dashboard;
mod deadlines;
mod deployment;
mod discovery;
mod drain;
mod failover;
mod failures;
mod fallbacks;
mod filters;
mod forwarding;
mod generations;
mod grpc;
mod grpc_streams;
mod health;
mod hedging;
mod heights;
mod http2;
mod http2_requests;
mod http2_upstream;
mod identity;
mod idle_upstream;
mod json_rpc;
mod limits;
mod log_trouble;
mod logs;
mod looking;
mod objectives;
mod overload;
mod pieces;
mod pipelining;
mod prometheus;
mod proxy_protocol;
mod reload_load;
mod retries;
mod routing;
mod rpc_abuse;
mod rpc_clients;
mod rpc_footprint;
mod rpc_websocket;
mod semantics;
mod sends;
mod slow;
mod store;
mod stream_ends;
mod streams;
mod strict;
mod strict_bodies;
mod systemd;
mod tls;
mod tls_sessions;
mod tracing;
mod trials;
mod unread_bodies;
mod upgrade;
mod upgrade_load;
mod upgrade_parts;
mod upgrade_state;
mod upstream_tls;
mod verdict;
mod websocket;
