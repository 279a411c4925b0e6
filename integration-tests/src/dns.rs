//! A DNS server of the test's own: A and SRV over UDP and TCP, and the ways in which such a server fails.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use crate::place::{address, until};

/// The longest answer over UDP; a longer one is cut off and asked for again over TCP.
const UDP_BYTES: usize = 1200;
const A: u16 = 1;
const SRV: u16 = 33;

/// What a name has.
#[derive(Debug, Clone)]
pub enum Zone {
    /// Addresses, each to live so many seconds.
    Addresses(Vec<Ipv4Addr>, u32),
    /// Targets with priority, weight and port.
    Services(Vec<(u16, u16, u16, &'static str)>, u32),
    /// SERVFAIL.
    Fails,
    /// The server says nothing.
    Silent,
}

#[derive(Debug, Default)]
struct Shared {
    zones: HashMap<String, Zone>,
    asked: HashMap<String, usize>,
    over_tcp: usize,
}

/// A running server. A name that it was not told is NXDOMAIN.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Dns {
    /// Starts a server that knows no name.
    ///
    /// # Panics
    /// When it cannot bind.
    #[must_use]
    pub fn start() -> Self {
        let at = address();
        let (udp, tcp) = (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap());
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let (one, other) = (shared.clone(), shared.clone());
        std::thread::spawn(move || serve_udp(&udp, &one));
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let shared = other.clone();
                std::thread::spawn(move || serve_tcp(stream, &shared));
            }
        });
        Self { address: at, shared }
    }

    /// The config's `dns:`, which asks this server alone, and soon again.
    #[must_use]
    pub fn yaml(&self) -> String {
        format!("dns: {{ resolvers: [\"{}\"], least_refresh: 100ms, timeout: 300ms }}", self.address)
    }

    /// Says what a name has from now on.
    ///
    /// # Panics
    /// When the server's thread has died.
    pub fn set(&self, name: &str, zone: Zone) {
        self.shared.lock().unwrap().zones.insert(name.to_owned(), zone);
    }

    /// Forgets a name: NXDOMAIN.
    ///
    /// # Panics
    /// When the server's thread has died.
    pub fn forget(&self, name: &str) {
        self.shared.lock().unwrap().zones.remove(name);
    }

    /// Waits until a name was asked for so many times more.
    ///
    /// # Panics
    /// When it is not.
    pub fn wait_for_more(&self, name: &str, times: usize) {
        let asked = || self.shared.lock().unwrap().asked.get(name).copied().unwrap_or_default();
        let before = asked();
        until("a question to the DNS server", || (asked() >= before + times).then_some(()));
    }

    /// Questions over TCP so far.
    ///
    /// # Panics
    /// When the server's thread has died.
    #[must_use]
    pub fn over_tcp(&self) -> usize {
        self.shared.lock().unwrap().over_tcp
    }
}

fn serve_udp(socket: &UdpSocket, shared: &Mutex<Shared>) {
    let mut packet = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut packet) {
        let Some(mut answer) = answer(&packet[..length], shared) else { continue };
        if answer.len() > UDP_BYTES {
            // Truncated (RFC 1035 section 4.1.1): the question and no answer.
            let question = question(&packet[..length]).2;
            answer.truncate(question);
            answer[2] |= 0x02;
            answer[6..8].copy_from_slice(&[0, 0]);
        }
        drop(socket.send_to(&answer, from));
    }
}

fn serve_tcp(mut stream: TcpStream, shared: &Mutex<Shared>) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut packet).is_err() {
            return;
        }
        shared.lock().unwrap().over_tcp += 1;
        let Some(answer) = answer(&packet, shared) else { continue };
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        if stream.write_all(&[&length[..], &answer].concat()).is_err() {
            return;
        }
    }
}

/// The name and the type of a question, and where it ends.
fn question(packet: &[u8]) -> (String, u16, usize) {
    let (mut name, mut at) = (String::new(), 12);
    while packet[at] != 0 {
        let length = usize::from(packet[at]);
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(&packet[at + 1..=at + length]).to_lowercase());
        at += length + 1;
    }
    (name, u16::from_be_bytes([packet[at + 1], packet[at + 2]]), at + 5)
}

fn answer(packet: &[u8], shared: &Mutex<Shared>) -> Option<Vec<u8>> {
    let (name, kind, end) = question(packet);
    let zone = {
        let mut shared = shared.lock().unwrap();
        *shared.asked.entry(name.clone()).or_default() += 1;
        shared.zones.get(&name).cloned()
    };
    let mut records = Vec::new();
    let code = match zone {
        None => 3,
        Some(Zone::Silent) => return None,
        Some(Zone::Fails) => 2,
        Some(Zone::Addresses(addresses, ttl)) if kind == A => {
            records.extend(addresses.iter().map(|address| record(A, ttl, &address.octets())));
            0
        }
        Some(Zone::Services(services, ttl)) if kind == SRV => {
            records.extend(services.iter().map(|service| record(SRV, ttl, &service_data(*service))));
            0
        }
        // The name is there, and has nothing of that kind.
        Some(Zone::Addresses(..) | Zone::Services(..)) => 0,
    };
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    let head = [packet[0], packet[1], 0x81, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0];
    Some([&head[..], &packet[12..end], &records.concat()].concat())
}

/// A record of the name that was asked for, which a pointer stands for.
fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length, data].concat()
}

fn service_data((priority, weight, port, target): (u16, u16, u16, &str)) -> Vec<u8> {
    let mut data = [priority, weight, port].map(u16::to_be_bytes).concat();
    for label in target.split('.') {
        data.push(u8::try_from(label.len()).unwrap());
        data.extend(label.bytes());
    }
    data.push(0);
    data
}
