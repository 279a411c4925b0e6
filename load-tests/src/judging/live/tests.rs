//! Two gateways that are only numbers: served by a thread, never asked for anything but metrics.

use super::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use portcullis_judge::{Remedy, Verdict};

/// Serves metrics that grow with every scrape; every `fails`th request of a scrape's hundred fails.
struct Gateway {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    fn start(requests: u64, failed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        let scrapes = AtomicU64::new(0);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                seen.lock().unwrap().push(lines.next().unwrap().unwrap());
                while !lines.next().unwrap().unwrap().is_empty() {}
                let count = scrapes.fetch_add(1, Ordering::SeqCst) + 1;
                let body = body(count * requests, count * failed, count);
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            }
        });
        Self { address, asked }
    }

    fn source(&self) -> Source {
        let url = Url { authority: self.address.to_string(), path: "/metrics".to_owned() };
        Source { url, select: Select::default(), token: None }
    }
}

fn body(requests: u64, failed: u64, scrapes: u64) -> String {
    let good = requests - failed;
    let cpu = requests as f64 * 25e-6 * (1.0 + 0.01 * (scrapes % 3) as f64 / scrapes as f64);
    format!(
        "portcullis_route_requests_total{{class=\"2xx\"}} {good}\nportcullis_route_requests_total{{class=\"5xx\"}} {failed}\n\
         portcullis_route_duration_seconds_bucket{{le=\"0.05\"}} {good}\n\
         portcullis_route_duration_seconds_bucket{{le=\"0.1\"}} {requests}\nportcullis_route_duration_seconds_count {requests}\n\
         portcullis_listener_connections{{listener=\"edge\"}} 5\nprocess_cpu_seconds_total {cpu}\n\
         process_resident_memory_bytes 5000000\nprocess_start_time_seconds 17\n"
    )
}

fn watch(baseline: &Gateway, canary: &Gateway) -> Conducted {
    let rules = Rules { resamples: 1000, ..Rules::default() };
    let live = Live {
        baseline: baseline.source(),
        canary: canary.source(),
        every: Duration::from_millis(1),
        objective: Duration::from_millis(50),
        rules,
        seed: 5,
    };
    live.watch(&mut |_, _| {}).unwrap()
}

#[test]
fn a_canary_that_fails_is_found_by_scrapes_alone() {
    let (baseline, canary) = (Gateway::start(1900, 0), Gateway::start(100, 5));
    let run = watch(&baseline, &canary);
    let judgement = run.judge.judgement(run.findings);
    assert_eq!(judgement.verdict, Verdict::Fail(Remedy::Rollback), "{}", judgement.reason);
    let asked = canary.asked.lock().unwrap();
    assert!(asked.iter().all(|line| line == "GET /metrics HTTP/1.1"), "{asked:?}");
}

#[test]
fn a_canary_with_a_twentieth_of_the_traffic_and_no_fault_passes() {
    let run = watch(&Gateway::start(1900, 0), &Gateway::start(100, 0));
    let judgement = run.judge.judgement(run.findings);
    assert_eq!(judgement.verdict, Verdict::Pass, "{}", judgement.reason);
    assert_eq!((run.twins.len(), run.pairs.len()), (20, 20));
}

#[test]
fn a_canary_without_traffic_says_nothing() {
    let run = watch(&Gateway::start(1000, 0), &Gateway::start(0, 0));
    let judgement = run.judge.judgement(run.findings);
    assert_eq!(judgement.verdict, Verdict::Invalid);
    assert!(judgement.reason.ends_with("canary: no requests"), "{}", judgement.reason);
}
