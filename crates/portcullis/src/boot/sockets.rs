//! Listening sockets that were open before this process began.

use portcullis_admin::Before;
use portcullis_proxy::Inherited;
use portcullis_snapshot::settings::Admin;

use crate::systemd;
use crate::upgrade::Newcomer;

/// The name by which a service manager passes the admin API's socket.
const ADMIN: &str = "admin";

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

    /// What is open of the admin API.
    pub(super) fn admin(&self, settings: Option<&Admin>) -> Before {
        let (open, unix) = match self {
            Self::Passed(passed) => (passed, None),
            Self::From(newcomer) => (&newcomer.admin, newcomer.admin_socket()),
        };
        let tcp = settings.and_then(|admin| admin.bind).and_then(|bind| open.take(ADMIN, bind));
        Before { tcp, unix }
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
