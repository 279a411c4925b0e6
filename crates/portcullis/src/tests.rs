//! The crate as a whole, without sockets.

mod affinity;
mod balanced;
mod explain;
mod rehearsal;
mod watch;
