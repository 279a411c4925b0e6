//! Memory per idle connection: kept alive after a request, or a WebSocket that is tunnelled.

mod tunnel;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::client::Client;
use crate::contenders::{Contender, Gateway, PATH, Place};
use crate::process;
use crate::report::{Table, progress};
use tunnel::Tunnel;

/// Connections from one source address: below a gateway's usual bound of connections per client network.
const PER_SOURCE: usize = 500;

/// How long memory must stay as it is to count as settled, and how long that may take.
const SETTLED: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(20);

/// What lies idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// A connection that has had one request answered.
    KeptAlive,
    /// A WebSocket, which the origin must echo on.
    Tunnel,
}

/// Opens idle connections to each contender and writes a row for it.
///
/// # Errors
///
/// When a contender is missing, or does not hold that many connections.
pub fn run(
    idle: Idle,
    contenders: &[Contender],
    connections: usize,
    place: &Place,
    origin: SocketAddr,
) -> Result<Table, Failure> {
    process::raise_file_limit()?;
    let columns = ["", "connections", "KiB per idle connection", "MiB before", "MiB with all"];
    let mut table = Table::new(&columns);
    for contender in contenders {
        progress(&format!("memory: {contender}"));
        let gateway = contender.start(place, origin, &[])?;
        let before = settled(&gateway)?;
        let mut held = open(idle, connections, gateway.address)?;
        let after = settled(&gateway)?;
        let each = kibibytes(after.saturating_sub(before)) / f64::from(u32::try_from(held.len())?);
        let mebibytes = |bytes| format!("{:.1}", kibibytes(bytes) / 1024.0);
        table.row([contender, &held.len(), &format!("{each:.2}"), &mebibytes(before), &mebibytes(after)]);
        held.iter_mut().enumerate().try_for_each(|(n, held)| held.check(n))?;
    }
    Ok(table)
}

/// An idle connection.
enum Held {
    KeptAlive(Client),
    Tunnel(Tunnel),
}

impl Held {
    fn open(idle: Idle, from: IpAddr, to: SocketAddr) -> Result<Self, Failure> {
        Ok(match idle {
            Idle::KeptAlive => Self::KeptAlive(Client::connect_from(from, to)?),
            Idle::Tunnel => Self::Tunnel(Tunnel::open(from, to)?),
        })
    }

    /// A connection that was closed meanwhile would cost nothing: each must answer.
    fn check(&mut self, n: usize) -> Result<(), Failure> {
        match self {
            Self::KeptAlive(client) => expect_ok(client, n),
            Self::Tunnel(tunnel) => tunnel.check().map_err(|error| format!("WebSocket {n}: {error}").into()),
        }
    }
}

fn open(idle: Idle, connections: usize, to: SocketAddr) -> Result<Vec<Held>, Failure> {
    let mut held = Vec::with_capacity(connections);
    for n in 0..connections {
        let source = u8::try_from(n / PER_SOURCE + 1).map_err(|_| "too many connections")?;
        let mut one = Held::open(idle, IpAddr::V4(Ipv4Addr::new(127, 0, 1, source)), to)?;
        one.check(n)?;
        held.push(one);
    }
    Ok(held)
}

fn expect_ok(client: &mut Client, n: usize) -> Result<(), Failure> {
    let answer = client.get(PATH).map_err(|error| format!("connection {n}: {error}"))?;
    let kept = answer.status == 200 && !answer.closes;
    kept.then_some(())
        .ok_or_else(|| format!("connection {n}: status {}, closed: {}", answer.status, answer.closes).into())
}

fn settled(gateway: &Gateway) -> Result<u64, Failure> {
    let start = Instant::now();
    let mut last = gateway.process.resident()?;
    loop {
        std::thread::sleep(SETTLED);
        let now = gateway.process.resident()?;
        if now == last || start.elapsed() > PATIENCE {
            return Ok(now);
        }
        last = now;
    }
}

#[expect(clippy::cast_precision_loss, reason = "memory in bytes is far below 2^52")]
fn kibibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}
