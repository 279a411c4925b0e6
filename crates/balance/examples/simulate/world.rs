//! The gateways, the servers, and the events between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_balance::{
    Answer, Ask, BeforeFirstCheck, Budget, CapacityReport, CheckFailure, Choice, Draws, EndpointIdx, EndpointSet,
    EndpointSpec, HealthMachine, HealthPolicy, SetOptions, backoff,
};
use portcullis_types::{Percent, Reason};

use super::policy::Policy;
use super::scene::Scene;
use super::server::{Arrival, Mode, SECOND, Server, unit};
use super::stats::Stats;

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A request comes in.
    Request,
    /// A request is tried (again).
    Try(usize),
    /// A worker of a server is done with an attempt.
    Done(usize),
    /// An attempt fails.
    Failed(usize),
    /// An attempt has taken too long.
    Timeout(usize),
    /// The nth change of the scene.
    Change(usize),
    /// The gateways' periodic work.
    Tick,
    /// The watched servers join.
    Join,
}

struct Request {
    began: u64,
    gateway: usize,
    tried: Vec<EndpointIdx>,
    attempts: u32,
}

struct Attempt {
    request: usize,
    server: usize,
    began: u64,
    /// Taken when it ends.
    choice: Option<Choice>,
}

struct Gateway {
    set: Arc<EndpointSet>,
    budget: Budget,
}

/// See the module's text.
pub(crate) struct World<'a> {
    scene: &'a Scene,
    policy: Policy,
    start: Instant,
    now: u64,
    draws: Draws,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    order: u64,
    servers: Vec<Server>,
    gateways: Vec<Gateway>,
    requests: Vec<Request>,
    attempts: Vec<Attempt>,
    stats: Stats,
}

/// Between two ticks of the gateways.
const TICK: u64 = SECOND / 2;

/// Runs a scene with a rule of choice.
pub(crate) fn run(scene: &Scene, policy: Policy) -> Stats {
    let start = Instant::now();
    let mut world = World::new(scene, policy, start);
    let end = (scene.seconds * SECOND as f64) as u64;
    while let Some(Reverse((at, _, event))) = world.events.pop() {
        if at > end {
            break;
        }
        world.now = at;
        world.happen(event);
    }
    world.stats
}

fn specs(scene: &Scene, joined: bool) -> Vec<EndpointSpec> {
    let one = |nth: usize| {
        let number = u32::try_from(nth).unwrap_or(0);
        let address = (Ipv4Addr::from(0x0a00_0000 | number), 80).into();
        EndpointSpec {
            priority: u8::from(nth >= scene.first_of_next),
            weight: number % scene.weights + 1,
            zone: (scene.home > 0).then(|| if nth < scene.home { "own".into() } else { "other".into() }),
            ..EndpointSpec::new(format!("s{nth}").into(), address)
        }
    };
    let there = |nth: &usize| joined || scene.joins_at.is_none() || !scene.watched.contains(nth);
    (0..scene.fleet).filter(there).map(one).collect()
}

fn checks() -> HealthPolicy {
    let two = NonZeroU32::MIN.saturating_add(1);
    HealthPolicy {
        interval: Duration::from_millis(500),
        timeout: Duration::from_millis(500),
        unhealthy_after: two,
        healthy_after: two,
        jitter: Percent::default(),
        before_first_check: BeforeFirstCheck::Available,
    }
}

impl<'a> World<'a> {
    fn new(scene: &'a Scene, policy: Policy, start: Instant) -> Self {
        let mut world = Self {
            scene,
            policy,
            start,
            now: 0,
            draws: Draws::new(scene.seed),
            events: BinaryHeap::new(),
            order: 0,
            servers: (0..scene.fleet).map(|_| Server::new(scene.workers, scene.mean, scene.spread)).collect(),
            gateways: Vec::new(),
            requests: Vec::new(),
            attempts: Vec::new(),
            stats: Stats {
                by_server: vec![0; scene.fleet],
                failed_as: (scene.timeout * 1e3) as f32,
                ..Stats::default()
            },
        };
        for nth in 0..scene.gateways {
            let options = world.options(nth as u64);
            let set = EndpointSet::build(specs(scene, false), options.tuned(scene.tuning.clone()), start);
            let set = set.expect("the scene's endpoints make a set");
            world.gateways.push(Gateway { set, budget: Budget::new(scene.budget, start) });
        }
        world.at(0, Event::Request);
        world.at(TICK, Event::Tick);
        for (nth, change) in scene.changes.iter().enumerate() {
            world.at((change.at * SECOND as f64) as u64, Event::Change(nth));
        }
        if let Some(at) = scene.joins_at {
            world.at((at * SECOND as f64) as u64, Event::Join);
        }
        world
    }

    fn options(&self, seed: u64) -> SetOptions {
        let health = self.scene.checks.then(checks);
        SetOptions { algorithm: self.policy.algorithm(), health, seed: seed * 7, ..SetOptions::default() }
    }

