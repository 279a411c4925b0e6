//! The loop that carries words: who is asked, what is sent, and what answers mean.
//!
//! Invariants:
//! - Each word that was taken from the ledger is answered, by a grant or by word that there is none.
//! - A server has one pipeline on its way at most, and none waits longer than the timeout.
//! - Redis counts as heard only when every server that keeps pools answered without an error.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use portcullis_caps::{GatewayId, Ledger, Present};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::RedisOptions;
use super::flight::{Flight, Said};
use super::node::Node;
use super::place::Place;
use super::slots::{SlotMap, TAGS, slot_of, tag_text};
use super::status::{LinkStatus, NodeStatus};
use super::tls::Tls;
use super::trouble::Trouble;
use crate::keeper::Clock;

mod hear;
mod prepare;
mod servers;

/// The loop's state.
pub(super) struct Carrier {
    options: RedisOptions,
    ledger: Arc<Ledger>,
    gateway: GatewayId,
    clock: Clock,
    status: Arc<Mutex<LinkStatus>>,
    seeds: BTreeMap<String, Place>,
    nodes: BTreeMap<String, Node>,
    /// Of a cluster.
    map: Option<SlotMap>,
    /// Slots on their way from one server to another.
    moving: HashMap<u16, String>,
    stale: bool,
    refreshed: Option<Instant>,
    roles_asked: Option<Instant>,
    /// The master, where there is no cluster.
    master: Option<String>,
    members_key: String,
    members_slot: u16,
    /// The slot of each tag.
    slots: Vec<u16>,
    present: Option<Present>,
}

/// What a tick has come to.
#[derive(Default)]
struct Tick {
    said: Vec<Option<Said>>,
    /// The worst.
    trouble: Option<Trouble>,
    /// When the earliest of the servers was asked that answered.
    sent: Option<u64>,
    /// Words for servers that slots are on their way to.
    redirected: Vec<(String, Vec<usize>)>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    commands: u64,
    asks: u64,
    grants: u64,
    lost: u64,
    timeouts: u64,
    round_trip: Option<Duration>,
}

impl Tick {
    fn trouble(&mut self, trouble: Trouble) {
        if self.trouble.as_ref().is_none_or(|worst| worst.state < trouble.state) {
            self.trouble = Some(trouble);
        }
    }
}

impl Carrier {
    pub(super) fn new(
        (options, tls): (&RedisOptions, Option<Arc<Tls>>),
        (ledger, gateway): (Arc<Ledger>, GatewayId),
        clock: Clock,
        status: Arc<Mutex<LinkStatus>>,
    ) -> Self {
        let place = |url: &String| {
            let place = Place::read(url, options, tls.as_ref())?;
            Some((place.address(), place))
        };
        let seeds: BTreeMap<String, Place> = options.urls.iter().filter_map(place).collect();
        let now = Instant::now();
        let node =
            |(address, place): (&String, &Place)| (address.clone(), Node::new(place.clone(), options.timeout, now));
        let nodes = seeds.iter().map(node).collect();
        let members = format!("{}:members", options.prefix);
        let slots = (0..TAGS).map(|tag| slot_of(&tag_text(&options.prefix, tag))).collect();
        Self {
            options: options.clone(),
            ledger,
            gateway,
            clock,
            status,
            seeds,
            nodes,
            map: None,
            moving: HashMap::new(),
            stale: false,
            refreshed: None,
            roles_asked: None,
            master: None,
            members_slot: slot_of(&members),
            members_key: format!("{{{members}}}"),
            slots,
            present: None,
        }
    }

    /// Carries words until it is told to stop; then says the last and that the gateway leaves.
    pub(super) async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut ticks = tokio::time::interval(self.options.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                _ = ticks.tick() => self.tick("stays").await,
            }
        }
        self.tick("leaves").await;
    }

    async fn tick(&mut self, word: &str) {
        let mut tick = Tick::default();
        self.connect(&mut tick).await;
        let flights = self.prepare(word, &mut tick);
        self.fly(flights, &mut tick).await;
        if !tick.redirected.is_empty() {
            let flights = self.prepare_redirected(&mut tick);
            self.fly(flights, &mut tick).await;
        }
        // What met nobody.
        for said in tick.said.iter_mut().filter_map(Option::take) {
            self.ledger.lease_answer(&said.ask.key, None);
            tick.counts.lost += 1;
        }
        let known = self.present.map_or(1, |present| present.known);
        if let (None, Some(sent)) = (&tick.trouble, tick.sent) {
            self.ledger.link_heard(sent, self.options.ttl, known);
        }
        self.tell(tick);
    }

    async fn fly(&mut self, flights: BTreeMap<String, Flight>, tick: &mut Tick) {
        let mut away = JoinSet::new();
        for flight in flights.into_values() {
            tick.counts.commands += flight.len() as u64;
            away.spawn(flight.fly(self.options.timeout, Arc::clone(&self.clock)));
        }
        while let Some(landed) = away.join_next().await {
            match landed {
                Ok(landed) => self.land(landed, tick),
                Err(_) => tick.trouble(Trouble::strange()),
            }
        }
    }

    fn tell(&self, tick: Tick) {
        let used = self.used();
        let node = |(address, node): (&String, &Node)| NodeStatus {
            address: address.clone(),
            state: node.state(),
            used: used.contains(address),
        };
        let now = (self.clock)().unix_millis;
        let mut status = self.status.lock();
        status.nodes = self.nodes.iter().map(node).collect();
        status.cluster = self.map.is_some();
        status.gateways = self.present.map_or((0, 0), |present| (present.known, present.heard));
        status.commands += tick.counts.commands;
        status.asks += tick.counts.asks;
        status.grants += tick.counts.grants;
        status.lost += tick.counts.lost;
        status.timeouts += tick.counts.timeouts;
        if let Some(took) = tick.counts.round_trip {
            status.round_trip = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        }
        status.note(tick.trouble.as_ref(), now);
    }
}
