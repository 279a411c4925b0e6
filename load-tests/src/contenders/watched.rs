//! The gateway with somebody looking at its dashboard.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Gateway, Place, configs};
use crate::Failure;
use crate::client::Client;
use crate::process::free_address;

/// How often the page asks.
const BEAT: Duration = Duration::from_secs(2);
/// What its first view asks for, once a beat.
const ASKED: [&str; 3] = ["/api/status", "/api/timeline", "/api/slos"];

/// Starts it, and a thread that asks what the page does, until nobody answers any more.
pub(super) fn start(
    place: &Place,
    mut words: Vec<OsString>,
    address: SocketAddr,
    origin: SocketAddr,
) -> Result<Gateway, Failure> {
    let admin = free_address()?;
    let path = place.folder.join("watched.yaml");
    fs::write(&path, configs::watched(address, origin, admin))?;
    words.extend(["run".into(), "-c".into(), path.into()]);
    let gateway = super::start(place, words, address, "watched")?;
    ask_all(admin)?;
    std::thread::spawn(move || {
        while ask_all(admin).is_ok() {
            std::thread::sleep(BEAT);
        }
    });
    Ok(gateway)
}

fn ask_all(admin: SocketAddr) -> Result<(), Failure> {
    let mut client = Client::connect(admin)?;
    for path in ASKED {
        // The admin API answers only who asks for it by name.
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))?;
        let answer = client.answer()?;
        if answer.status != 200 {
            return Err(format!("{path} was answered with {}", answer.status).into());
        }
    }
    Ok(())
}
