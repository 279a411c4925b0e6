//! The crate as a whole, without sockets.

mod balanced;
mod explain;
mod rehearsal;
mod watch;
