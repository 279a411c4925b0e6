//! The crate as a whole, without sockets.

mod affinity;
mod balanced;
mod batches;
pub(crate) mod explain;
mod fallback;
mod rehearsal;
mod replay;
mod watch;
