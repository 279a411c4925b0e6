//! What one caller may spend, as the filter that admitted its request tells others: a stream that is admitted once goes on
//! to make calls, to hold subscriptions and to pass bytes.

use std::sync::Arc;

use crate::ledger::Admission;
use crate::policy::Held;
use crate::standing::Refusal;

/// Decides for one caller, over all caps that apply to it, now.
pub trait Spend: Send + Sync {
    /// Calls of these methods, as one request: all or none.
    ///
    /// # Errors
    /// The cap that refuses; nothing was spent.
    fn call(&self, methods: &[&str]) -> Result<Admission, Box<Refusal>>;

    /// Something that is held until the admission is dropped, with what a call of this method costs, if there is one.
    ///
    /// # Errors
    /// The cap that refuses; nothing was spent.
    fn hold(&self, held: Held, method: Option<&str>) -> Result<Admission, Box<Refusal>>;

    /// Bytes that passed, both ways.
    fn bytes(&self, bytes: u64);

    /// Credits for what was delivered without a call, by the price of a method: notifications, or bytes of them.
    fn credits(&self, method: &str, credits: u64);
}

/// The spender of a request, shared among its filters' values.
#[derive(Clone)]
pub struct Spender(pub Arc<dyn Spend>);
