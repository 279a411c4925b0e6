//! Upgraded connections, from both ends.

use std::io::{Read, Write};

use crate::origin::Wire;
use crate::{After, Client, Gateway};

/// A request to upgrade.
pub const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The answer to it.
pub const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                               Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// An upgraded connection through the gateway.
#[must_use]
pub fn upgraded(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(UPGRADE);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client
}

/// Says 101 and returns what comes, to the connection's end.
pub fn switch_and_return(wire: &mut Wire) -> After {
    wire.send(SWITCHING);
    let surplus = wire.take_surplus();
    wire.send(surplus);
    let stream = wire.stream();
    let mut bytes = [0u8; 4096];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    After::Close
}
