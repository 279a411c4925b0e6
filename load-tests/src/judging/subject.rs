//! Who is judged: a command that is started, or a URL that is there already.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::process::{Process, Program, end, free_address, resident};

use super::held::Held;
use super::load::Load;

/// A side, as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// A command for `sh`. `{address}`, `{port}`, `{origin}`, `{admin}` and `{folder}` are replaced, and `LOAD_ADDRESS`,
    /// `LOAD_ORIGIN`, `LOAD_ADMIN` and `LOAD_FOLDER` are in its environment.
    Command(String),
    /// Somebody else's process.
    Url(Url),
}

/// An HTTP URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) authority: String,
    pub(super) path: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let rest = text.strip_prefix("http://").ok_or_else(|| format!("{text}: a URL begins with http://"))?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        if authority.is_empty() || authority.contains('@') || text.contains(char::is_whitespace) {
            return Err(format!("{text}: no URL of a server").into());
        }
        let port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self { authority, path: path.to_owned() })
    }

    pub(super) fn resolve(&self) -> Result<SocketAddr, Failure> {
        let mut found = self.authority.to_socket_addrs().map_err(|error| format!("{}: {error}", self.authority))?;
        found.next().ok_or_else(|| format!("{}: no address", self.authority).into())
    }
}

/// Where a command is to serve, and whom it may ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses<'a> {
    pub(super) serve: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) origin: SocketAddr,
    /// A folder of this process alone.
    pub(super) folder: &'a Path,
}

/// What a server is told that something makes slow: that it is late is no reason to refuse requests.
const NEVER_LATE: &str = "LOAD_EVENT_LOOP_DELAY=0s";

impl<'a> Addresses<'a> {
    pub(super) fn draw(origin: SocketAddr, folder: &'a Path) -> Result<Self, Failure> {
        Ok(Self { serve: free_address()?, admin: free_address()?, origin, folder })
    }
}

impl Subject {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Url(Url::parse(text)?));
        }
        if text.trim().is_empty() {
            Err("neither a command nor a URL".into())
        } else {
            Ok(Self::Command(text.to_owned()))
        }
    }

    /// The words that start a command, with others before: a valgrind, say.
    pub(super) fn words(command: &str, at: Addresses<'_>, under: &[OsString]) -> Vec<OsString> {
        let Addresses { serve, admin, origin, folder } = at;
        let mut line = command.to_owned();
        for (name, value) in [
            ("{address}", serve.to_string()),
            ("{port}", serve.port().to_string()),
            ("{admin}", admin.to_string()),
            ("{origin}", origin.to_string()),
            ("{folder}", folder.display().to_string()),
        ] {
            line = line.replace(name, &value);
        }
        let environment = [("ADDRESS", serve), ("ADMIN", admin), ("ORIGIN", origin)];
        let environment = environment.map(|(name, value)| OsString::from(format!("LOAD_{name}={value}")));
        let mut words = vec![OsString::from("env")];
        words.extend(environment);
        words.push(format!("LOAD_FOLDER={}", folder.display()).into());
        if !under.is_empty() {
            words.push(NEVER_LATE.into());
        }
        // The shell becomes the program, so that the id is the program's own.
        let under: Vec<String> = under.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let exec = ["exec".to_owned()].into_iter().chain(under).chain([line]).collect::<Vec<_>>().join(" ");
        words.extend(["sh", "-c", exec.as_str()].map(OsString::from));
        words
    }
}

/// A side that serves.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) address: SocketAddr,
    /// `None` for a URL.
    pub(super) process: Option<Process>,
    /// Connections that are only held.
    pub(super) held: Held,
}

impl Running {
    fn new(address: SocketAddr, process: Option<Process>) -> Self {
        Self { address, process, held: Held::default() }
    }

    /// Its process and those that this started; of a URL none are known.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.process.as_ref().map(Process::family).unwrap_or_default()
    }

    /// Opens connections that are only held, and notes what memory there was before.
    pub(super) fn hold(&mut self, count: usize, path: &str) -> Result<(), Failure> {
        let memory: Result<u64, Failure> = self.ids().into_iter().map(resident).sum();
        self.held = Held::open(self.address, count, path, memory.ok().filter(|memory| *memory > 0))?;
        Ok(())
    }
}

