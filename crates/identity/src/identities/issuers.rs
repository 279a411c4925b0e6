//! An issuer whose tokens are taken, with the keys it has now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use crate::token::{KeySet, Rules, Verifier};

/// An issuer. Its keys come and change while it is used; before the first have come, no token of it is good.
pub struct TokenIssuer {
    name: Box<str>,
    rules: Rules,
    remember: usize,
    secret: [u8; 32],
    verifier: ArcSwapOption<Verifier>,
    wanted: AtomicBool,
}

impl TokenIssuer {
    /// `name` is the config's word for it; it remembers so many checked tokens. `secret` is random.
    #[must_use]
    pub fn new(name: &str, rules: Rules, remember: usize, secret: [u8; 32]) -> Self {
        let (verifier, wanted) = (ArcSwapOption::empty(), AtomicBool::new(false));
        Self { name: name.into(), rules, remember, secret, verifier, wanted }
    }

    /// The config's word for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.rules.issuer()
    }

    /// What its tokens are held to.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Checks its tokens; `None` before its keys have come.
    #[must_use]
    pub fn verifier(&self) -> Option<Arc<Verifier>> {
        self.verifier.load_full()
    }

    /// Takes its keys, and says whether they are others than before. What was remembered is forgotten then: it may
    /// have been signed with a key that is gone.
    pub fn put(&self, keys: KeySet) -> bool {
        if self.verifier.load().as_ref().is_some_and(|verifier| *verifier.keys() == keys) {
            return false;
        }
        let verifier = Verifier::new(self.rules.clone(), keys, self.remember, self.secret);
        self.verifier.store(Some(Arc::new(verifier)));
        true
    }

    /// A token named a key that is not there: its keys may have been rotated.
    pub fn want_keys(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Whether keys were wanted since this was last asked.
    pub fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::Relaxed)
    }
}

impl std::fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenIssuer").field("name", &self.name).finish_non_exhaustive()
    }
}
