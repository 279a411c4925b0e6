//! The new process's part: it takes what the old one gives, and waits for its word to accept.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use portcullis_proxy::{Gateway, Given, Inherited};
use portcullis_store::{Keeper, Spending};
use serde_json::Value;

use super::carried::Carried;
use super::wire::{Came, Wire, read_large};
use super::{MARK, New, Old, PROTOCOL, step};
use crate::lifecycle::{Before, Lifecycle};
use crate::sources::Sources;

/// What a process that follows another one has of it.
pub(crate) struct Newcomer {
    wire: Arc<Wire>,
    carried: Carried,
    /// Sockets of listeners, and of the admin API.
    pub(crate) listeners: Inherited,
    pub(crate) admin: Inherited,
    /// Where to log to once this process serves.
    stderr: Mutex<Option<OwnedFd>>,
}

/// What was received before the config is read.
#[derive(Default)]
struct Received {
    listeners: Vec<Given>,
    admin: Vec<Given>,
    carried: Carried,
    stderr: Option<OwnedFd>,
}

impl Newcomer {
    /// Takes everything from the old process, if there is one. To be called once, before there are threads.
    ///
    /// # Errors
    /// A sentence: what is wrong with the line to it.
    pub(crate) fn from_env(version: &str) -> Result<Option<Self>, String> {
        if std::env::var_os(MARK).is_none() {
            return Ok(None);
        }
        Self::connect(version).map(Some).map_err(|error| format!("the process before this one: {error}"))
    }

