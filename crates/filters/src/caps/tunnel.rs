//! The bytes of a WebSocket that is only tunnelled: charged as they pass, and the end of it when a cap of bytes runs dry.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use portcullis_filter::seam::StreamGuard;
use portcullis_types::ProxyError;

use super::filter::failure;
use super::spending::Spending;

/// Bytes are charged when so many passed, and once a second: the ledger is not asked for each piece.
const GRAIN: u64 = 16 * 1024;

/// Charges one tunnel.
pub(super) struct Tunnel {
    spending: Arc<Spending>,
    /// Bytes that passed.
    passed: AtomicU64,
    /// Whether a cap of bytes had none left after what was charged last.
    dry: AtomicBool,
    ended: OnceLock<ProxyError>,
}

impl Tunnel {
    pub(super) const fn new(spending: Arc<Spending>) -> Self {
        Self { spending, passed: AtomicU64::new(0), dry: AtomicBool::new(false), ended: OnceLock::new() }
    }

    fn settle(&self) {
        let passed = self.passed.load(Ordering::Relaxed);
        if self.spending.stream_to(passed).is_err() {
            self.dry.store(true, Ordering::Relaxed);
        }
    }
}

impl StreamGuard for Tunnel {
    /// What a cap runs dry with passes too, so that what is charged is what passed; the next piece ends the tunnel, unless
    /// time has brought some since.
    fn passes(&self, bytes: u64) -> Result<(), ProxyError> {
        if let Some(why) = self.ended.get() {
            return Err(why.clone());
        }
        if self.dry.load(Ordering::Relaxed) {
            if let Some(refusal) = self.spending.dry() {
                self.spending.caps.counts.dry_streams.fetch_add(1, Ordering::Relaxed);
                return Err(self.ended.get_or_init(|| failure(&self.spending.caps, &refusal)).clone());
            }
            self.dry.store(false, Ordering::Relaxed);
        }
        let passed = self.passed.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if passed.saturating_sub(self.spending.charged()) >= GRAIN {
            self.settle();
        }
        Ok(())
    }

    fn may_go_on(&self) -> Result<(), ProxyError> {
        self.settle();
        self.ended.get().map_or(Ok(()), |why| Err(why.clone()))
    }
}
