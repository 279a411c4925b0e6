//! A service manager that speaks systemd's two protocols: what it is told (sd_notify(3)), and sockets that it opened
//! (sd_listen_fds(3)).

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};

use portcullis_proxy::Given;

/// Variables that speak of one process only: its successor is given its sockets in another way.
pub(crate) const OF_THIS_PROCESS: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// Who is told how the process does; nobody, when no service manager asked for it.
#[derive(Clone)]
pub(crate) struct Notify(Option<Arc<Told>>);

struct Told {
    socket: UnixDatagram,
    to: UnixAddress,
}

impl Notify {
    /// By `NOTIFY_SOCKET`: a path, or `@` and a name without one.
    pub(crate) fn from_env() -> Self {
        let Some(to) = std::env::var_os("NOTIFY_SOCKET").filter(|to| !to.is_empty()) else { return Self(None) };
        match told(&to) {
            Ok(told) => Self(Some(Arc::new(told))),
            Err(error) => {
                log::warn!("NOTIFY_SOCKET {}: {error}", to.display());
                Self(None)
            }
        }
    }

    /// It serves.
    pub(crate) fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// It reads its config again; [`Notify::ready`] says when that is over.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reading the config again"));
    }

    /// It ends.
    pub(crate) fn stopping(&self, status: &str) {
        self.say(&format!("STOPPING=1\nSTATUS={}", line(status)));
    }

    /// Another process is the service's main one from now on.
    pub(crate) fn main_is(&self, pid: u32) {
        self.say(&format!("MAINPID={pid}"));
    }

    /// Lets the service manager know twice in its bound that the runtime turns, if it wants to be told.
    pub(crate) fn keep_watchdog_quiet(&self) {
        let Some(every) = watchdog() else { return };
        if self.0.is_none() {
            return;
        }
        let notify = self.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every / 2);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                notify.say("WATCHDOG=1");
            }
        });
    }

    fn say(&self, text: &str) {
        let Some(told) = &self.0 else { return };
        // A service manager that is not there or does not listen is no reason to fail.
        if let Err(error) = told.socket.send_to_addr(text.as_bytes(), &told.to) {
            log::debug!("the service manager was not told: {error}");
        }
    }
}

fn told(to: &OsStr) -> std::io::Result<Told> {
    let to = match to.as_bytes().split_first() {
        Some((b'@', name)) => UnixAddress::from_abstract_name(name)?,
        _ => UnixAddress::from_pathname(to)?,
    };
    let socket = UnixDatagram::unbound()?;
    // Nobody waits for a service manager that reads nothing.
    socket.set_nonblocking(true)?;
    Ok(Told { socket, to })
}

/// A line break would begin another word.
fn line(status: &str) -> String {
    status.replace('\n', " ")
}

/// Within which time it wants to hear of us. A successor has no `WATCHDOG_PID`: that named the process before it.
fn watchdog() -> Option<Duration> {
    let meant = std::env::var("WATCHDOG_PID").map_or(Ok(std::process::id()), |pid| pid.parse());
    if meant != Ok(std::process::id()) {
        return None;
    }
    let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros))
}

/// The sockets that a service manager opened, each under the name it gave. To be called once, before there are threads.
pub(crate) fn sockets() -> Vec<Given> {
    // Read first: taking the sockets makes the environment forget them.
    let names = std::env::var_os("LISTEN_FDNAMES");
    let mut passed = ListenFd::from_env();
    let names = names_of(names, passed.len());
    let mut given = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        match passed.take_tcp_listener(at) {
            Ok(Some(socket)) => given.push(Given { name, bind: None, socket }),
            Ok(None) => {}
            Err(error) => {
                let name = name.unwrap_or_else(|| format!("number {at}"));
                log::warn!("the socket {name} of the service manager is of no use: {error}");
            }
        }
    }
    given
}

/// One name a socket; systemd says `unknown` where the unit says nothing.
fn names_of(names: Option<OsString>, sockets: usize) -> Vec<Option<String>> {
    let names = names.map(|names| names.to_string_lossy().into_owned()).unwrap_or_default();
    let mut names =
        names.split(':').map(|name| Some(name.to_owned()).filter(|name| !matches!(&**name, "" | "unknown")));
    (0..sockets).map(|_| names.next().flatten()).collect()
}

/// What is said of sockets that no listener of the config is for.
pub(crate) fn tell_unused(rest: &[Given]) {
    for one in rest {
        let local =
            one.socket.local_addr().map_or_else(|error| error.to_string(), |local: SocketAddr| local.to_string());
        let name = one.name.as_deref().unwrap_or("without a name");
        log::warn!("the socket {name} on {local} was passed to this process, and no listener of the config is for it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_has_its_name_or_none() {
        let check = |names: Option<&str>, sockets, expected: &[Option<&str>]| {
            let names = names_of(names.map(OsString::from), sockets);
            assert_eq!(names.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
        };
        check(Some("edge:unknown:admin"), 3, &[Some("edge"), None, Some("admin")]);
        check(Some("edge"), 2, &[Some("edge"), None]);
        check(None, 1, &[None]);
        check(Some("a:b"), 0, &[]);
    }

    #[test]
    fn words_reach_a_socket_with_and_without_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("portcullis-test-{}", std::process::id());
        let abstract_one = UnixDatagram::bind_addr(&UnixAddress::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, to) in [(by_path, path.into_os_string()), (abstract_one, format!("@{name}").into())] {
            let notify = Notify(Some(Arc::new(told(&to).unwrap())));
            let heard = |say: &dyn Fn()| {
                say();
                let mut bytes = [0; 200];
                let count = socket.recv(&mut bytes).unwrap();
                String::from_utf8_lossy(&bytes[..count]).into_owned()
            };
            assert_eq!(heard(&|| notify.ready("two\nlines")), "READY=1\nSTATUS=two lines");
            assert_eq!(heard(&|| notify.main_is(7)), "MAINPID=7");
            let reloading = heard(&|| notify.reloading());
            let micros = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
            assert!(reloading.starts_with("RELOADING=1\n") && micros.parse::<u64>().unwrap() > 0, "{reloading}");
        }
        // One that is gone is no failure.
        Notify(Some(Arc::new(told(OsStr::new("/no/such/socket")).unwrap()))).stopping("x");
    }
}
