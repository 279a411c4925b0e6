//! Streams whose callers lose what let them in.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use portcullis_filter::seam::StreamGuards;
use portcullis_filter::testkit::Exchange;
use portcullis_identity::consumer::{ConsumerSpec, KeySpec};
use portcullis_identity::store::{ConsumerStore, Remote, Sought, StoreError};
use portcullis_identity::{HashSecret, Identities, Timestamp};
use portcullis_types::{ProxyError, Reason};

use super::{ASK_AGAIN, By, State, Watch};
use crate::caller::now;
use crate::caller::testing::{hash, identities, issuer, key, load, patient, services};
use crate::testing::{chain_with, run};

/// A consumer with that key, and more of its line.
fn line(n: u8, more: &str) -> String {
    format!(r#"{{"id":"acme","plan":"pro","keys":[{{"hash":"{}"}}]{more}}}"#, hash(&key(n)))
}

/// Who judges the stream of a request that passes this filter.
fn guards(identities: &Arc<Identities>, filter: &str, request: Exchange) -> StreamGuards {
    let chain = chain_with(&services(identities), &[(filter, if filter == "anonymous" { "plan: free" } else { "{}" })]);
    let seen = run(&chain, request);
    assert_eq!(seen.status, 200);
    seen.notes.get::<StreamGuards>().cloned().expect("somebody who judges it")
}

fn upgrade(n: u8) -> Exchange {
    Exchange::get("http://rpc.test/").field("x-api-key", &key(n)).asks_upgrade()
}

fn ended(reason: Reason, cause: &'static str) -> Result<(), ProxyError> {
    Err(ProxyError::with_detail(reason, cause))
}

#[test]
fn a_stream_is_watched_and_a_request_is_not() {
    let identities = identities(&line(1, ""));
    let chain = chain_with(&services(&identities), &[("api_key", "{}")]);
    let request = || Exchange::get("http://rpc.test/").field("x-api-key", &key(1));
    for (request, watched) in
        [(request(), false), (request().asks_upgrade(), true), (request().field("accept", "text/event-stream"), true)]
    {
        assert_eq!(run(&chain, request).notes.get::<StreamGuards>().is_some(), watched);
    }
}

#[test]
fn a_stream_may_go_on_until_what_let_it_in_is_gone() {
    for (change, expected) in [
        (line(1, r#","networks":["192.0.2.0/24"]"#), Ok(())),
        (line(1, r#","methods":["getBlock"]"#), Ok(())),
        (line(2, ""), ended(Reason::KeyUnknown, "key_unknown")),
        (line(1, "").replace("acme", "other"), ended(Reason::KeyUnknown, "key_unknown")),
        (line(1, r#","disabled":true"#), ended(Reason::KeyForbidden, "consumer_disabled")),
        (line(1, r#","hosts":["www.test"]"#), ended(Reason::KeyForbidden, "host_not_allowed")),
        (line(1, r#","origins":["https://app.test"]"#), ended(Reason::KeyForbidden, "origin_not_allowed")),
        (line(1, r#","networks":["198.51.100.0/24"]"#), ended(Reason::KeyForbidden, "network_not_allowed")),
        (line(1, "").replace("\"}]", "\",\"not_after\":1}]"), ended(Reason::KeyForbidden, "key_expired")),
    ] {
        let identities = identities(&line(1, ""));
        let stream = guards(&identities, "api_key", upgrade(1).client([192, 0, 2, 7].into()));
        assert_eq!(stream.may_go_on(), Ok(()));
        load(&identities, &change);
        assert_eq!(stream.may_go_on(), expected, "{change}");
        load(&identities, &line(1, ""));
        assert_eq!(stream.may_go_on(), expected, "what ended has ended");
    }
}

#[test]
fn a_key_ends_by_itself_when_its_time_is_over() {
    let identities = identities(&line(1, ""));
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs() + 3600;
    load(&identities, &line(1, "").replace("\"}]", &format!("\",\"not_after\":{seconds}}}]")));
    let stream = guards(&identities, "api_key", upgrade(1));
    assert_eq!(stream.may_go_on(), Ok(()));
    let watch = watch(&identities);
    let mut state = watch.state.lock();
    assert_eq!(watch.judge(&mut state, now()), Ok(()));
    let later = Timestamp::from_seconds(seconds);
    assert_eq!(watch.judge(&mut state, later).map_err(|failure| failure.name()), Err("key_expired"));
}

/// The watch of a stream by the key of number 1, whose state a test looks into.
fn watch(identities: &Arc<Identities>) -> Watch {
    let hash = identities.book().secret.hash(key(1).as_bytes());
    let state = State { seen: None, not_after: portcullis_identity::Expiry::NEVER, asked: None, ended: None };
    Watch {
        identities: Arc::clone(identities),
        known: Some(("acme".into(), By::Key(hash))),
        client: [192, 0, 2, 7].into(),
        host: "rpc.test".into(),
        origin: None,
        method: http::Method::GET,
        state: parking_lot::Mutex::new(state),
    }
}

#[test]
fn a_ban_ends_streams_whoever_they_are() {
    let identities = identities(&line(1, ""));
    let known = guards(&identities, "api_key", upgrade(1).client([192, 0, 2, 7].into()));
    let anonymous = Exchange::get("http://rpc.test/").asks_upgrade();
    let nobody = guards(&identities, "anonymous", anonymous.client([192, 0, 2, 8].into()));
    assert_eq!((known.may_go_on(), nobody.may_go_on()), (Ok(()), Ok(())));
    let network = "192.0.2.8/32".parse().expect("a network");
    identities.book().throttle.ban(network, None, "abuse", now()).expect("a ban");
    assert_eq!(nobody.may_go_on(), ended(Reason::KeyUnknown, "network_banned"));
    assert_eq!(known.may_go_on(), Ok(()), "another address");
}

#[test]
fn a_stream_of_a_token_ends_with_its_consumer_and_not_with_the_token() {
    let subject = r#","jwt":[{"issuer":"https://login.example.com","subject":"u1"}]"#;
    let identities = identities(&line(1, subject));
    let issuer = issuer(&identities);
    let token = issuer.token_of("u1", "pro", portcullis_types::RequestId(1), now()).expect("a token");
    let request = Exchange::get("http://rpc.test/").field("authorization", &format!("Bearer {token}")).asks_upgrade();
    let stream = guards(&identities, "jwt", request);
    assert_eq!(stream.may_go_on(), Ok(()));
    load(&identities, &line(1, ""));
    assert_eq!(stream.may_go_on(), ended(Reason::KeyUnknown, "token_subject_unknown"));
}

/// Has the key of number 1, until it has not.
struct Store(Arc<Mutex<bool>>);

#[async_trait]
impl ConsumerStore for Store {
    async fn find(&self, sought: Sought<'_>) -> Result<Option<ConsumerSpec>, StoreError> {
        let Sought::Key(sought) = sought else { return Ok(None) };
        let keys = vec![KeySpec { hash: sought.to_string(), ..KeySpec::default() }];
        let spec = ConsumerSpec { id: "acme".to_owned(), plan: "pro".to_owned(), keys, ..ConsumerSpec::default() };
        Ok(self.0.lock().then_some(spec))
    }
}

#[tokio::test]
async fn a_store_is_asked_again_for_the_caller_of_a_stream_and_not_at_each_look() {
    let has = Arc::new(Mutex::new(true));
    let identities = Arc::new(Identities::new([3; 32]).with_store(Remote::new(Arc::new(Store(has.clone())), [7; 32])));
    patient(&identities);
    identities.change(|book| book.secret = HashSecret::from_bytes([9; 32]));
    let watch = watch(&identities);
    let began = now();
    let look = |later: Duration| watch.judge(&mut watch.state.lock(), began.plus(later)).map_err(|why| why.name());
    assert_eq!(look(Duration::ZERO), Ok(()), "the store has not said anything");
    *has.lock() = false;
    assert_eq!(look(ASK_AGAIN - Duration::from_millis(1)), Ok(()));
    assert_eq!(look(ASK_AGAIN), Ok(()), "asked, and not waited for");
    while identities
        .remote()
        .expect("a store")
        .remembered(By::Key(identities.book().secret.hash(key(1).as_bytes())).sought(), began.plus(ASK_AGAIN))
        .is_none()
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(look(ASK_AGAIN), Err("key_unknown"));
}
