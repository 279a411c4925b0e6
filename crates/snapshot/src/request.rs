//! What is done with a request's head on its way through, without a socket: the very steps that the proxy takes and
//! that [`crate::explain`] retraces, so that the two cannot disagree.
//!
//! Everything here works on `pingora_http`'s head and on [`portcullis_filter::Facts`]; nothing does I/O, reads a clock
//! or draws random numbers.

pub mod action;
pub mod admit;
pub mod forwarding;
pub mod reasons;
pub mod secrets;
pub mod trace;
