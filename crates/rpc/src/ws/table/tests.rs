//! Random histories of clients and upstreams, against what each client must get.
//!
//! The upstream is one like agave: requests are done in order, the same subscription asked for twice has one number and one
//! notification, and is over when that number is given up once.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::ws::client::Item;
use crate::ws::message::Incoming;

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    Subscribe {
        client: usize,
        key: usize,
    },
    Unsubscribe {
        client: usize,
        which: prop::sample::Index,
    },
    Leave {
        client: usize,
    },
    Call {
        client: usize,
    },
    /// The upstream does the next request.
    Work,
    /// The gateway reads the next message.
    Read,
    /// Something is to be notified of to who subscribed to this key.
    Emit {
        key: usize,
    },
    Connect,
    Lose,
}

const CLIENTS: usize = 3;

/// Keys. The first two are the same to the upstream; of the last nobody but the heartbeat is told too.
fn key(at: usize) -> Key {
    let (kind, params) =
        [(Kind::Account, "[\"a\"]"), (Kind::Account, "[\"a\",{}]"), (Kind::Root, "[]"), (Kind::Slot, "[]")][at];
    Key { kind, params: params.into() }
}

/// What the upstream takes a request for.
fn subject(method: &str, params: &Value) -> String {
    format!("{method}{}", params[0])
}

#[derive(Default)]
struct Upstream {
    up: bool,
    requests: VecDeque<Value>,
    wire: VecDeque<String>,
    subscriptions: BTreeMap<String, u64>,
    next: u64,
}

impl Upstream {
    fn work(&mut self) {
        let Some(request) = self.requests.pop_front() else { return };
        let method = request["method"].as_str().expect("a method");
        let result = if method.ends_with("Unsubscribe") {
            let number = request["params"][0].as_u64();
            let had = self.subscriptions.len();
            self.subscriptions.retain(|_, other| Some(*other) != number);
            assert_eq!(self.subscriptions.len() + 1, had, "given up once: {request}");
            json!(true)
        } else if method.ends_with("Subscribe") {
            self.next += 1;
            json!(self.subscriptions.entry(subject(method, &request["params"])).or_insert(self.next))
        } else {
            json!("called")
        };
        self.wire.push_back(json!({"id": request["id"], "result": result}).to_string());
    }

    fn emit(&mut self, key: &Key, event: u64) {
        let params: Value = serde_json::from_str(&key.params).expect("JSON");
        if let Some(number) = self.subscriptions.get(&subject(key.kind.subscribe(), &params)) {
            let params = json!({"result": event, "subscription": number});
            self.wire.push_back(json!({"method": "xNotification", "params": params}).to_string());
        }
    }
}

/// A client, and what it was told.
struct Told {
    client: Arc<Client>,
    /// Its subscriptions by number: the key, and the events that came.
    live: BTreeMap<u64, (usize, Vec<u64>)>,
    /// Requests without an answer.
    open: BTreeSet<u64>,
}

struct World {
    table: Table,
    upstream: Upstream,
    clients: Vec<Told>,
    /// The key of each number that was asked for.
    asked: BTreeMap<u64, usize>,
    next: u64,
    tolerate: bool,
    now: Instant,
}

fn fresh() -> Told {
    Told { client: Arc::new(Client::new(1 << 20, Arc::default())), live: BTreeMap::new(), open: BTreeSet::new() }
}

