//! Connections that end before any request: recorded, counted, closed.

use std::sync::Arc;
use std::time::SystemTime;

use portcullis_snapshot::Listener;
use portcullis_telemetry::record::Record;
use portcullis_types::{Downstream, ProxyError};

use super::serve::Addresses;
use crate::core::Core;

/// Records a connection that was refused or failed. The socket is closed by being dropped: nothing was read from it
/// that it could be answered to in its own protocol.
pub(super) fn connection(core: &Core, listener: &Arc<Listener>, addresses: Addresses, error: ProxyError) {
    let downstream = Downstream {
        listener: listener.name.clone(),
        peer: addresses.peer,
        socket_peer: addresses.peer,
        local: addresses.local,
        tls: None,
    };
    let generation = core.generations.peek().id;
    let mut record = Record::connection(core.new_id(), generation, SystemTime::now(), Arc::new(downstream));
    listener.metrics.closed(Some(error.reason));
    record.fail(&error);
    core.finish(record, None, None);
}
