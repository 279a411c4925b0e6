//! The only user of pingora-core and pingora-proxy: the gate, listeners, the proxy's phases, probes, drain.
//!
//! [`Gateway`] is the whole: it starts on a snapshot, takes the next one with [`Gateway::apply`], and drains. A request
//! enters by the gate, runs through the service (Pingora's `ProxyHttp`), and leaves as one record.

mod calls;
mod core;
mod gate;
mod gateway;
mod inherited;
mod listeners;
mod overload;
#[cfg(test)]
mod pingora_tests;
mod probe;
mod reasons;
mod service;
mod streams;

pub use calls::OwnRequests;
pub use core::Observers;
pub use gateway::{ApplyError, DrainReport, Gateway};
pub use inherited::{Given, Inherited};
pub use listeners::{BindError, Socket};
pub use overload::OverloadState;