    fn connect(version: &str) -> std::io::Result<Self> {
        let wire = Wire::of(std::io::stdin().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        step("NEW", "start");
        wire.send(&New::Hello { protocol: PROTOCOL, version: version.to_owned() }, &[])?;
        step("NEW", "hello");
        let received = receive(&wire)?;
        step("NEW", "sockets");
        let Received { listeners, admin, carried, stderr } = received;
        Ok(Self {
            wire: Arc::new(wire),
            carried,
            listeners: Inherited::new(listeners),
            admin: Inherited::new(admin),
            stderr: Mutex::new(stderr),
        })
    }

    /// The number of the generation that the old process serves.
    pub(crate) const fn generation(&self) -> u64 {
        self.carried.generation
    }

    /// Who put it there.
    pub(crate) fn who(&self) -> String {
        self.carried.who.clone()
    }

    /// The texts of the config, where the old process had not read them from the files.
    pub(crate) fn applied(&self) -> Option<Sources> {
        self.carried.applied.as_ref().and_then(Sources::from_json)
    }

    /// What operators said for a while, where no folder has it.
    pub(crate) fn overrides(&self) -> Option<Value> {
        self.carried.overrides.clone()
    }

    /// The path of the Unix socket at which the old process serves the admin API.
    pub(crate) fn admin_socket(&self) -> Option<PathBuf> {
        self.carried.admin_socket.clone()
    }

    /// Waits until the store is free: the old process closes it. Blocks.
    ///
    /// # Errors
    /// A sentence: what came in place of its word.
    pub(crate) fn store(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| error.to_string();
        self.wire.tell(&New::Store, &[]).map_err(failed)?;
        match self.wire.receive(None).map_err(failed)? {
            // Who is gone has no store any more.
            Came::Message(Old::Store, _) | Came::End => {
                step("NEW", "store");
                Ok(())
            }
            Came::Message(..) | Came::Nothing => Err("the process before this one did not give the store".to_owned()),
        }
    }

    /// Says that this process could serve, and waits for the word to do so; the old process's death is one.
    ///
    /// # Errors
    /// A sentence: why it must not.
    pub(crate) async fn wait_for_word(&self, gateway: &Arc<Gateway>) -> Result<(), String> {
        let proof = gateway.prove().await?;
        step("NEW", "proven");
        let wire = Arc::clone(&self.wire);
        let waited = tokio::task::spawn_blocking(move || {
            wire.tell(&New::Ready { proof }, &[])?;
            step("NEW", "ready");
            wire.receive::<Old>(None)
        });
        let word = waited.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        match word {
            Came::Message(Old::Go, _) => {}
            Came::End => log::warn!("upgrade: the process before this one is gone; this one serves now"),
            Came::Message(..) | Came::Nothing => {
                return Err("the process before this one did not say to go on".to_owned());
            }
        }
        step("NEW", "go");
        // Until now the old process heard what was written here, and ends soon.
        if let Some(stderr) = self.stderr.lock().take()
            && let Err(error) = rustix::stdio::dup2_stderr(stderr)
        {
            log::warn!("upgrade: the log goes nowhere from here on: {error}");
        }
        Ok(())
    }

    /// Says that this process was told to end. Who is gone need not know.
    pub(crate) fn leave(&self) {
        if let Err(error) = self.wire.tell(&New::Leaving, &[]) {
            log::warn!("upgrade: the process before this one did not hear that this one ends: {error}");
        }
    }

    /// Says that this process accepts, and goes along with the old one until it is gone.
    pub(crate) fn follow(&self, keeper: Option<Arc<Keeper>>, lifecycle: Arc<Lifecycle>) {
        let before = Before { pid: self.carried.pid, version: self.carried.version.clone(), connections: Some(0) };
        lifecycle.follow(before);
        let wire = Arc::clone(&self.wire);
        let follow = move || {
            let ended = wire.tell(&New::Serving, &[]).and_then(|_| follow(&wire, keeper.as_ref(), &lifecycle));
            if let Err(error) = ended {
                log::error!("upgrade: the line to the process before this one failed: {error}");
            }
            lifecycle.before_has(None);
        };
        if let Err(error) = std::thread::Builder::new().name("follow".to_owned()).spawn(follow) {
            log::error!("upgrade: what the process before this one spends is not heard: {error}");
        }
    }
}

fn receive(wire: &Wire) -> std::io::Result<Received> {
    let mut received = Received::default();
    loop {
        match wire.receive(None)? {
            Came::Message(Old::Sockets { sockets }, descriptors) => {
                if sockets.len() != descriptors.len() {
                    return Err(std::io::Error::other("some sockets did not arrive"));
                }
                for (named, descriptor) in sockets.into_iter().zip(descriptors) {
                    let given =
                        Given { name: named.listener.clone(), bind: Some(named.bind), socket: descriptor.into() };
                    if named.listener.is_some() { received.listeners.push(given) } else { received.admin.push(given) }
                }
            }
            Came::Message(Old::State, descriptors) => {
                let mut descriptors = descriptors.into_iter();
                let state = descriptors.next().ok_or_else(|| std::io::Error::other("the state did not arrive"))?;
                received.carried = serde_json::from_slice(&read_large(state)?)?;
                received.stderr = descriptors.next();
                return Ok(received);
            }
            Came::Message(message, _) => {
                return Err(std::io::Error::other(format!("it said {message:?} in place of its state")));
            }
            Came::End => {
                log::warn!("upgrade: the process before this one is gone; this one starts with what it has of it");
                return Ok(received);
            }
            Came::Nothing => {}
        }
    }
}

fn follow(wire: &Wire, keeper: Option<&Arc<Keeper>>, lifecycle: &Lifecycle) -> std::io::Result<()> {
    loop {
        match wire.receive(None)? {
            Came::Message(Old::Draining { connections }, _) => lifecycle.before_has(Some(connections)),
            Came::Message(Old::Spent { number }, descriptors) => {
                for descriptor in descriptors {
                    let spending = Spending::from_json(&read_large(descriptor)?)?;
                    let kept = keeper.is_some_and(|keeper| keeper.add(spending));
                    if !kept {
                        log::warn!("upgrade: what the process before this one spent is not on disk yet");
                    }
                }
                // It is in memory here, where it waits for the disk as what is spent here does.
                wire.tell(&New::Kept { number }, &[])?;
            }
            Came::Message(Old::Bye, _) => {
                log::info!("upgrade: the process before this one has ended its drain");
                return Ok(());
            }
            Came::Message(..) | Came::Nothing => {}
            Came::End => {
                log::warn!("upgrade: the process before this one is gone before it ended its drain");
                return Ok(());
            }
        }
    }
}
