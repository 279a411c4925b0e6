//! An HTTP/1 origin by script: it records the exact bytes it receives, and answers with the exact bytes it is told.

mod hyper;
pub mod solana;
mod wire;

use socket2::{Domain, SockRef, Socket, Type};
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

pub use self::hyper::{Content, HyperOrigin, Seen, frames, full, live};
pub use self::solana::SolanaNode;
pub use self::wire::{After, Wire};

use crate::place::{PATIENCE, own_ip};
use crate::response::fields;

/// A request as it was received.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The head, without the blank line.
    pub head: String,
    /// The content, without its framing.
    pub body: Vec<u8>,
    /// Whether the whole content came.
    pub complete: bool,
    /// The number of the connection it came on, from 0.
    pub connection: usize,
}

impl Received {
    /// The request line.
    #[must_use]
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).first().copied()
    }

    /// All values of a field.
    #[must_use]
    pub fn fields(&self, name: &str) -> Vec<&str> {
        fields(&self.head, name)
    }

    /// The path of the target, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    arrived: Condvar,
    connections: AtomicUsize,
    open: Mutex<HashMap<usize, TcpStream>>,
}

type Script = dyn Fn(&mut Received, &mut Wire) -> After + Send + Sync;

/// An origin. It serves to the end of the test's process, or until it is killed.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Socket,
}

impl Origin {
    /// An origin that answers each whole request by `script`.
    #[must_use]
    pub fn http1(script: impl Fn(&Received, &mut Wire) -> After + Send + Sync + 'static) -> Self {
        Self::at_head(
            move |received, wire| {
                if wire.read_body(received) { script(received, wire) } else { After::Close }
            },
        )
    }

    /// An origin whose `script` runs once the head is there; it reads the content itself, if it wants to.
    #[must_use]
    pub fn at_head(script: impl Fn(&mut Received, &mut Wire) -> After + Send + Sync + 'static) -> Self {
        Self::bound(SocketAddr::new(own_ip(), 0), script)
    }

    /// As [`Origin::at_head`], at an address that is given.
    ///
    /// # Panics
    /// When it cannot be bound.
    #[must_use]
    pub fn bound(at: SocketAddr, script: impl Fn(&mut Received, &mut Wire) -> After + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::default(),
            listener: SockRef::from(&listener).try_clone().unwrap(),
        };
        let (shared, script): (_, Arc<Script>) = (origin.shared.clone(), Arc::new(script));
        std::thread::spawn(move || accept(&listener, &shared, &script));
        origin
    }

    /// An origin that answers every request with 200 and this text.
    #[must_use]
    pub fn says(text: &'static str) -> Self {
        Self::http1(move |_, wire| wire.ok(text))
    }

    /// An origin that answers every request with these bytes and keeps the connection.
    #[must_use]
    pub fn answers(bytes: &'static [u8]) -> Self {
        Self::http1(move |_, wire| wire.send(bytes))
    }

    /// An origin that answers every request with its own head, as text.
    #[must_use]
    pub fn echo() -> Self {
        Self::http1(|received, wire| wire.ok(&received.head))
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, those that broke off included.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The last request.
    ///
    /// # Panics
    /// When there was none.
    #[must_use]
    pub fn last(&self) -> Received {
        self.received().pop().expect("the origin received no request")
    }

    /// Waits until there were so many requests.
    ///
    /// # Panics
    /// When there are not.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let received = self.shared.received.lock().unwrap();
        let few = |all: &mut Vec<Received>| all.len() < count;
        let (received, _) = self.shared.arrived.wait_timeout_while(received, PATIENCE, few).unwrap();
        assert!(received.len() >= count, "the origin received {} of {count} requests", received.len());
        received.clone()
    }

    /// How many connections there were.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Stops listening and cuts all connections with a reset.
    pub fn kill(&self) {
        // A listener that is shut down already is what is wanted.
        drop(self.listener.shutdown(std::net::Shutdown::Both));
        for (_, stream) in self.shared.open.lock().unwrap().drain() {
            drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, script: &Arc<Script>) {
    while let Ok((stream, _)) = listener.accept() {
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.open.lock().unwrap().insert(number, stream.try_clone().unwrap());
        let (shared, script) = (shared.clone(), script.clone());
        std::thread::spawn(move || {
            let mut wire = Wire::new(stream, number, shared.clone());
            while let Some(mut received) = wire.read_head() {
                received.connection = number;
                let after = script(&mut received, &mut wire);
                wire.note(&received);
                if after == After::Close {
                    break;
                }
            }
            wire.close();
        });
    }
}

/// An address where connecting hangs: a listener whose queue is full. Keep what is returned alive.
///
/// # Panics
/// When the queue does not fill.
#[must_use]
pub fn unanswered() -> (SocketAddr, Vec<Socket>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(own_ip(), 0).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut held = vec![socket];
    for _ in 0..8 {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if client.connect_timeout(&address.into(), Duration::from_millis(200)).is_err() {
            return (address, held);
        }
        held.push(client);
    }
    panic!("the queue of {address} does not fill");
}

/// An address where nobody listens: connecting is refused.
#[must_use]
pub fn refused() -> SocketAddr {
    crate::place::address()
}
