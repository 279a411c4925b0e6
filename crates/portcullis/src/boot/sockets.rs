//! Listening sockets that were open before this process began.

use portcullis_proxy::Inherited;

use crate::systemd;
use crate::upgrade::Newcomer;

/// Where listening sockets come from that need not be bound.
pub(crate) enum Sockets {
    /// A service manager, which may have opened none.
    Passed(Inherited),
    /// The process before this one.
    From(Box<Newcomer>),
}

impl Sockets {
    pub(super) const fn listeners(&self) -> &Inherited {
        match self {
            Self::Passed(passed) => passed,
            Self::From(newcomer) => &newcomer.listeners,
        }
    }

    pub(super) const fn admin(&self) -> &Inherited {
        match self {
            Self::Passed(passed) => passed,
            Self::From(newcomer) => &newcomer.admin,
        }
    }

    /// Says of sockets that no listener is for, and closes them.
    pub(crate) fn tell_unused(&self) {
        match self {
            Self::Passed(passed) => systemd::tell_unused(&passed.rest()),
            Self::From(newcomer) => {
                for one in newcomer.listeners.rest().into_iter().chain(newcomer.admin.rest()) {
                    let bind = one.bind.map(|bind| bind.to_string()).unwrap_or_default();
                    log::info!(
                        "the listener {} on {bind} is not in the config any more",
                        one.name.as_deref().unwrap_or("admin")
                    );
                }
            }
        }
    }

    /// The process before this one.
    pub(crate) const fn before(&self) -> Option<&Newcomer> {
        match self {
            Self::Passed(_) => None,
            Self::From(newcomer) => Some(newcomer),
        }
    }
}
