//! The binary is replaced again and again under load that does not wait for it: no request fails.
//!
//! `PORTCULLIS_UPGRADES=20` for more than the usual three.

use http::Request;
use http_body_util::Full;
use portcullis_integration_tests::h2::{H2Client, whole};
use portcullis_integration_tests::websocket::{UPGRADE, switch_and_return};
use portcullis_integration_tests::{Client, Gateway, Origin, Setup, until};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// 1001, as the gateway says it.
const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];
const FRAME: [u8; 6] = [0x82, 4, 1, 2, 3, 4];

/// What all clients share.
struct Load {
    to: SocketAddr,
    stop: AtomicBool,
    done: AtomicU64,
    polite: AtomicU64,
    /// Microseconds of the slowest request, from when it was due.
    slowest: AtomicU64,
}

impl Load {
    /// Does something at a steady rate until it is told to stop: what is late is made up for, not left out. Failures.
    fn pace(&self, every: Duration, mut act: impl FnMut() -> Result<(), String>) -> Vec<String> {
        let (mut due, mut failures) = (Instant::now(), Vec::new());
        while !self.stop.load(Ordering::SeqCst) && failures.len() < 10 {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if let Err(failure) = act() {
                failures.push(failure);
            }
            self.done.fetch_add(1, Ordering::SeqCst);
            let took = u64::try_from(due.elapsed().as_micros()).unwrap();
            self.slowest.fetch_max(took, Ordering::SeqCst);
            due += every;
        }
        failures
    }

    fn keep_alive(&self) -> Vec<String> {
        let mut client = Client::connect(self.to);
        self.pace(Duration::from_millis(10), || {
            client
                .try_send("GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n")
                .map_err(|error| format!("keep-alive: {error}"))?;
            let answer = client.try_response().map_err(|error| format!("keep-alive: {error}"))?;
            if answer.closes() {
                self.polite.fetch_add(1, Ordering::SeqCst);
                client = Client::connect(self.to);
            }
            if answer.status == 200 { Ok(()) } else { Err(answer.head) }
        })
    }

    fn connect_anew(&self) -> Vec<String> {
        self.pace(Duration::from_millis(20), || {
            let mut client = Client::connect(self.to);
            client
                .try_send("GET /new HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
                .map_err(|error| format!("new: {error}"))?;
            let answer = client.try_response().map_err(|error| format!("new: {error}"))?;
            if answer.status == 200 { Ok(()) } else { Err(answer.head) }
        })
    }

    fn http2(&self) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut client = runtime.block_on(H2Client::plain(self.to));
        self.pace(Duration::from_millis(10), || {
            runtime.block_on(async {
                loop {
                    let request = Request::get("http://app.test/h2").body(Full::default()).unwrap();
                    match client.begin(request).await {
                        Ok(answer) => {
                            let answer = whole(answer).await;
                            return if answer.status() == 200 { Ok(()) } else { Err(format!("{answer:?}")) };
                        }
                        // The connection said goodbye before the request was sent.
                        Err(error) if error.is_canceled() || error.is_closed() => {
                            self.polite.fetch_add(1, Ordering::SeqCst);
                            client = H2Client::plain(self.to).await;
                        }
                        Err(error) => return Err(format!("http2: {error:?}")),
                    }
                }
            })
        })
    }

    fn websocket(&self) -> Vec<String> {
        let open = || {
            let mut client = Client::connect(self.to);
            client.send(UPGRADE);
            let head = client.head();
            assert!(head.starts_with("HTTP/1.1 101"), "{head}");
            client
        };
        let mut client = open();
        self.pace(Duration::from_millis(20), || {
            loop {
                // What cannot be sent crosses a goodbye, which is read then.
                drop(client.try_send(FRAME));
                let start = client.exactly(4).map_err(|error| format!("websocket: no goodbye: {error}"))?;
                if start == GOING_AWAY {
                    self.polite.fetch_add(1, Ordering::SeqCst);
                    client = open();
                    continue;
                }
                let rest = client.exactly(2).map_err(|error| format!("websocket: {error}"))?;
                return if [start, rest].concat() == FRAME { Ok(()) } else { Err("websocket: other bytes".to_owned()) };
            }
        })
    }

