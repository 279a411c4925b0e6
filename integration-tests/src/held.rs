//! Requests that are in flight until a test says otherwise.

use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};

use crate::{Client, Gateway, Origin, PATIENCE};

/// A request that [`holding`] origins hold.
pub const HELD: &str = "GET /held HTTP/1.1\r\nHost: app.test\r\n\r\n";

/// An origin that answers `/held` once it is released.
#[must_use]
pub fn holding() -> (Origin, Sender<()>) {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::http1(move |received, wire| {
        if received.path() == "/held" {
            let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        }
        wire.ok("fine")
    });
    (origin, release)
}

/// A connection whose request the origin has.
#[must_use]
pub fn in_flight(gateway: &Gateway, origin: &Origin) -> Client {
    let before = origin.received().len();
    let mut client = gateway.client();
    client.send(HELD);
    let _ = origin.wait_for(before + 1);
    client
}
