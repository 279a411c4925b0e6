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
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ServerError, Value};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::RedisOptions;
use super::flight::{Flight, Job, Landed, Said, WORDS};
use super::node::{Node, is_master};
use super::slots::{SlotMap, redirect, slot_of, tag_text};
use super::status::{LinkStatus, NodeStatus};
use super::trouble::{LinkState, Trouble};
use super::words::{Word, grant};
use crate::keeper::Clock;

/// How often who has which slots is asked without a reason, and with one.
const REFRESH: Duration = Duration::from_secs(5);
const REFRESH_STALE: Duration = Duration::from_millis(200);
/// How often a replica is asked whether it was promoted.
const ROLE: Duration = Duration::from_millis(250);

/// The loop's state.
pub(super) struct Carrier {
    options: RedisOptions,
    ledger: Arc<Ledger>,
    gateway: GatewayId,
    clock: Clock,
    status: Arc<Mutex<LinkStatus>>,
    seeds: BTreeMap<String, ConnectionInfo>,
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
        options: &RedisOptions,
        (ledger, gateway): (Arc<Ledger>, GatewayId),
        clock: Clock,
        status: Arc<Mutex<LinkStatus>>,
    ) -> Self {
        let info = |url: &String| {
            let info = with_login(url.as_str().into_connection_info().ok()?, options);
            Some((address_of(&info), info))
        };
        let seeds: BTreeMap<String, ConnectionInfo> = options.urls.iter().filter_map(info).collect();
        let now = Instant::now();
        let node = |(address, info): (&String, &ConnectionInfo)| {
            (address.clone(), Node::new(info.clone(), options.timeout, now))
        };
        let nodes = seeds.iter().map(node).collect();
        let members = format!("{}:members", options.prefix);
        let slots = (0..super::slots::TAGS).map(|tag| slot_of(&tag_text(&options.prefix, tag))).collect();
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

    /// Goes on with connections, and learns from new ones.
    async fn connect(&mut self, tick: &mut Tick) {
        let now = Instant::now();
        let mut made = 0;
        for (address, node) in &mut self.nodes {
            match node.progress(now).await {
                None => {}
                Some(Err(trouble)) => {
                    tick.counts.timeouts += u64::from(trouble.state == LinkState::Slow);
                    self.stale = true;
                }
                Some(Ok(())) => {
                    made += 1;
                    let slots = node.open().and_then(|open| open.slots.as_ref());
                    let map = slots.and_then(|slots| SlotMap::read(slots, address));
                    if self.map.is_none() || (self.stale && map.is_some()) {
                        self.map = map;
                    }
                }
            }
        }
        self.status.lock().connections += made;
        self.follow_map(now);
    }

    /// Has a node for each master of the cluster, and none that is neither that nor named by the config.
    fn follow_map(&mut self, now: Instant) {
        let Some(map) = &self.map else { return };
        let masters = map.masters();
        self.nodes.retain(|address, _| self.seeds.contains_key(address) || masters.contains(&address.as_str()));
        for address in masters {
            if !self.nodes.contains_key(address)
                && let Some(info) = self.info_of(address)
            {
                self.nodes.insert(address.to_owned(), Node::new(info, self.options.timeout, now));
            }
        }
    }

    /// How a server is reached that a cluster named: as the first of the config.
    fn info_of(&self, address: &str) -> Option<ConnectionInfo> {
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let info = self.seeds.values().next()?.clone();
        Some(info.set_addr(ConnectionAddr::Tcp(host.to_owned(), port.parse().ok()?)))
    }

    /// Who keeps a slot.
    fn owner(&self, slot: u16) -> Option<&str> {
        match &self.map {
            Some(map) => map.owner(slot),
            None => self.master.as_deref(),
        }
    }

    /// Those that keep pools, all of which have to answer.
    fn used(&self) -> Vec<String> {
        match &self.map {
            Some(map) => map.masters().into_iter().map(str::to_owned).collect(),
            None => self.master.iter().cloned().collect(),
        }
    }

    fn prepare(&mut self, word: &str, tick: &mut Tick) -> BTreeMap<String, Flight> {
        self.choose_master();
        let used = self.used();
        let mut flights = BTreeMap::new();
        for address in &used {
            match self.nodes.get(address).map(|node| (node.open(), node)) {
                Some((Some(open), _)) => drop(flights.insert(address.clone(), Flight::to(address, open))),
                Some((None, node)) => tick.trouble(node.trouble(address)),
                None => tick.trouble(Trouble::new(LinkState::Unreachable, format!("{address}: not known"))),
            }
        }
        if used.is_empty() {
            tick.trouble(self.why_none());
        }
        if self.map.as_ref().is_some_and(|map| !map.is_whole()) {
            tick.trouble(Trouble::new(LinkState::ClusterDown, "the cluster has slots without a server"));
            self.stale = true;
        }
        self.prepare_asks(tick, &mut flights);
        let times = (nanos(self.options.ttl), nanos(self.options.gone_after));
        match self.owner(self.members_slot).map(str::to_owned).and_then(|owner| flights.get_mut(&owner)) {
            Some(flight) => flight.members(&self.members_key, self.gateway.0, word, times),
            None if tick.trouble.is_some() => {}
            None => tick.trouble(Trouble::new(LinkState::ClusterDown, "no server for the table of gateways")),
        }
        flights.values_mut().filter(|flight| flight.len() == 0).for_each(|flight| flight.plain(Job::Ping));
        self.prepare_looks(&mut flights);
        flights
    }

    /// The words of this tick. None before it is known which gateways there are, or while nobody could answer.
    fn prepare_asks(&self, tick: &mut Tick, flights: &mut BTreeMap<String, Flight>) {
        let Some(present) = self.present.filter(|_| !flights.is_empty()) else { return };
        let mut said = Vec::new();
        for ask in self.ledger.lease_asks((self.clock)(), self.gateway) {
            match Word::of(&self.options.prefix, &ask) {
                Some(word) => said.push(Said { ask, word }),
                None => {
                    self.ledger.lease_answer(&ask.key, None);
                    tick.trouble(Trouble::new(LinkState::Failed, "a cap is larger than what can be shared, 2^52"));
                }
            }
        }
        // In a cluster a command concerns one slot, and one that moves is asked word by word.
        let mut groups: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (place, said) in said.iter().enumerate() {
            let slot = if self.map.is_some() { self.slot_of_tag(said.word.tag) } else { 0 };
            groups.entry(slot).or_default().push(place);
        }
        for (slot, places) in groups {
            let Some(flight) = self.owner(slot).and_then(|owner| flights.get_mut(owner)) else { continue };
            let at_once = if self.moving.contains_key(&slot) { 1 } else { WORDS };
            for places in places.chunks(at_once) {
                let words: Vec<&Word> = places.iter().filter_map(|place| Some(&said.get(*place)?.word)).collect();
                flight.ask(present, slot, (places.to_vec(), &words));
            }
        }
        tick.counts.asks = said.len() as u64;
        tick.said = said.into_iter().map(Some).collect();
    }

    fn slot_of_tag(&self, tag: u16) -> u16 {
        self.slots.get(usize::from(tag)).copied().unwrap_or(0)
    }

    /// Asks who has which slots, or which replica was promoted, when it is time.
    fn prepare_looks(&mut self, flights: &mut BTreeMap<String, Flight>) {
        let now = Instant::now();
        let is_due = |last: Option<Instant>, every: Duration| last.is_none_or(|last| now - last >= every);
        if self.map.is_some() {
            if is_due(self.refreshed, if self.stale { REFRESH_STALE } else { REFRESH }) {
                self.refreshed = Some(now);
                // One after the other, since one may be cut off from the rest.
                let up: Vec<&String> =
                    self.nodes.iter().filter(|(_, node)| node.open().is_some()).map(|(at, _)| at).collect();
                let nth = usize::try_from(rand::random::<u32>()).unwrap_or(0).checked_rem(up.len());
                if let Some((address, open)) = nth
                    .and_then(|nth| up.get(nth))
                    .and_then(|address| Some(((*address).clone(), self.nodes.get(*address)?.open()?)))
                {
                    flights.entry(address.clone()).or_insert_with(|| Flight::to(&address, open)).plain(Job::Slots);
                }
            }
        } else if is_due(self.roles_asked, ROLE) {
            self.roles_asked = Some(now);
            for (address, node) in &self.nodes {
                if let Some(open) = node.open().filter(|open| !open.is_master) {
                    flights.entry(address.clone()).or_insert_with(|| Flight::to(address, open)).plain(Job::Role);
                }
            }
        }
    }

    /// Stays with the master there is while it is one.
    fn choose_master(&mut self) {
        let is_good = |node: &Node| node.open().is_some_and(|open| open.is_master);
        let stays = self.master.as_ref().and_then(|address| self.nodes.get(address)).is_some_and(is_good);
        if !stays && self.map.is_none() {
            let other = self.nodes.iter().find(|(_, node)| is_good(node)).map(|(address, _)| address.clone());
            // One that is away is waited for, unless another took over.
            self.master = other.or_else(|| self.master.take().filter(|address| self.is_not_replica(address)));
        }
    }

    fn is_not_replica(&self, address: &str) -> bool {
        self.nodes.get(address).is_some_and(|node| node.open().is_none_or(|open| open.is_master))
    }

    /// Why there is nobody to ask.
    fn why_none(&self) -> Trouble {
        let replica = self.nodes.iter().find(|(_, node)| node.open().is_some());
        if let Some((address, _)) = replica {
            return Trouble::new(LinkState::ReadOnly, format!("{address} is a replica, and no master is known"));
        }
        let worst = self.nodes.iter().max_by_key(|(_, node)| node.state());
        worst.map_or_else(Trouble::strange, |(address, node)| node.trouble(address))
    }

    /// The second way of words whose slot is on its way to another server.
    fn prepare_redirected(&self, tick: &mut Tick) -> BTreeMap<String, Flight> {
        let mut flights: BTreeMap<String, Flight> = BTreeMap::new();
        let Some(present) = self.present else { return flights };
        let said: Vec<Option<Said>> = std::mem::take(&mut tick.said);
        for (address, places) in std::mem::take(&mut tick.redirected) {
            let Some(open) = self.nodes.get(&address).and_then(Node::open) else { continue };
            let flight = flights.entry(address.clone()).or_insert_with(|| Flight::to(&address, open));
            for place in places {
                if let Some(Some(one)) = said.get(place) {
                    let slot = self.slot_of_tag(one.word.tag);
                    flight.plain(Job::Asking);
                    flight.ask(present, slot, (vec![place], &[&one.word]));
                }
            }
        }
        tick.said = said;
        flights
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

    /// What a server answered.
    fn land(&mut self, landed: Landed, tick: &mut Tick) {
        let Landed { address, answers, trouble, sent, took, .. } = landed;
        let mut worst: Option<Trouble> = trouble;
        for (job, value) in answers {
            if let Err(trouble) = self.hear(&address, job, value, tick)
                && worst.as_ref().is_none_or(|worst| worst.state < trouble.state)
            {
                worst = Some(trouble);
            }
        }
        if let Some(sent) = sent {
            tick.sent = Some(tick.sent.map_or(sent.nanos, |earliest| earliest.min(sent.nanos)));
            tick.counts.round_trip = tick.counts.round_trip.max(Some(took));
        }
        let is_used = self.map.is_some() || self.master.as_deref() == Some(&address);
        let Some(node) = self.nodes.get_mut(&address) else { return };
        match worst {
            None => node.answered(),
            Some(trouble) => {
                tick.counts.timeouts += u64::from(trouble.state == LinkState::Slow);
                if trouble.breaks() {
                    node.broken(&trouble, Instant::now());
                    self.stale = true;
                } else {
                    node.troubled(&trouble);
                }
                if is_used {
                    tick.trouble(Trouble { says: format!("{address}: {}", trouble.says), ..trouble });
                }
            }
        }
    }

    /// What one answer means.
    fn hear(&mut self, address: &str, job: Job, value: Value, tick: &mut Tick) -> Result<(), Trouble> {
        if let Value::ServerError(error) = &value {
            return self.hear_error(address, job, error, tick);
        }
        match job {
            Job::Members => {
                let Value::Array(numbers) = value else { return Err(Trouble::strange()) };
                let [Value::Int(known), Value::Int(heard)] = numbers.as_slice() else { return Err(Trouble::strange()) };
                let number = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
                let (known, heard) = (number(*known).max(1), number(*heard).max(1));
                self.present = Some(Present { known, heard, gone_after: self.options.gone_after });
            }
            Job::Asks(places, _) => {
                let Value::Array(grants) = value else { return Err(Trouble::strange()) };
                for (place, answer) in places.into_iter().zip(&grants) {
                    let Some(said) = tick.said.get_mut(place).and_then(Option::take) else { continue };
                    let grant = grant(&said.ask.ask, answer);
                    tick.counts.grants += u64::from(grant.is_some());
                    self.ledger.lease_answer(&said.ask.key, grant.as_ref());
                }
            }
            Job::Role => {
                let is_master = is_master(&value)?;
                self.nodes
                    .get_mut(address)
                    .and_then(Node::open_mut)
                    .into_iter()
                    .for_each(|open| open.is_master = is_master);
            }
            Job::Slots => {
                self.map = Some(SlotMap::read(&value, address).ok_or_else(Trouble::strange)?);
                self.moving.clear();
                self.stale = false;
                self.follow_map(Instant::now());
            }
            Job::Ping | Job::Asking => {}
        }
        Ok(())
    }

    fn hear_error(&mut self, address: &str, job: Job, error: &ServerError, tick: &mut Tick) -> Result<(), Trouble> {
        let detail = error.details().unwrap_or_default();
        match (error.code(), redirect(detail, address)) {
            ("MOVED", Some((slot, to))) => {
                self.stale = true;
                self.map.as_mut().into_iter().for_each(|map| map.moved(slot, &to));
                self.follow_map(Instant::now());
            }
            ("ASK", Some((slot, to))) => {
                self.moving.insert(slot, to.clone());
                if let Job::Asks(places, _) = job {
                    tick.redirected.push((to, places));
                }
                // It is on its way; nothing is wrong.
                return Ok(());
            }
            ("TRYAGAIN", _) => {
                if let Job::Asks(_, slot) = job {
                    self.moving.insert(slot, String::new());
                }
                return Ok(());
            }
            ("READONLY", _) => {
                self.stale = true;
                self.nodes
                    .get_mut(address)
                    .and_then(Node::open_mut)
                    .into_iter()
                    .for_each(|open| open.is_master = false);
            }
            ("CLUSTERDOWN", _) => self.stale = true,
            _ => {}
        }
        Err(error.into())
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

fn with_login(info: ConnectionInfo, options: &RedisOptions) -> ConnectionInfo {
    // What names the client needs a right of its own.
    let mut settings = info.redis_settings().clone().set_skip_set_lib_name();
    if let Some(user) = &options.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &options.password {
        settings = settings.set_password(password);
    }
    info.set_redis_settings(settings)
}

/// `host:port`.
fn address_of(info: &ConnectionInfo) -> String {
    let ConnectionAddr::Tcp(host, port) = info.addr() else { return info.addr().to_string() };
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min((1 << 52) - 1)
}
