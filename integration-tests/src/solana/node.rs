//! What answers Solana RPC: the node of `rpc-clients` before a ledger of litesvm, or the simulator surfpool.
//!
//! A test is the same for both. The first starts in no time and is what `make test` uses; where [`SURFPOOL`] names the
//! binary of `integration-tests/surfpool`, as `make surfpool` does, the second is.

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;

use super::relay::{Fault, Relay};
use super::{Script, at};
use crate::admin::Admin;
use crate::place::own_ip;

/// The variable that names surfpool's binary.
const SURFPOOL: &str = "PORTCULLIS_SURFPOOL";

/// Milliseconds of a slot: many pass in a test.
const SLOT: &str = "100";

/// A node with several endpoints before one ledger.
pub struct Node {
    process: Script,
    endpoints: Vec<SocketAddr>,
    kind: Kind,
}

enum Kind {
    /// It takes orders itself, and has HTTP and WebSockets on one port.
    Litesvm { control: Admin },
    /// It knows no faults and no endpoints: relays before it have them, of each endpoint one for HTTP and one for
    /// WebSockets.
    Surfpool { relays: Vec<[Relay; 2]> },
}

impl Node {
    /// Starts one.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(endpoints: usize) -> Self {
        match std::env::var_os(SURFPOOL) {
            Some(binary) => Self::surfpool(Command::new(binary), endpoints),
            None => Self::litesvm(endpoints),
        }
    }

    fn litesvm(endpoints: usize) -> Self {
        let mut command = Command::new(at("target/rpc-clients/node"));
        command.arg(at("integration-tests/rpc-clients/node/node/main.js"));
        command.args([&endpoints.to_string(), SLOT, &own_ip().to_string()]);
        let process = Script::spawn(command);
        let ports = process.line("the node's ports", |_| true);
        let address = |port: &Value| SocketAddr::new(own_ip(), u16::try_from(port.as_u64().unwrap()).unwrap());
        let endpoints = ports["endpoints"].as_array().unwrap().iter().map(address).collect();
        let kind = Kind::Litesvm { control: Admin::new(address(&ports["control"])) };
        Self { process, endpoints, kind }
    }

    fn surfpool(mut command: Command, endpoints: usize) -> Self {
        command.arg(SLOT);
        let process = Script::spawn(command);
        let addresses = process.line("surfpool's addresses", |line| line["rpc"].is_string());
        let address = |of: &str| addresses[of].as_str().unwrap().parse::<SocketAddr>().unwrap();
        let (rpc, pubsub) = (address("rpc"), address("pubsub"));
        let relays: Vec<_> = (0..endpoints).map(|_| [Relay::to(rpc), Relay::to(pubsub)]).collect();
        let endpoints = relays.iter().map(|[http, _]| http.address()).collect();
        Self { process, endpoints, kind: Kind::Surfpool { relays } }
    }

    /// The address of an endpoint.
    #[must_use]
    pub fn endpoint(&self, index: usize) -> SocketAddr {
        self.endpoints[index]
    }

    /// The addresses for WebSockets, where those are others.
    #[must_use]
    pub fn pubsub(&self) -> Option<Vec<SocketAddr>> {
        match &self.kind {
            Kind::Litesvm { .. } => None,
            Kind::Surfpool { relays } => Some(relays.iter().map(|[_, sockets]| sockets.address()).collect()),
        }
    }

    /// Orders faults of an endpoint, which are in force when this returns.
    ///
    /// # Panics
    /// When the node does not take the order.
    pub fn order(&self, index: usize, faults: &Value) {
        match &self.kind {
            Kind::Litesvm { control } => {
                let answer = control.post(&format!("/{index}"), "", &faults.to_string());
                assert_eq!(answer.status, 200, "{}\n{}", answer.text(), self.process.stderr());
            }
            Kind::Surfpool { relays } => {
                for (fault, on) in faults.as_object().unwrap() {
                    let fault = match fault.as_str() {
                        "dead" => Fault::Dead,
                        "hang" => Fault::Hang,
                        other => panic!("no relay has the fault {other}"),
                    };
                    relays[index].iter().for_each(|relay| relay.order(fault, on.as_bool().unwrap()));
                }
            }
        }
    }

    /// What an endpoint has seen, and its faults.
    #[must_use]
    pub fn state(&self, index: usize) -> Value {
        match &self.kind {
            Kind::Litesvm { control } => control.json(&format!("/{index}")),
            Kind::Surfpool { relays } => {
                let [http, sockets] = &relays[index];
                json!({ "faults": { "dead": http.has(Fault::Dead) }, "seen": [http.seen(), sockets.seen()] })
            }
        }
    }

    /// How often a method was called at an endpoint.
    #[must_use]
    pub fn calls(&self, index: usize, method: &str) -> u64 {
        match &self.kind {
            Kind::Litesvm { .. } => self.state(index)["methods"][method].as_u64().unwrap_or_default(),
            Kind::Surfpool { relays } => relays[index].iter().map(|relay| relay.calls(method)).sum(),
        }
    }

    /// Gives lamports by a call to an endpoint itself.
    pub fn airdrop(&self, index: usize, to: &str, lamports: u64) {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "requestAirdrop", "params": [to, lamports] });
        let answer =
            Admin::new(self.endpoints[index]).post("/", "Content-Type: application/json\r\n", &call.to_string()).json();
        assert!(answer["result"].is_string(), "{answer}");
    }
}