    fn at(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_nanos(self.now)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Request => self.request(),
            Event::Try(request) => self.attempt(request),
            Event::Done(attempt) => self.done(attempt),
            Event::Failed(attempt) => self.ended(attempt, Err(Reason::UpstreamReset)),
            Event::Timeout(attempt) => self.ended(attempt, Err(Reason::UpstreamFirstByteTimeout)),
            Event::Change(nth) => self.change(nth),
            Event::Tick => self.tick(),
            Event::Join => self.join(),
        }
    }

    fn request(&mut self) {
        let gap = -(1.0 - unit(&mut self.draws)).ln() / self.scene.rate();
        self.at(self.now + (gap * SECOND as f64) as u64, Event::Request);
        let gateway = (self.draws.next() % self.gateways.len() as u64) as usize;
        self.stats.at(self.now).requests += 1;
        self.gateways[gateway].budget.request(self.instant());
        self.requests.push(Request { began: self.now, gateway, tried: Vec::new(), attempts: 0 });
        self.attempt(self.requests.len() - 1);
    }

    fn attempt(&mut self, number: usize) {
        let random = self.draws.next();
        let request = &mut self.requests[number];
        request.attempts += 1;
        let ask = Ask { skip: &request.tried, ..Ask::new(self.start + Duration::from_nanos(self.now), random) };
        let Ok(choice) = self.gateways[request.gateway].set.choose(&ask) else {
            self.stats.at(self.now).bad += 1;
            return;
        };
        request.tried.push(choice.index());
        let address = match choice.address().ip() {
            std::net::IpAddr::V4(ip) => u32::from(ip) & 0x00ff_ffff,
            std::net::IpAddr::V6(_) => 0,
        };
        let server = address as usize;
        let attempt = self.attempts.len();
        self.attempts.push(Attempt { request: number, server, began: self.now, choice: Some(choice) });
        let watched = self.scene.watched.contains(&server);
        if self.now as f64 >= self.scene.measure_from * SECOND as f64 {
            self.stats.by_server[server] += 1;
        }
        let bucket = self.stats.at(self.now);
        bucket.attempts += 1;
        bucket.watched += u32::from(watched);
        match self.servers[server].arrive(self.now, attempt, &mut self.draws) {
            Arrival::Works(takes) => self.at(self.now + takes, Event::Done(attempt)),
            Arrival::Fails(takes) => self.at(self.now + takes, Event::Failed(attempt)),
            Arrival::Waits | Arrival::Hangs => {}
        }
        self.at(self.now + (self.scene.timeout * SECOND as f64) as u64, Event::Timeout(attempt));
    }

    fn done(&mut self, attempt: usize) {
        let server = self.attempts[attempt].server;
        let attempts = &self.attempts;
        let next = self.servers[server].next(self.now, |waiting| attempts[waiting].choice.is_some(), &mut self.draws);
        if let Some((next, takes)) = next {
            self.at(self.now + takes, Event::Done(next));
        }
        let answers = matches!(self.servers[server].mode, Mode::Serving(_) | Mode::Warming(..));
        self.ended(attempt, if answers { Ok(()) } else { Err(Reason::UpstreamReset) });
    }

    fn ended(&mut self, number: usize, result: Result<(), Reason>) {
        let now = self.instant();
        let attempt = &mut self.attempts[number];
        let Some(mut choice) = attempt.choice.take() else { return };
        let took = Duration::from_nanos(self.now - attempt.began);
        let request = attempt.request;
        match (result, self.servers[attempt.server].mode) {
            (Ok(()), _) => choice.answered(now, took, Answer::Good),
            (Err(_), Mode::Failing) => choice.answered(now, took, Answer::of_status(500)),
            (Err(reason), _) => choice.failure(now, reason),
        }
        if result.is_ok() && self.scene.reports > 0.0 {
            let utilisation = Some(self.servers[attempt.server].utilisation(self.now, self.scene.reports));
            choice.endpoint().state().report(now, &CapacityReport { utilisation, ..CapacityReport::default() });
        }
        drop(choice);
        let Request { began, gateway, attempts, .. } = self.requests[request];
        let latency = (self.now - began) as f32 / 1e6;
        if result.is_ok() {
            self.stats.at(began).good.push(latency);
        } else if attempts < self.scene.attempts && self.gateways[gateway].budget.grant(now) {
            let random = self.draws.next();
            let wait = backoff(Duration::from_millis(25), Duration::from_millis(250), attempts - 1, random);
            self.at(self.now + wait.as_nanos() as u64, Event::Try(request));
        } else {
            self.stats.at(began).bad += 1;
        }
    }

    fn change(&mut self, nth: usize) {
        let change = self.scene.changes[nth].clone();
        for server in change.servers {
            for lost in self.servers[server].change(self.now, change.mode) {
                self.at(self.now, Event::Failed(lost));
            }
        }
    }

    fn tick(&mut self) {
        self.at(self.now + TICK, Event::Tick);
        let now = self.instant();
        let modes: BTreeMap<u32, Mode> = (0..).zip(self.servers.iter().map(|server| server.mode)).collect();
        for gateway in &self.gateways {
            let _ = gateway.set.sweep(now);
            for endpoint in gateway.set.endpoints().iter().filter(|_| self.scene.checks) {
                let std::net::IpAddr::V4(ip) = endpoint.spec().address.ip() else { continue };
                let result = match modes.get(&(u32::from(ip) & 0x00ff_ffff)) {
                    Some(Mode::Down) | None => Err(CheckFailure::ConnectRefused),
                    Some(Mode::Hanging) => Err(CheckFailure::Timeout),
                    Some(Mode::Failing) => Err(CheckFailure::Status(500)),
                    Some(Mode::Serving(_) | Mode::Warming(..)) => Ok(()),
                };
                let _ = HealthMachine::new(checks(), Arc::clone(endpoint.state())).on_result(now, result);
            }
        }
    }

    fn join(&mut self) {
        let now = self.instant();
        for nth in 0..self.gateways.len() {
            let options = self.options(nth as u64).tuned(self.scene.tuning.clone());
            let set = self.gateways[nth].set.rebuild(specs(self.scene, true), options, now);
            self.gateways[nth].set = set.expect("the scene's endpoints make a set");
        }
    }
}