    fn upload(&self) -> Vec<String> {
        let mut client = Client::connect(self.to);
        self.pace(Duration::from_millis(250), || {
            let failed = |error: std::io::Error| format!("upload: {error}");
            client
                .try_send("POST /up HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n")
                .map_err(failed)?;
            for _ in 0..5 {
                std::thread::sleep(Duration::from_millis(20));
                client.try_send("4\r\nwxyz\r\n").map_err(failed)?;
            }
            client.try_send("0\r\n\r\n").map_err(failed)?;
            let answer = client.try_response().map_err(failed)?;
            if answer.closes() {
                self.polite.fetch_add(1, Ordering::SeqCst);
                client = Client::connect(self.to);
            }
            if answer.status == 200 { Ok(()) } else { Err(answer.head) }
        })
    }
}

fn spawn(load: &Arc<Load>, run: fn(&Load) -> Vec<String>) -> JoinHandle<Vec<String>> {
    let load = load.clone();
    std::thread::spawn(move || run(&load))
}

/// Replaces the binary, and waits until the old process is gone.
fn replace(gateway: &Gateway, number: usize) -> u32 {
    let answer = gateway.admin().post("/api/upgrade", "", "");
    assert_eq!(answer.status, 200, "upgrade {number}: {}\n{}", answer.text(), gateway.stderr());
    let pid = u32::try_from(answer.json()["pid"].as_u64().unwrap()).unwrap();
    gateway.end_with_test(pid);
    until("the old process to be gone", || {
        let status = gateway.admin().json("/api/status");
        (status["lifecycle"]["pid"] == pid && status["lifecycle"]["follows"]["state"] == "gone").then_some(())
    });
    pid
}

#[test]
fn no_request_fails_over_upgrades_under_load() {
    let upgrades = std::env::var("PORTCULLIS_UPGRADES").map_or(3, |count| count.parse().unwrap());
    let origin = Origin::at_head(|received, wire| {
        if received.field("upgrade").is_some() {
            return switch_and_return(wire);
        }
        if wire.read_body(received) { wire.ok("fine") } else { portcullis_integration_tests::After::Close }
    });
    let gateway = Setup::to(&origin)
        .top("drain: { timeout: 20s, idle: 10s, streams: 500ms }")
        // However late a busy machine lets the gateway run, nothing is refused for it.
        .top("overload: { event_loop_delay: 0s }")
        .listener("protocols: [http1, h2c]")
        .start();
    let load = Arc::new(Load {
        to: gateway.address("edge"),
        stop: AtomicBool::new(false),
        done: AtomicU64::new(0),
        polite: AtomicU64::new(0),
        slowest: AtomicU64::new(0),
    });
    let kinds = [Load::keep_alive, Load::keep_alive, Load::connect_anew, Load::http2, Load::websocket, Load::upload];
    let clients: Vec<_> = kinds.into_iter().map(|kind| spawn(&load, kind)).collect();
    let started = Instant::now();
    for number in 0..upgrades {
        let before = load.done.load(Ordering::SeqCst);
        until("some load", || (load.done.load(Ordering::SeqCst) > before + 50).then_some(()));
        let _ = replace(&gateway, number);
    }
    load.stop.store(true, Ordering::SeqCst);
    let failures: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert_eq!(failures, Vec::<String>::new());
    let (done, polite) = (load.done.load(Ordering::SeqCst), load.polite.load(Ordering::SeqCst));
    assert!(polite >= upgrades as u64, "{polite} goodbyes");
    eprintln!(
        "{upgrades} upgrades in {:?}: {done} requests, 0 failed, {polite} polite ends, the slowest {} ms",
        started.elapsed(),
        load.slowest.load(Ordering::SeqCst) / 1000
    );
}
