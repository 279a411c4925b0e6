//! A store of consumers: asked for whom the file does not have, within its bounds.

use async_trait::async_trait;
use portcullis_filter::testkit::Exchange;
use portcullis_identity::consumer::{ConsumerSpec, KeySpec};
use portcullis_identity::store::{ConsumerStore, Remote, Sought, StoreError};
use portcullis_identity::{HashSecret, Identities};
use portcullis_types::Reason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::testing::{caller, cause, hash, key, patient, services};
use crate::testing::{chain_with, run};

/// Has the key of number 1; fails for that of number 3, and never answers for that of number 4.
struct Store {
    asked: Arc<AtomicU32>,
}

#[async_trait]
impl ConsumerStore for Store {
    async fn find(&self, sought: Sought<'_>) -> Result<Option<ConsumerSpec>, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let Sought::Key(sought) = sought else { return Ok(None) };
        let is = |n| sought.to_string() == hash(&key(n));
        if is(3) {
            return Err(StoreError("it is away".to_owned()));
        }
        if is(4) {
            std::future::pending::<()>().await;
        }
        let keys = vec![KeySpec { hash: sought.to_string(), ..KeySpec::default() }];
        let spec = ConsumerSpec { id: "stored".to_owned(), plan: "pro".to_owned(), keys, ..ConsumerSpec::default() };
        Ok(is(1).then_some(spec))
    }
}

fn gateway() -> (Arc<Identities>, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let remote = Remote::new(Arc::new(Store { asked: asked.clone() }), [7; 32]);
    let identities = Arc::new(Identities::new([3; 32]).with_store(remote));
    patient(&identities);
    identities.change(|book| book.secret = HashSecret::from_bytes([9; 32]));
    (identities, asked)
}

fn ask(n: u8) -> Exchange {
    Exchange::get("http://a/").field("x-api-key", &key(n))
}

#[test]
fn a_store_is_asked_once_for_a_key_whether_somebody_has_it_or_not() {
    let (identities, asked) = gateway();
    let chain = chain_with(&services(&identities), &[("api_key", "{}")]);
    for _ in 0..3 {
        assert_eq!(caller(&run(&chain, ask(1))), Some(("stored".to_owned(), "pro".to_owned())));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    for _ in 0..3 {
        let seen = run(&chain, ask(2));
        assert_eq!((cause(&seen), seen.status), ("key_unknown", 401));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    identities.remote().expect("a store").forget("stored");
    assert!(caller(&run(&chain, ask(1))).is_some());
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
fn a_store_that_cannot_answer_is_the_gateways_failure_and_counts_against_nobody() {
    let (identities, _) = gateway();
    let chain = chain_with(&services(&identities), &[("api_key", "{}")]);
    for n in [3, 4] {
        let seen = run(&chain, ask(n));
        assert_eq!((seen.status, seen.reason), (503, Some(Reason::Overloaded)));
    }
    assert_eq!(identities.counts().store_failures(), 2);
    assert_eq!(identities.remote().expect("a store").open(), 0);
    assert!(identities.book().throttle.bans(super::now()).is_empty());
}

#[test]
fn a_network_that_fails_too_often_asks_no_store() {
    let (identities, asked) = gateway();
    let chain = chain_with(&services(&identities), &[("api_key", "{}")]);
    for n in 10..60 {
        run(&chain, ask(n));
    }
    let before = asked.load(Ordering::Relaxed);
    assert!((20..40).contains(&before), "{before}");
    let seen = run(&chain, ask(1));
    assert_eq!((cause(&seen), seen.status), ("network_throttled", 401));
    assert_eq!(asked.load(Ordering::Relaxed), before);
    assert!(caller(&run(&chain, ask(1).client([203, 0, 113, 1].into()))).is_some());
}
