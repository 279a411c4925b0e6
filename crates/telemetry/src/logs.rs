//! The sinks that a config names: which records each takes, how a record is written, where it goes.
//!
//! A record is rendered on the request's thread into a buffer that the thread keeps, then copied into the sink's own
//! bounded queue; a thread of the sink takes it from there. Invariants: no sink waits for anything on a request's
//! thread; what one sink is slow or failing at takes nothing from another; what is not delivered is counted as
//! dropped, by cause; a line shows what its sink's [`View`](crate::access_log::View) allows and nothing else.

mod emf;
mod hec;
mod network;
mod only;
mod open;
mod rotate;
mod settings;
mod sink;
mod syslog;

pub use emf::{Dimension, Emf, EmfTarget};
pub use hec::{Hec, HecBatch, HecError, Spool};
pub use network::Address;
pub use only::{Only, Statuses};
pub use open::{OpenError, OpenSink};
pub use rotate::{Compression, Rotation};
pub use settings::{LogKind, LogSettings};
pub use sink::LogSink;
pub use syslog::{Facility, Syslog, SyslogBody, SyslogTarget};

#[cfg(test)]
mod tests;
