//! Who is measured: the gateway, bare Pingora, and other proxies with configs that do the same.

mod configs;
mod origins;
mod proof;
mod terminating;
mod watched;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::Failure;
use crate::client::{Answer, Client};
use crate::process::{Process, Program, find, free_address};
use crate::wrk::{self, Load, Window};

use configs::Work;
pub(crate) use configs::envoy_listener;
pub use configs::{PATH, Portcullis};
pub(crate) use origins::origins;
pub use origins::{origin, origin_of};
pub use proof::prove;
pub use terminating::{Certificate, Sessions, Terminating};

/// The gateway that is measured: what `PORTCULLIS_BIN` names, such as what `make release` made, or the one beside the rig.
#[must_use]
pub fn gateway() -> Option<PathBuf> {
    std::env::var_os("PORTCULLIS_BIN").map(PathBuf::from).or_else(|| find("portcullis"))
}

/// What a variable names, or the program of a name.
fn named(variable: &str, name: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).or_else(|| find(name))
}

/// A proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// The 30 lines of Pingora in `load-tests/bare`.
    Bare,
    /// The gateway, records and metrics off.
    Plain,
    /// The gateway with metrics, and no records of requests.
    Counted,
    /// The gateway as configs leave it: metrics, and records of requests in memory.
    Usual,
    /// The same with an access log.
    Logged,
    /// The gateway as configs leave it, with a dashboard open.
    Watched,
    /// The gateway with access log, metrics, 3 filters and 1,000 routes.
    Full,
    /// nginx.
    Nginx,
    /// `HAProxy`.
    Haproxy,
    /// Envoy.
    Envoy,
    /// Pingap, on Pingora too.
    Pingap,
    /// Praxis, on a fork of Pingora.
    Praxis,
    /// nginx with an access log and a header set, as `make canary` has the gateway.
    NginxLogged,
    /// `HAProxy` with the same.
    HaproxyLogged,
    /// Envoy with the same.
    EnvoyLogged,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare => "bare Pingora",
            Self::Plain => "Portcullis, records and metrics off",
            Self::Counted => "Portcullis, metrics on, no recent records",
            Self::Usual => "Portcullis, records and metrics on",
            Self::Logged => "Portcullis, records, metrics and an access log",
            Self::Watched => "Portcullis, metrics and recent records on, a dashboard open",
            Self::Full => "Portcullis, access log, metrics, 3 filters, 1,000 routes",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::Pingap => "Pingap",
            Self::Praxis => "Praxis",
            Self::NginxLogged => "nginx, an access log and a header set",
            Self::HaproxyLogged => "HAProxy, an access log and a header set",
            Self::EnvoyLogged => "Envoy, an access log and a header set",
        })
    }
}

/// Who can be measured: it is started, and asked for something.
pub trait Entrant: fmt::Display {
    /// Starts it, with words before its own: a valgrind, say.
    ///
    /// # Errors
    ///
    /// When it is not installed, or does not answer.
    fn start(&self, place: &Place, under: &[OsString]) -> Result<Gateway, Failure>;

    /// The script that tells `wrk` what to ask for; without one it asks for [`PATH`].
    fn script(&self) -> Option<&Path>;

    /// Whether every request has a connection of its own, over TLS.
    fn handshakes(&self) -> bool {
        false
    }

    /// Puts a window of load on it.
    ///
    /// # Errors
    ///
    /// When a request failed.
    fn load(&self, window: &Window<'_>) -> Result<Load, Failure> {
        wrk::run(window)
    }

    /// Asks it on a connection, the request of a number.
    ///
    /// # Errors
    ///
    /// When no whole answer came back.
    fn ask(&self, client: &mut Client, number: u32) -> Result<Answer, Failure>;
}

/// A contender and the origin that it stands before.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// The contender.
    pub contender: Contender,
    /// The origin.
    pub origin: SocketAddr,
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.contender.fmt(f)
    }
}

impl Entrant for Before {
    fn start(&self, place: &Place, under: &[OsString]) -> Result<Gateway, Failure> {
        self.contender.start(place, self.origin, under)
    }

    fn script(&self) -> Option<&Path> {
        None
    }

    fn ask(&self, client: &mut Client, _number: u32) -> Result<Answer, Failure> {
        client.get(PATH)
    }
}

/// Where a rig runs: a folder for its files, and a core for what is measured and for everything else.
#[derive(Debug, Clone)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// The core of the proxy.
    pub core: u32,
    /// The core of load tool and origin.
    pub other: u32,
}

/// A running proxy.
#[derive(Debug)]
pub struct Gateway {
    /// Its process.
    pub process: Process,
    /// Where it accepts.
    pub address: SocketAddr,
    log: PathBuf,
}

impl Contender {
    /// The program, if it is installed.
    #[must_use]
    pub fn program(self) -> Option<PathBuf> {
        match self {
            Self::Bare => find("bare"),
            Self::Plain | Self::Counted | Self::Usual | Self::Logged | Self::Watched | Self::Full => gateway(),
            Self::Nginx | Self::NginxLogged => find("nginx"),
            Self::Haproxy | Self::HaproxyLogged => find("haproxy"),
            Self::Envoy | Self::EnvoyLogged => named("ENVOY", "envoy"),
            Self::Pingap => named("PINGAP", "pingap"),
            Self::Praxis => named("PRAXIS", "praxis"),
        }
    }

    /// Starts it in front of an origin, with words before its own: a valgrind, say.
    ///
    /// # Errors
    ///
    /// When it is not installed, or does not answer.
    pub fn start(self, place: &Place, origin: SocketAddr, under: &[OsString]) -> Result<Gateway, Failure> {
        let address = free_address()?;
        let mut words = under.to_vec();
        if self == Self::Watched {
            words.push(self.installed()?.into());
            return watched::start(place, words, address, origin);
        }
        words.extend(self.words(&place.folder, address, origin)?);
        start(place, words, address, &format!("{self:?}"))
    }

