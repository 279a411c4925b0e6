//! Objectives of service levels.

use std::sync::Arc;
use std::time::Duration;

use portcullis_slo::Objective;
use portcullis_types::Fault;

/// The most objectives of a config.
pub const MOST_SLOS: usize = 200;

/// An objective: which requests count, which of them went well, and what share of them should.
#[derive(Debug, Clone, PartialEq)]
pub struct Slo {
    /// Its name.
    pub name: Arc<str>,
    /// The virtual host, by its first name.
    pub host: Arc<str>,
    /// The route; `None` for all of the host.
    pub route: Option<Arc<str>>,
    /// Which requests count, and which of them went well.
    pub good: Good,
    /// The share that should go well, and over how long.
    pub objective: Objective,
}

/// Which requests count, and which of them went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Good {
    /// Those that did not fail by one of these faults; what failed by another fault does not count.
    Available(Vec<Fault>),
    /// Those that were answered within this time; what failed or was refused, and streams, do not count.
    Within(Duration),
}
