//! Who makes a request, as the filter that established it tells the others.

use std::sync::Arc;

use crate::consumer::Consumer;

/// The caller of a request: shared with later filters and with whoever speaks on an upgraded connection.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The consumer's id, or what tells anonymous callers apart: never a key.
    pub id: Arc<str>,
    /// The name of the plan it is held to.
    pub plan: Arc<str>,
    /// The consumer; `None` when it is anonymous by policy.
    pub consumer: Option<Arc<Consumer>>,
}