impl Drop for Running {
    /// Its process ends with this; those that it started would stay.
    fn drop(&mut self) {
        let ids = self.ids();
        // First, or it would start others in their place.
        self.process = None;
        for child in ids.into_iter().skip(1) {
            // It may have ended by itself.
            drop(end(child));
        }
    }
}

/// How long a side may take until it answers, and how often it is asked.
const START: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// What warms up a side that was just started, and shows that it serves: it is not counted.
const WARM_UP: (usize, Duration) = (8, Duration::from_millis(500));

/// Starts a side, and waits until it answers a request of the load as it should.
pub(super) fn start(subject: &Subject, load: &Load, at: Addresses<'_>, core: u32) -> Result<Running, Failure> {
    match subject {
        Subject::Url(url) => {
            let running = Running::new(url.resolve()?, None);
            ready(&running, load).map(|()| running)
        }
        Subject::Command(command) => start_words(Subject::words(command, at, &[]), load, at, core),
    }
}

/// The same of the words of a command.
pub(super) fn start_words(words: Vec<OsString>, load: &Load, at: Addresses<'_>, core: u32) -> Result<Running, Failure> {
    let log = at.folder.join("output.log");
    let process = Process::start(&Program { words, core: Some(core), log: log.clone() })?;
    let running = Running::new(at.serve, Some(process));
    ready(&running, load).map_err(|failure| {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        format!("{failure}: {}", last.into_iter().rev().collect::<Vec<_>>().join(" / "))
    })?;
    Ok(running)
}

fn ready(running: &Running, load: &Load) -> Result<(), Failure> {
    let begin = Instant::now();
    loop {
        let connected = TcpStream::connect_timeout(&running.address, START);
        if let Some(process) = &running.process
            && process.resident().is_err()
        {
            return Err("it ended at once".into());
        }
        if connected.is_ok() {
            let (connections, length) = WARM_UP;
            let warm = load.send_closed(running.address, connections, length)?;
            if warm.succeeded > 0 {
                return Ok(());
            }
        }
        if begin.elapsed() > START {
            return Err(match connected {
                Ok(_) => "no request of the plan is answered as it should be".into(),
                Err(error) => format!("{}: {error}", running.address).into(),
            });
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_and_a_command_are_told_apart() {
        let url = |text: &str| match Subject::parse(text).unwrap() {
            Subject::Url(url) => (url.authority, url.path),
            Subject::Command(command) => panic!("{command}"),
        };
        assert_eq!(url("http://127.0.0.1:8080"), ("127.0.0.1:8080".to_owned(), "/".to_owned()));
        assert_eq!(url("http://localhost/metrics"), ("localhost:80".to_owned(), "/metrics".to_owned()));
        assert_eq!(Subject::parse("nginx -c x").unwrap(), Subject::Command("nginx -c x".to_owned()));
        for wrong in ["https://a", "http://", "http://u:p@a", "http://a b", " "] {
            assert!(Subject::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_command_is_told_where_to_serve_and_the_shell_becomes_it() {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let at = Addresses { serve: address(1), admin: address(2), origin: address(3), folder: "/f".as_ref() };
        let words = Subject::words("gw --listen {address} --up {origin} {port}", at, &["valgrind".into()]);
        let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
        assert_eq!(
            words,
            [
                "env",
                "LOAD_ADDRESS=127.0.0.1:1",
                "LOAD_ADMIN=127.0.0.1:2",
                "LOAD_ORIGIN=127.0.0.1:3",
                "LOAD_FOLDER=/f",
                "LOAD_EVENT_LOOP_DELAY=0s",
                "sh",
                "-c",
                "exec valgrind gw --listen 127.0.0.1:1 --up 127.0.0.1:3 1"
            ]
        );
        let alone = Subject::words("gw", at, &[]);
        assert!(alone.contains(&"exec gw".into()) && !alone.contains(&NEVER_LATE.into()), "{alone:?}");
    }
}
