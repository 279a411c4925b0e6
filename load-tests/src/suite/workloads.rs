//! Workloads whose capacity is measured: what the gateway is asked to do, and the plan that asks it.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_engine::drive::Watch;
use portcullis_engine::origin::Origin;
use portcullis_engine::origin::grpc::GrpcOrigin;
use portcullis_engine::plan::When;
use portcullis_engine::request::Mix;
use portcullis_engine::schedule::{Arrivals, Segment};
use portcullis_engine::tally::Tally;

use crate::Failure;
use crate::tool::run::Prepared;

use super::consumers;
use super::kit::{Config, Edge, Stage};

/// Keys of the gatekeeper's workload.
const KEYS: usize = 10_000;

/// Requests in flight at most. What is beyond it waits inside its latency, so that a rate which is not held is not one of thousands
/// of connections.
const IN_FLIGHT: usize = 256;

/// What is asked of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Workload {
    /// Passed on and nothing else.
    Plain,
    /// With records, metrics and an access log.
    Records,
    /// The same behind TLS, on connections that are kept.
    Tls,
    /// The same over HTTP/2.
    Http2,
    /// A key out of 10,000, a rate for each, a route by the method of JSON-RPC.
    Gatekeeper,
    /// Answers of 100 KiB.
    Bodies,
    /// Messages on WebSockets, each answered by one.
    Websocket,
    /// Unary calls.
    Grpc,
}

impl Workload {
    pub(super) const ALL: [Self; 8] = [
        Self::Plain,
        Self::Records,
        Self::Tls,
        Self::Http2,
        Self::Gatekeeper,
        Self::Bodies,
        Self::Websocket,
        Self::Grpc,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Records => "records",
            Self::Tls => "tls",
            Self::Http2 => "http2",
            Self::Gatekeeper => "gatekeeper",
            Self::Bodies => "bodies",
            Self::Websocket => "websocket",
            Self::Grpc => "grpc",
        }
    }

    /// The plan's protocol, and its requests.
    fn plan(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain | Self::Records => ("http1", "{ name: page, path: / }"),
            Self::Tls => ("http1\ntls: { insecure: true }", "{ name: page, path: / }"),
            Self::Http2 => ("http2", "{ name: page, path: / }"),
            Self::Gatekeeper => (
                "http1",
                "{ name: read, weight: 3, path: /, headers: { X-Api-Key: \"@{pick:keys}\" }, jsonrpc: { method: getBalance, params: [\"4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T\"] } }\n  \
                 - { name: block, path: /, headers: { X-Api-Key: \"@{pick:keys}\" }, jsonrpc: { method: getBlock, params: [417] } }",
            ),
            Self::Bodies => ("http1", "{ name: body, path: /bytes/102400 }"),
            Self::Websocket => ("websocket\nwebsocket: /ws", "{ name: message, body: \"message @{n}\" }"),
            Self::Grpc => ("grpc", "{ name: call, path: /pkg.Service/Call, body: \"0123456789\" }"),
        }
    }
}

/// Who answers.
#[derive(Debug)]
enum Behind {
    Http(Origin),
    /// Where what is asked are messages on WebSockets.
    Messages(Origin),
    Grpc(GrpcOrigin),
}

/// A gateway at a workload, and who asks it.
#[derive(Debug)]
pub(super) struct Running {
    /// The gateway.
    pub(super) edge: Edge,
    /// Who asks.
    pub(super) caller: Caller,
    behind: Behind,
    /// Whether the gateway has a record of each.
    recorded: bool,
}

/// Who asks a gateway at a workload.
#[derive(Debug)]
pub(super) struct Caller {
    prepared: Prepared,
    mix: Mix,
}

