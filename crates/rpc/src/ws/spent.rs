//! What a connection spends of its caller's caps.

use portcullis_caps::{Admission, Held, Spender};
use portcullis_filter::Notes;

use super::kind::Kind;
use super::message::Failure;

/// Bytes are told to the caps when so many passed, or some time later.
const SETTLE: u64 = 16 * 1024;

/// Notifications that were written, by kind.
#[derive(Debug, Default)]
pub struct Delivered([u64; Kind::ALL.len()]);

impl Delivered {
    /// One more.
    pub fn add(&mut self, kind: Option<Kind>) {
        if let Some(count) = kind.and_then(|kind| self.0.get_mut(kind as usize)) {
            *count += 1;
        }
    }
}

/// See the module's text. Without caps it spends nothing.
pub struct Spending {
    spender: Option<Spender>,
    /// Credits for each notification.
    credits: u64,
    unsettled: u64,
}

impl Spending {
    /// What the request's filters say may be spent.
    #[must_use]
    pub fn new(notes: &Notes, credits: u64) -> Self {
        Self { spender: notes.get::<Spender>().cloned(), credits, unsettled: 0 }
    }

    /// Spends a call; what is returned is held until it is answered.
    ///
    /// # Errors
    /// A cap refuses.
    pub fn call(&self, method: &str) -> Result<Option<Admission>, Failure> {
        let spent = self.spender.as_ref().map(|spender| spender.0.call(&[method]));
        spent.transpose().map_err(|refusal| Failure::refused(&refusal))
    }

    /// Spends the call that begins a subscription; what is returned is held as long as that.
    ///
    /// # Errors
    /// A cap refuses.
    pub fn hold(&self, method: &str) -> Result<Option<Admission>, Failure> {
        let spent = self.spender.as_ref().map(|spender| spender.0.hold(Held::Subscriptions, Some(method)));
        spent.transpose().map_err(|refusal| Failure::refused(&refusal))
    }

    /// Bytes passed.
    pub fn bytes(&mut self, bytes: usize) {
        self.unsettled += bytes as u64;
        if self.unsettled >= SETTLE {
            self.settle();
        }
    }

    /// Tells the caps of the bytes that passed.
    pub fn settle(&mut self) {
        let bytes = std::mem::take(&mut self.unsettled);
        if let Some(spender) = self.spender.as_ref().filter(|_| bytes > 0) {
            spender.0.bytes(bytes);
        }
    }

    /// Notifications were written.
    pub fn delivered(&self, delivered: &Delivered) {
        let Some(spender) = self.spender.as_ref().filter(|_| self.credits > 0) else { return };
        for (kind, count) in Kind::ALL.into_iter().zip(delivered.0).filter(|(_, count)| *count > 0) {
            spender.0.credits(kind.subscribe(), count.saturating_mul(self.credits));
        }
    }
}
