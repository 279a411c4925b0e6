//! The crate as a whole, without sockets.

mod affinity;
mod balanced;
mod batches;
mod explain;
mod fallback;
mod rehearsal;
mod watch;
