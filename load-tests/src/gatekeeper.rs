//! The gatekeeper's work: an API key out of 100,000, a rate for each of them, a route by the method of JSON-RPC, an
//! access log, metrics. The gateway, `HAProxy` and Envoy do all of it, on one core each, before the same two origins.
//!
//! Each is asked first, before anything is measured, whether it does: a wrong key is refused, a key over its rate gets
//! 429 while another does not, the method in the body decides the origin, and the log names consumer and method.
//!
//! Invariants: every request bears another key, all 100,000 in turns, so that what lies in a cache is what would lie
//! there; one that is not answered with 200 ends the measurement.

mod configs;
mod flood;
pub(crate) mod keys;
mod latency;
mod proof;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;

use crate::Failure;
use crate::client::{Answer, Client};
use crate::contenders::{self, Contender, Entrant, Gateway, Place};
use crate::process::free_address;

pub use flood::{Plan as FloodPlan, run as flood};
pub use latency::{Plan as LatencyPlan, run as latency};
pub use proof::prove;

use configs::Setting;

/// Requests a second that a key may send; as many at once.
pub(crate) const RATE: u32 = 50;

/// Who keeps the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Who {
    /// The gateway: `api_key`, `caps`, `jsonrpc`.
    Portcullis,
    /// `HAProxy`: a map of keys, a stick table of rates, `json_query`.
    Haproxy,
    /// Envoy: `api_key_auth`, `local_ratelimit` with a bucket for each consumer, `json_to_metadata`.
    Envoy,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portcullis => "Portcullis",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
        })
    }
}

impl Who {
    /// Whose program it is.
    #[must_use]
    pub const fn contender(self) -> Contender {
        match self {
            Self::Portcullis => Contender::Usual,
            Self::Haproxy => Contender::Haproxy,
            Self::Envoy => Contender::Envoy,
        }
    }

    /// The program, if it is installed.
    #[must_use]
    pub fn program(self) -> Option<PathBuf> {
        self.contender().program()
    }
}

/// What all of them share: keys, requests, origins.
#[derive(Debug)]
pub struct Work {
    keys: Vec<String>,
    requests: Vec<Vec<u8>>,
    script: PathBuf,
    /// The origins: of reads, and of blocks.
    origins: [SocketAddr; 2],
    _origin: Gateway,
}

impl Work {
    /// Writes the files that all need, and starts the origins.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written, or nginx does not start.
    pub fn new(place: &Place) -> Result<Arc<Self>, Failure> {
        let keys = keys::all();
        let requests = keys.iter().enumerate().map(|(number, key)| keys::request(key, keys::method(number))).collect();
        let list = place.folder.join("keys.txt");
        fs::write(&list, keys.join("\n"))?;
        let script = place.folder.join("gatekeeper.lua");
        fs::write(&script, keys::script(&list))?;
        let (origin, origins) = contenders::origins(place, ["rpc", "archive"])?;
        Ok(Arc::new(Self { keys, requests, script, origins, _origin: origin }))
    }
}

/// One of them, at this work.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// Who.
    pub who: Who,
    /// The work.
    pub work: Arc<Work>,
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.who.fmt(f)
    }
}

impl Entrant for Keeper {
    fn start(&self, place: &Place, under: &[OsString]) -> Result<Gateway, Failure> {
        let address = free_address()?;
        let program = self.who.program().ok_or_else(|| format!("{self} is not installed"))?;
        let folder = place.folder.join(format!("gatekeeper-{self}").to_lowercase());
        fs::create_dir_all(&folder)?;
        let setting = Setting { folder: &folder, address, origins: self.work.origins, keys: &self.work.keys };
        let arguments = match self.who {
            Who::Portcullis => configs::portcullis(&setting)?,
            Who::Haproxy => configs::haproxy(&setting)?,
            Who::Envoy => configs::envoy(&setting)?,
        };
        let words = under.iter().cloned().chain([program.into()]).chain(arguments).collect();
        let place = Place { folder: folder.clone(), ..place.clone() };
        let gateway =
            contenders::start_asking(&place, words, address, "out", &|| self.ask(&mut Client::connect(address)?, 0))?;
        // HAProxy writes its log to its standard output.
        let log = if self.who == Who::Haproxy { "out.out" } else { configs::LOG };
        Ok(gateway.logging_to(folder.join(log)))
    }

    fn script(&self) -> Option<&Path> {
        Some(&self.work.script)
    }

    fn ask(&self, client: &mut Client, number: u32) -> Result<Answer, Failure> {
        let number = usize::try_from(number)? % self.work.requests.len().max(1);
        client.send_bytes(self.work.requests.get(number).ok_or("no requests")?)?;
        client.answer()
    }
}
