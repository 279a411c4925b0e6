//! Listening sockets that were open before this process began: from the gateway that it follows, or from a service manager.
//!
//! A socket is taken by the listener it was made for, or else by address, or else by name; what nobody takes is closed.

use parking_lot::Mutex;
use std::net::{SocketAddr, TcpListener};

/// A socket, and what is known of it.
#[derive(Debug)]
pub struct Given {
    /// The listener it was opened for, or how the service manager calls it.
    pub name: Option<String>,
    /// The address of the config it was opened for; `None` when another program opened it.
    pub bind: Option<SocketAddr>,
    /// The socket.
    pub socket: TcpListener,
}

/// Sockets that wait for their listeners.
#[derive(Debug, Default)]
pub struct Inherited(Mutex<Vec<Given>>);

impl Inherited {
    /// These sockets.
    #[must_use]
    pub fn new(given: Vec<Given>) -> Self {
        Self(Mutex::new(given))
    }

    /// The socket for an address of a listener, if there is one.
    #[must_use]
    pub fn take(&self, listener: &str, bind: SocketAddr) -> Option<TcpListener> {
        let mut given = self.0.lock();
        let named = |one: &Given| one.name.as_deref() == Some(listener);
        // Port 0 is a port of its own for each listener.
        let same = |one: &Given| one.bind == Some(bind) && (bind.port() != 0 || named(one));
        let at = |one: &Given| one.bind.is_none() && one.socket.local_addr().is_ok_and(|local| local == bind);
        let by_name = |one: &Given| one.bind.is_none() && named(one);
        let found = given.iter().position(same).or_else(|| given.iter().position(at));
        let found = found.or_else(|| given.iter().position(by_name))?;
        Some(given.swap_remove(found).socket)
    }

    /// Those that nobody took. They close when they are dropped.
    #[must_use]
    pub fn rest(&self) -> Vec<Given> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: Option<&str>, bind: Option<&str>) -> (Given, SocketAddr) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = socket.local_addr().unwrap();
        let bind = bind.map(|bind| bind.parse().unwrap());
        (Given { name: name.map(str::to_owned), bind, socket }, local)
    }

    #[test]
    fn a_socket_goes_to_the_listener_it_was_opened_for() {
        let (one, local) = given(Some("edge"), Some("127.0.0.1:0"));
        let (two, _) = given(Some("other"), Some("10.0.0.1:80"));
        let inherited = Inherited::new(vec![two, one]);
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        assert!(inherited.take("else", any).is_none(), "a port of its own");
        assert_eq!(inherited.take("edge", any).unwrap().local_addr().unwrap(), local);
        assert!(inherited.take("renamed", "10.0.0.1:80".parse().unwrap()).is_some(), "a listener with another name");
        assert!(inherited.rest().is_empty());
    }

    #[test]
    fn of_a_service_manager_the_address_comes_before_the_name() {
        let (one, first) = given(Some("edge"), None);
        let (two, second) = given(Some("edge"), None);
        let (three, third) = given(None, None);
        let inherited = Inherited::new(vec![one, two, three]);
        assert_eq!(inherited.take("edge", second).unwrap().local_addr().unwrap(), second);
        let elsewhere = "192.0.2.1:443".parse().unwrap();
        assert_eq!(inherited.take("edge", elsewhere).unwrap().local_addr().unwrap(), first);
        assert!(inherited.take("edge", elsewhere).is_none());
        assert_eq!(inherited.take("unnamed", third).unwrap().local_addr().unwrap(), third);
    }
}