    /// What another proxy does beside passing on.
    const fn work(self) -> Work {
        match self {
            Self::NginxLogged | Self::HaproxyLogged | Self::EnvoyLogged => Work::Logged,
            Self::Bare | Self::Plain | Self::Counted | Self::Usual | Self::Logged | Self::Watched | Self::Full => {
                Work::Bare
            }
            Self::Nginx | Self::Haproxy | Self::Envoy | Self::Pingap | Self::Praxis => Work::Bare,
        }
    }

    fn installed(self) -> Result<PathBuf, Failure> {
        self.program().ok_or_else(|| format!("{self} is not installed").into())
    }

    /// The words that start it, with its config in a folder.
    pub(crate) fn words(
        self,
        folder: &Path,
        address: SocketAddr,
        origin: SocketAddr,
    ) -> Result<Vec<OsString>, Failure> {
        let mut words: Vec<OsString> = Vec::new();
        if self == Self::HaproxyLogged {
            // It becomes what it is followed by, with a descriptor more.
            let opens = format!("exec \"$0\" \"$@\" {}>/dev/null", configs::HAPROXY_LOG);
            words.extend(["sh".into(), "-c".into(), opens.into()]);
        }
        words.push(self.installed()?.into());
        words.extend(self.arguments(folder, address, origin)?);
        Ok(words)
    }

    fn arguments(self, folder: &Path, address: SocketAddr, origin: SocketAddr) -> Result<Vec<OsString>, Failure> {
        let file = |name: &str, text: String| -> Result<OsString, Failure> {
            let path = folder.join(name);
            fs::write(&path, text)?;
            Ok(path.into())
        };
        Ok(match self {
            Self::Bare => vec![address.port().to_string().into(), origin.to_string().into()],
            Self::Plain => vec!["run".into(), "-c".into(), file("plain.yaml", configs::plain(address, origin))?],
            Self::Counted => vec!["run".into(), "-c".into(), file("counted.yaml", configs::counted(address, origin))?],
            Self::Usual => vec!["run".into(), "-c".into(), file("usual.yaml", configs::usual(address, origin))?],
            Self::Logged => vec!["run".into(), "-c".into(), file("logged.yaml", configs::logged(address, origin))?],
            // It has an admin address, which only `start` knows.
            Self::Watched => Vec::new(),
            Self::Full => vec!["run".into(), "-c".into(), file("full.yaml", configs::full(address, origin)?)?],
            Self::Nginx | Self::NginxLogged => {
                nginx_arguments(folder, file("nginx.conf", configs::nginx(folder, address, origin, self.work()))?)
            }
            Self::Haproxy | Self::HaproxyLogged => {
                let config = file("haproxy.cfg", configs::haproxy(address, origin, self.work()))?;
                vec!["-db".into(), "-f".into(), config]
            }
            Self::Envoy | Self::EnvoyLogged => {
                let config = file("envoy.yaml", configs::envoy(address, origin, self.work()))?;
                let flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"];
                flags.map(OsString::from).into_iter().chain([config]).collect()
            }
            Self::Pingap => vec!["-c".into(), file("pingap.toml", configs::pingap(folder, address, origin))?],
            Self::Praxis => vec!["-c".into(), file("praxis.yaml", configs::praxis(address, origin))?],
        })
    }
}

impl Gateway {
    /// Starts the gateway with a config of the rig's own.
    ///
    /// # Errors
    ///
    /// When it is not built, or does not answer.
    pub fn start(place: &Place, config: &Path, address: SocketAddr) -> Result<Self, Failure> {
        let program = gateway().ok_or("portcullis is not built")?;
        start(place, vec![program.into(), "run".into(), "-c".into(), config.into()], address, "reload")
    }

    /// The same, with its access log elsewhere.
    #[must_use]
    pub fn logging_to(mut self, log: PathBuf) -> Self {
        self.log = log;
        self
    }

    /// Its access log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Empties its access log, so that a long run does not fill the disk.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn empty_log(&self) -> Result<(), Failure> {
        if self.log.is_file() {
            fs::OpenOptions::new().write(true).open(&self.log)?.set_len(0)?;
        }
        Ok(())
    }
}

pub(crate) fn start(place: &Place, words: Vec<OsString>, address: SocketAddr, name: &str) -> Result<Gateway, Failure> {
    start_asking(place, words, address, name, &|| Client::connect(address)?.get(PATH))
}

/// Starts a proxy and waits until this question is answered with 200.
pub(crate) fn start_asking(
    place: &Place,
    words: Vec<OsString>,
    address: SocketAddr,
    name: &str,
    ask: &dyn Fn() -> Result<Answer, Failure>,
) -> Result<Gateway, Failure> {
    let output = place.folder.join(format!("{name}.out"));
    let mut process = Process::start(&Program { words, core: Some(place.core), log: output.clone() })?;
    process.ready_when(ask).map_err(|failure| {
        let said = fs::read_to_string(&output).unwrap_or_default();
        format!("{name}: {failure}\n{said}")
    })?;
    Ok(Gateway { process, address, log: place.folder.join(configs::ACCESS_LOG) })
}

/// One process in the foreground: it can be measured and ended by its id.
fn nginx_arguments(folder: &Path, config: OsString) -> Vec<OsString> {
    let global = "daemon off; master_process off;";
    vec!["-p".into(), folder.into(), "-e".into(), "stderr".into(), "-g".into(), global.into(), "-c".into(), config]
}