impl World {
    fn new(tolerate: bool) -> Self {
        let day = Duration::from_secs(86_400);
        let table = Table::new(Terms { timeout: day, silence: day, outage: day, tolerate_gaps: tolerate });
        let clients = (0..CLIENTS).map(|_| fresh()).collect();
        let upstream = Upstream { next: 1000, ..Upstream::default() };
        Self { table, upstream, clients, asked: BTreeMap::new(), next: 0, tolerate, now: Instant::now() }
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Subscribe { client, key: at } => {
                let number = self.id();
                self.asked.insert(number, at);
                let told = &mut self.clients[client];
                told.open.insert(number);
                told.client.hold(number, 0, None);
                let client = Arc::clone(&told.client);
                self.table.subscribe(Subscribe { client, number, id: number.to_string().into(), key: key(at) }, now);
            }
            Step::Unsubscribe { client, which } => {
                let told = &mut self.clients[client];
                let numbers: Vec<u64> = told.live.keys().copied().collect();
                if let Some(number) = (!numbers.is_empty()).then(|| *which.get(&numbers)) {
                    assert!(told.client.unsubscribe(number).is_some(), "it was told that it has it");
                    told.live.remove(&number);
                    self.table.unsubscribe(number, now);
                }
            }
            Step::Leave { client } => {
                let told = std::mem::replace(&mut self.clients[client], fresh());
                for (number, _) in told.client.end() {
                    self.table.unsubscribe(number, now);
                }
            }
            Step::Call { client } => {
                let id = self.id();
                let told = &mut self.clients[client];
                told.open.insert(id);
                told.client.wait();
                let (client, id) = (Arc::clone(&told.client), id.to_string().into());
                let (method, params) = ("getSlot".into(), "[]".into());
                self.table.call(Call { client, id, method, params, grant: None }, now);
            }
            Step::Work if self.upstream.up => self.upstream.work(),
            Step::Read => self.read(),
            Step::Emit { key: at } => {
                let event = self.id();
                self.upstream.emit(&key(at), event);
            }
            Step::Connect if !self.upstream.up => {
                self.upstream.up = true;
                self.table.connected(now);
            }
            Step::Lose if self.upstream.up => {
                let next = self.upstream.next;
                self.upstream = Upstream { next, ..Upstream::default() };
                self.lose();
            }
            Step::Work | Step::Connect | Step::Lose => {}
        }
        for text in self.table.take_out() {
            assert!(self.upstream.up, "nothing is sent to nobody");
            self.upstream.requests.push_back(serde_json::from_str(&text).expect("JSON"));
        }
        self.settle();
    }

    /// The gateway reads a message: an event reaches those who have it now, and nobody else.
    fn read(&mut self) {
        let Some(text) = self.upstream.wire.pop_front() else { return };
        let message: Value = serde_json::from_str(&text).expect("JSON");
        let number = message["params"]["subscription"].as_u64();
        let of =
            self.upstream.subscriptions.iter().find(|(_, other)| Some(**other) == number).map(|(it, _)| it.clone());
        let holders = |world: &Self, event: Option<u64>| -> BTreeSet<u64> {
            let all = world.clients.iter().flat_map(|told| &told.live);
            let has = |(at, events): &(usize, Vec<u64>)| match event {
                Some(event) => events.last() == Some(&event),
                None => {
                    let params: Value = serde_json::from_str(&key(*at).params).expect("JSON");
                    Some(subject(key(*at).kind.subscribe(), &params)) == of
                }
            };
            all.filter(|(_, it)| has(it)).map(|(number, _)| *number).collect()
        };
        let expected = holders(self, None);
        self.table.incoming(Incoming::read(Bytes::from(text)).expect("a message"), self.now);
        self.settle();
        if let (Some(event), Some(_)) = (message["params"]["result"].as_u64(), &of) {
            assert_eq!(holders(self, Some(event)), expected, "event {event}");
        }
    }

    /// The upstream is gone; when the next one is there, those who may have lost something are told.
    fn lose(&mut self) {
        self.table.lost(self.now);
        self.settle();
        let lose = |it: &(usize, Vec<u64>)| !key(it.0).kind.bears_a_gap();
        let told: Vec<bool> = self.clients.iter().map(|told| told.live.values().any(lose) && !self.tolerate).collect();
        self.table.connected(self.now);
        self.upstream.up = true;
        for (at, told) in told.into_iter().enumerate() {
            assert_eq!(self.clients[at].client.load().closing.is_some(), told);
            if told {
                self.step(Step::Leave { client: at });
            }
        }
    }

    /// Takes what waits for the clients.
    fn settle(&mut self) {
        for told in &mut self.clients {
            let mut items = Vec::new();
            told.client.take_while(|_| true, |item| items.push(item));
            for item in items {
                match item {
                    Item::Frame(frame) => {
                        let text: Value =
                            serde_json::from_slice(&frame[if frame[1] < 126 { 2 } else { 4 }..]).expect("JSON");
                        let id = text["id"].as_u64().expect("an id");
                        assert!(told.open.remove(&id), "one answer a request: {text}");
                        if let Some(number) = text["result"].as_u64() {
                            assert_eq!(number, id, "the number that was kept for it");
                            told.live.insert(number, (self.asked[&number], Vec::new()));
                        }
                    }
                    Item::Notification(notification, number) => {
                        let (before, behind) = notification.parts();
                        let text = [before, number.to_string().as_bytes(), behind].concat();
                        let text: Value = serde_json::from_slice(&text).expect("JSON");
                        let event = text["params"]["result"].as_u64().expect("an event");
                        let (_, events) = told.live.get_mut(&number).expect("it has this subscription");
                        assert!(events.last().is_none_or(|last| *last < event), "in order, each once");
                        events.push(event);
                    }
                }
            }
        }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        6 => (client.clone(), 0..4_usize).prop_map(|(client, key)| Step::Subscribe { client, key }),
        4 => (client.clone(), any::<prop::sample::Index>()).prop_map(|(client, which)| Step::Unsubscribe { client, which }),
        1 => client.clone().prop_map(|client| Step::Leave { client }),
        1 => client.prop_map(|client| Step::Call { client }),
        10 => Just(Step::Work),
        10 => Just(Step::Read),
        6 => (0..4_usize).prop_map(|key| Step::Emit { key }),
        2 => Just(Step::Connect),
        1 => Just(Step::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn each_client_gets_what_it_has_once_and_in_order_and_nothing_stays_behind(
        steps in proptest::collection::vec(any_step(), 0..120),
        tolerate in any::<bool>(),
    ) {
        let mut world = World::new(tolerate);
        for step in steps {
            world.step(step);
        }
        world.step(Step::Connect);
        for _ in 0..400 {
            world.step(Step::Work);
            world.step(Step::Read);
        }
        for told in &world.clients {
            prop_assert!(told.open.is_empty(), "unanswered: {:?}", told.open);
            prop_assert_eq!(told.client.load().pending, 0);
        }
        for client in 0..CLIENTS {
            world.step(Step::Leave { client });
        }
        for _ in 0..100 {
            world.step(Step::Work);
            world.step(Step::Read);
        }
        prop_assert!(!world.table.is_wanted());
        let left: Vec<&str> = world.upstream.subscriptions.keys().map(String::as_str).collect();
        prop_assert_eq!(left, ["slotSubscribenull"], "the heartbeat alone");
        prop_assert_eq!(world.table.size(), (1, 0));
    }
}
