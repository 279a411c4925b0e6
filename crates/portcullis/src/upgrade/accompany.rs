//! The old process's part from when the new one serves: while it drains it says how far it is and what its requests spent,
//! and it listens whether the other one lives.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use std::os::fd::AsFd as _;

use portcullis_proxy::Gateway;
use portcullis_store::Keeper;

use super::successor::Successor;
use super::wire::{Came, Wire, large};
use super::{New, Old};

/// How often what was spent is sent, and how far the drain is.
const EVERY: Duration = Duration::from_millis(500);
/// How often is looked whether the drain is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the new process may take to write what was spent last.
const KEPT_WITHIN: Duration = Duration::from_secs(5);

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parted {
    /// All was said.
    Done,
    /// The new process is gone, and has been reaped.
    Gone,
    /// The same, and it was told to end: this one is not to serve again.
    Left,
}

impl Successor {
    /// Goes along with the new process until the drain is over, which `drained` says by its end, or until that process is
    /// gone. Blocks.
    pub(crate) fn accompany(
        mut self,
        gateway: &Gateway,
        keeper: Option<&Arc<Keeper>>,
        drained: &Receiver<()>,
    ) -> Parted {
        let mut leaving = false;
        let parted = go_along(&self.wire, gateway, (keeper, drained), &mut leaving).unwrap_or_else(|error| {
            log::error!("upgrade: the line to the new process failed: {error}");
            Parted::Gone
        });
        let parted = if parted == Parted::Gone && leaving { Parted::Left } else { parted };
        if parted == Parted::Gone {
            // A line that failed says nothing of the process: two must not serve side by side with one store.
            drop(self.child.kill());
        }
        if parted != Parted::Done {
            drop(self.child.wait());
        }
        drop(self.hold);
        parted
    }
}

fn go_along(
    wire: &Wire,
    gateway: &Gateway,
    (keeper, drained): (Option<&Arc<Keeper>>, &Receiver<()>),
    leaving: &mut bool,
) -> std::io::Result<Parted> {
    let (mut next, mut over, mut sent, mut kept) = (Instant::now(), None::<Instant>, 0, 0);
    loop {
        if over.is_none() && matches!(drained.try_recv(), Err(TryRecvError::Disconnected)) {
            over = Some(Instant::now() + KEPT_WITHIN);
            next = Instant::now();
        }
        if Instant::now() >= next {
            next = Instant::now() + EVERY;
            if !wire.tell(&Old::Draining { connections: gateway.connections() }, &[])? {
                return Ok(Parted::Gone);
            }
            if let Some((number, spending)) = keeper.and_then(|keeper| keeper.unsent()) {
                let file = large(&spending.to_json())?;
                sent = number;
                if !wire.tell(&Old::Spent { number }, &[file.as_fd()])? {
                    return Ok(Parted::Gone);
                }
            }
        }
        if let Some(until) = over
            && (kept >= sent || Instant::now() >= until)
        {
            if kept < sent {
                log::error!("upgrade: the new process did not say that what was spent last is written");
            }
            let heard = wire.tell(&Old::Bye, &[])?;
            return Ok(if heard { Parted::Done } else { Parted::Gone });
        }
        match wire.receive(Some(LOOK_EVERY))? {
            Came::Message(New::Kept { number }, _) => {
                kept = number;
                if let Some(keeper) = keeper {
                    keeper.received(number);
                }
            }
            Came::Message(New::Leaving, _) => *leaving = true,
            Came::Message(New::Hello { .. } | New::Store | New::Ready { .. } | New::Serving, _) | Came::Nothing => {}
            Came::End => return Ok(Parted::Gone),
        }
    }
}
