//! What one process spent that another one writes down: handed from a gateway that ends to the one that follows it.

use std::sync::Arc;

use portcullis_caps::{Amount, Period, SavedQuota, Scope};
use serde::{Deserialize, Serialize};

/// Differences: of usage, and of quotas since both processes knew the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spending {
    /// Who used how much of which method.
    pub usage: Vec<(Arc<str>, Arc<str>, Amount)>,
    /// What was spent of quotas, each a difference.
    pub quotas: Vec<SavedQuota>,
}

/// The same as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    usage: Vec<(String, String, [u64; 3])>,
    quotas: Vec<Quota>,
}

#[derive(Serialize, Deserialize)]
struct Quota {
    consumer: Option<String>,
    scope: String,
    set: String,
    cap: String,
    period: String,
    window: u32,
    spent: u64,
}

impl Spending {
    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.usage.is_empty() && self.quotas.is_empty()
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let usage = self.usage.iter().map(|(consumer, method, amount)| {
            let Amount { requests, credits, bytes } = *amount;
            (consumer.to_string(), method.to_string(), [requests, credits, bytes])
        });
        let quotas = self.quotas.iter().map(|quota| Quota {
            consumer: quota.consumer.as_deref().map(str::to_owned),
            scope: quota.scope.as_str().to_owned(),
            set: quota.set.to_string(),
            cap: quota.cap.to_string(),
            period: quota.period.as_str().to_owned(),
            window: quota.window,
            spent: quota.spent,
        });
        let written = Written { usage: usage.collect(), quotas: quotas.collect() };
        // Maps with keys that are no text are what could fail, and there are none.
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// Reads what [`Spending::to_json`] wrote. A scope that this release does not know is left out.
    ///
    /// # Errors
    /// It is not that.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let Written { usage, quotas } = serde_json::from_slice(bytes)?;
        let usage = usage.into_iter().map(|(consumer, method, [requests, credits, bytes])| {
            (consumer.into(), method.into(), Amount { requests, credits, bytes })
        });
        let quotas = quotas.into_iter().filter_map(|quota| {
            let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == quota.scope)?;
            let period = [Period::Day, Period::Month].into_iter().find(|period| period.as_str() == quota.period)?;
            let Quota { consumer, set, cap, window, spent, .. } = quota;
            let (consumer, set, cap) = (consumer.map(Arc::from), set.into(), cap.into());
            Some(SavedQuota { consumer, scope, set, cap, period, window, spent })
        });
        Ok(Self { usage: usage.collect(), quotas: quotas.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let quota = |consumer: Option<&str>, period| SavedQuota {
            consumer: consumer.map(Arc::from),
            scope: Scope::Plan,
            set: "free".into(),
            cap: "quota.month".into(),
            period,
            window: 674,
            spent: u64::MAX,
        };
        let spending = Spending {
            usage: vec![("acme \"x\"".into(), "getBlock".into(), Amount { requests: 1, credits: 2, bytes: 3 })],
            quotas: vec![quota(Some("acme"), Period::Month), quota(None, Period::Day)],
        };
        assert_eq!(Spending::from_json(&spending.to_json()).unwrap(), spending);
        assert!(Spending::from_json(b"{}").is_err() && Spending::default().is_empty());
    }
}
