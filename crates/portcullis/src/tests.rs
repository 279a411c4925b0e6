//! The crate as a whole, without sockets.

mod explain;
