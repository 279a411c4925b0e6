//! What a client spends of its caps.

use parking_lot::Mutex;
use portcullis_caps::{
    Admission, BoundSet, Cap, CapSet, CapSetSpec, Held, Ledger, LedgerOptions, Methods, Moment, Refusal, Request,
    Scope, Scopes, Spend, Spender, Unit,
};
use portcullis_filter::Notes;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

use super::ACCOUNT;
use crate::ws::testing::World;

/// A caller with a plan of its own.
struct Plan {
    ledger: Ledger,
    set: Arc<BoundSet>,
    methods: Methods,
    bytes: Mutex<u64>,
    credits: Mutex<Vec<(String, u64)>>,
}

impl Plan {
    fn new(caps: Vec<Cap>) -> Arc<Self> {
        let set = CapSet::build(CapSetSpec { each: caps, ..CapSetSpec::new(Scope::Plan, "free") }).expect("caps");
        let (ledger, methods) = (Ledger::new(LedgerOptions::default()), Methods::default());
        let set = ledger.bind(&set, &methods).expect("bound");
        Arc::new(Self { ledger, set, methods, bytes: Mutex::default(), credits: Mutex::default() })
    }

    fn decide(&self, holds: Held, methods: &[&str]) -> Result<Admission, Box<Refusal>> {
        let calls: Vec<_> = methods.iter().map(|name| self.methods.find(name)).collect();
        let id = Arc::from("caller");
        let scopes = Scopes::default().with(&self.set);
        let now = Moment::new(Duration::ZERO, Duration::from_secs(1_772_323_200));
        self.ledger.decide(now, &Request { scopes, consumer: Some(&id), holds, calls: &calls }).map_err(Box::new)
    }

    fn notes(self: &Arc<Self>) -> Notes {
        let mut notes = Notes::default();
        let spend: Arc<dyn Spend> = self.clone();
        notes.extensions_mut().insert(Spender(spend));
        notes
    }
}

impl Spend for Plan {
    fn call(&self, methods: &[&str]) -> Result<Admission, Box<Refusal>> {
        self.decide(Held::Requests, methods)
    }

    fn hold(&self, held: Held, method: Option<&str>) -> Result<Admission, Box<Refusal>> {
        self.decide(held, method.as_slice())
    }

    fn bytes(&self, bytes: u64) {
        *self.bytes.lock() += bytes;
    }

    fn credits(&self, method: &str, credits: u64) {
        self.credits.lock().push((method.to_owned(), credits));
    }
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_held_until_they_end_however_they_end() {
    let mut world = World::new("credits: 3");
    let plan = Plan::new(vec![Cap::at_once(Held::Subscriptions, 2).expect("a cap")]);
    let mut client = world.client_with(plan.notes(), 1 << 16);
    client.ask("accountSubscribe", json!([ACCOUNT])).await;
    let mut node = world.node().await;
    let account = node.grant("accountSubscribe").await;
    let number = client.peer.json().await["result"].clone();
    client.ask("signatureSubscribe", json!(["sig"])).await;
    let signature = node.grant("signatureSubscribe").await;
    client.peer.json().await;
    client.ask("rootSubscribe", json!([])).await;
    let error = client.error().await;
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32603), &json!("over_concurrency")));
    assert_eq!(error["data"]["cap"], "subscriptions");
    // One ends by itself, the upstream refuses another, the client ends a third, and then leaves.
    node.notify("signatureNotification", signature, json!({"value": {"err": null}})).await;
    client.peer.json().await;
    client.ask("voteSubscribe", json!([])).await;
    let request = node.request().await;
    node.refuse(&request, r#"{"code":-32601,"message":"no"}"#).await;
    client.error().await;
    assert_eq!(client.result("accountUnsubscribe", json!([number])).await, json!(true));
    for method in ["rootSubscribe", "slotsUpdatesSubscribe"] {
        client.ask(method, json!([])).await;
        loop {
            let request = node.request().await;
            if request["method"] == method {
                node.answer(&request, json!(7)).await;
                break;
            }
        }
        assert!(client.peer.json().await["result"].is_u64(), "{method}");
    }
    assert!(plan.hold(Held::Subscriptions, None).is_err());
    drop(client.peer);
    client.session.await.expect("no panic");
    assert!(plan.hold(Held::Subscriptions, None).is_ok());
    assert_eq!(*plan.credits.lock(), [("signatureSubscribe".to_owned(), 3)]);
    let _ = account;
}

#[tokio::test(start_paused = true)]
async fn calls_are_spent_held_until_they_are_answered_and_bytes_counted() {
    let mut world = World::new("");
    let rate = Cap::rate(Unit::Requests, "1/h".parse().expect("a rate"), 2).expect("a cap");
    let plan = Plan::new(vec![rate, Cap::at_once(Held::Requests, 1).expect("a cap")]);
    let mut client = world.client_with(plan.notes(), 1 << 16);
    client.ask("getSlot", json!([])).await;
    let mut node = world.node().await;
    let request = node.request().await;
    client.ask("getSlot", json!([])).await;
    assert_eq!(client.error().await["data"]["cap"], "concurrency");
    node.answer(&request, json!(1)).await;
    client.peer.json().await;
    client.ask("getSlot", json!([])).await;
    let request = node.request().await;
    node.answer(&request, json!(1)).await;
    client.peer.json().await;
    client.ask("getSlot", json!([])).await;
    let error = client.error().await;
    assert_eq!((&error["data"]["reason"], &error["data"]["retryAfter"]), (&json!("over_rate"), &json!(3600)));
    drop(client.peer);
    let end = client.session.await.expect("no panic");
    assert_eq!(*plan.bytes.lock(), end.bytes_in + end.bytes_out);
    assert!(end.bytes_in > 4 * 60 && end.bytes_out > 4 * 40, "{end:?}");
}
