//! The admin listener of a process: moved by a reload, left to the process that follows.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use portcullis_admin::{AdminBindError, AdminServer, AdminState, Bound};
use portcullis_proxy::Inherited;
use portcullis_snapshot::settings::Admin;

/// The name by which a service manager passes the admin API's socket.
const ADMIN: &str = "admin";

/// The admin listener as it is now; a reload may move it.
pub(crate) struct AdminSlot {
    state: Arc<AdminState>,
    open: Mutex<Option<(SocketAddr, AdminServer)>>,
}

/// An admin listener that is bound and not served yet, with the address of the config; `None` for none.
pub(crate) struct PreparedAdmin(Option<(SocketAddr, Bound)>);

impl AdminSlot {
    pub(super) fn new(state: Arc<AdminState>) -> Self {
        Self { state, open: Mutex::default() }
    }

    /// Binds what a config says; `None` when that is open already.
    pub(crate) fn prepare(&self, settings: Option<&Admin>) -> Result<Option<PreparedAdmin>, AdminBindError> {
        let wanted = settings.map(|admin| admin.bind);
        if self.open.lock().as_ref().map(|(address, _)| *address) == wanted {
            return Ok(None);
        }
        bind(settings, &Inherited::default()).map(Some)
    }

    /// The socket and its address of the config, for another process.
    pub(crate) fn socket(&self) -> std::io::Result<Option<(SocketAddr, OwnedFd)>> {
        let open = self.open.lock();
        open.as_ref().map(|(address, server)| Ok((*address, server.socket()?))).transpose()
    }

    /// Stops accepting, as another process does it; what is given can be served again.
    pub(crate) async fn retire(&self) -> Option<Retired> {
        let (address, server) = self.open.lock().take()?;
        let socket = server.socket().inspect_err(|error| log::error!("admin: {error}")).ok();
        server.stop_accepting().await;
        Some(Retired { address, server, socket })
    }

    /// Serves again at a socket that was retired.
    pub(crate) fn serve_again(&self, (address, socket): (SocketAddr, OwnedFd)) {
        match Bound::adopt(address, socket.into()) {
            Ok(bound) => *self.open.lock() = Some((address, bound.serve(self.state.clone()))),
            Err(error) => log::error!("{error}"),
        }
    }

    /// Serves what was bound, and stops what served before.
    pub(crate) fn commit(&self, PreparedAdmin(prepared): PreparedAdmin) {
        let next = prepared.map(|(address, bound)| (address, bound.serve(self.state.clone())));
        *self.open.lock() = next;
    }

    /// Looks at what serves.
    pub(crate) fn with<T>(&self, look: impl FnOnce(Option<&AdminServer>) -> T) -> T {
        look(self.open.lock().as_ref().map(|(_, server)| server))
    }
}

/// An admin listener that does not serve any more.
pub(crate) struct Retired {
    address: SocketAddr,
    server: AdminServer,
    socket: Option<OwnedFd>,
}

impl Retired {
    /// Waits until what was asked has its answer; gives what is needed to serve again.
    pub(crate) async fn close(self, within: Duration) -> Option<(SocketAddr, OwnedFd)> {
        self.server.close(within).await;
        Some((self.address, self.socket?))
    }
}

/// Takes the socket that was open before, or binds one.
pub(super) fn bind(settings: Option<&Admin>, inherited: &Inherited) -> Result<PreparedAdmin, AdminBindError> {
    let bound = settings.map(|admin| {
        let bound = match inherited.take(ADMIN, admin.bind) {
            Some(socket) => Bound::adopt(admin.bind, socket),
            None => Bound::bind(admin.bind),
        };
        bound.map(|bound| (admin.bind, bound))
    });
    bound.transpose().map(PreparedAdmin)
}