impl Running {
    /// Starts the gateway and what stands behind it.
    pub(super) fn start(stage: &Stage, workload: Workload) -> Result<Self, Failure> {
        let (behind, address) = if workload == Workload::Grpc {
            let origin = GrpcOrigin::start()?;
            let address = origin.address();
            (Behind::Grpc(origin), address)
        } else {
            let origin = Origin::start("{\"fine\":true}")?;
            let address = origin.address();
            let messages = workload == Workload::Websocket;
            (if messages { Behind::Messages(origin) } else { Behind::Http(origin) }, address)
        };
        let name = workload.name();
        let folder = stage.folder.join(name);
        fs::create_dir_all(&folder)?;
        let mut config = Config::to(address);
        let mut values = String::new();
        match workload {
            Workload::Plain => config.bare = true,
            Workload::Tls => {
                let made = rcgen::generate_simple_self_signed(["load.test".to_owned()])?;
                fs::write(folder.join("load.pem"), made.cert.pem())?;
                fs::write(folder.join("load.key"), made.signing_key.serialize_pem())?;
                config.listener = "    tls: { certificates: [{ cert: load.pem, key: load.key }] }\n".to_owned();
            }
            Workload::Gatekeeper => {
                let keys = gatekeeper(&folder, &mut config)?;
                values = format!("values: {{ keys: [{}] }}\n", keys.join(", "));
            }
            Workload::Grpc => config.cluster = ", protocol: http2".to_owned(),
            Workload::Records | Workload::Http2 | Workload::Bodies | Workload::Websocket => {}
        }
        let edge = Edge::start(stage, name, &config)?;
        let (protocol, requests) = workload.plan();
        let plan = folder.join("plan.yaml");
        let (secure, seed) = (if workload == Workload::Tls { "s" } else { "" }, stage.seed);
        let scheme = if workload == Workload::Websocket { "ws" } else { "http" };
        let text = format!(
            "version: 1\nseed: {seed}\nto: {scheme}{secure}://{}\nprotocol: {protocol}\nin_flight: {IN_FLIGHT}\n{values}\
             load: [{{ closed: {{ connections: 32, for: 1s }} }}]\nrequests:\n  - {requests}\n",
            edge.address
        );
        fs::write(&plan, text)?;
        let prepared = Prepared::new(&plan, None, None)?;
        let mix = prepared.plan.mix("load.test");
        let recorded = !matches!(workload, Workload::Plain | Workload::Websocket);
        Ok(Self { edge, caller: Caller { prepared, mix }, behind, recorded })
    }

    /// What the gateway has records of, where it makes any, and what the origin was asked.
    pub(super) fn counted(&self) -> Result<(Option<u64>, u64), Failure> {
        let behind = match &self.behind {
            Behind::Http(origin) => origin.requests(),
            Behind::Messages(origin) => origin.counters().messages.load(Ordering::SeqCst),
            Behind::Grpc(origin) => origin.requests(),
        };
        Ok((self.recorded.then(|| self.edge.requests()).transpose()?, behind))
    }
}

/// The part of an open loop that does not count, and the moment in it in which all connections are made.
pub(super) const WARM_UP: Duration = Duration::from_millis(250);
const CROWD: Duration = Duration::from_millis(5);

impl Caller {
    /// Callers that ask again when they are answered.
    pub(super) fn closed(&mut self, connections: usize, length: Duration) -> Result<Tally, Failure> {
        self.prepared.plan.warm_up = Duration::ZERO;
        self.prepared.plan.when = When::Closed { connections, length };
        self.send()
    }

    /// Requests independent of each other. As many as may be in flight come at once before, and a calm behind them, none of which counts:
    /// so all connections are there, and a moment's stall does not become a hundred handshakes for which everybody waits.
    pub(super) fn open(&mut self, rate: f64, length: Duration, seed: u64) -> Result<Tally, Failure> {
        let crowd = Segment::flat(Arrivals::Constant, IN_FLIGHT as f64 / CROWD.as_secs_f64(), CROWD);
        let calm = Segment::flat(Arrivals::Poisson, rate / 10.0, WARM_UP - CROWD);
        let counted = Segment::flat(Arrivals::Poisson, rate, length.saturating_sub(WARM_UP));
        self.prepared.plan.warm_up = WARM_UP;
        self.prepared.plan.when = When::Open(vec![crowd, calm, counted]);
        self.prepared.plan.seed = seed;
        self.send()
    }

    fn send(&mut self) -> Result<Tally, Failure> {
        self.prepared.send(&mut self.mix, &Watch::default())
    }
}

/// The files and the config of the gatekeeper's work. Says the keys.
fn gatekeeper(folder: &std::path::Path, config: &mut Config) -> Result<Vec<String>, Failure> {
    let keys: Vec<String> = (0..KEYS).map(|number| format!("load-test-caller-{number:031}")).collect();
    let numbered = keys.iter().enumerate().map(|(number, key)| (format!("caller-{number}"), "all", key.as_str()));
    consumers::write(folder, numbered)?;
    config.top = format!("plans: {{ all: {{ rate: 1000/s }} }}\n{}", consumers::CONFIG);
    config.host = "    filters: [api_key, jsonrpc, caps]\n".to_owned();
    config.routes = "      - { name: blocks, match: { jsonrpc: [getBlock] }, to: origin }\n".to_owned();
    Ok(keys)
}
