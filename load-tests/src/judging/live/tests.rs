//! Two gateways that are only numbers: served by a thread, never asked for anything but metrics.

use super::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use portcullis_judge::{Gate, Judgement, Remedy, Verdict};

/// What a gateway tells that is none: so much with each scrape.
#[derive(Debug, Clone, Copy)]
struct Told {
    requests: u64,
    failed: u64,
    /// Bytes.
    memory: u64,
    /// Bytes more with each scrape.
    leak: u64,
    /// After so many scrapes nobody listens any more.
    dies_after: u64,
    /// Every so many scrapes it is another process.
    restarts_every: u64,
}

impl Told {
    const fn of(requests: u64) -> Self {
        Self { requests, failed: 0, memory: 50 << 20, leak: 0, dies_after: u64::MAX, restarts_every: u64::MAX }
    }

    /// It needs 50 ms from one scrape to the next for itself, and each request 25 µs; connections follow the requests.
    fn body(self, scrape: u64) -> String {
        let Self { requests, failed, memory, leak, restarts_every, .. } = self;
        let lives = scrape % restarts_every;
        let (requests, failed, connections) = (requests * lives, failed * lives, requests / 20);
        let good = requests - failed;
        let cpu =
            lives as f64 * 0.05 + requests as f64 * 25e-6 * (1.0 + 0.01 * (lives % 3) as f64 / lives.max(1) as f64);
        let memory = memory + leak * lives;
        let began = 17 + scrape / restarts_every;
        format!(
            "portcullis_route_requests_total{{class=\"2xx\"}} {good}\nportcullis_route_requests_total{{class=\"5xx\"}} {failed}\n\
             portcullis_route_duration_seconds_bucket{{le=\"0.05\"}} {good}\n\
             portcullis_route_duration_seconds_bucket{{le=\"0.1\"}} {requests}\n\
             portcullis_route_duration_seconds_count {requests}\n\
             portcullis_listener_connections{{listener=\"edge\"}} {connections}\nprocess_cpu_seconds_total {cpu}\n\
             process_resident_memory_bytes {memory}\nprocess_start_time_seconds {began}\n"
        )
    }
}

/// Serves metrics that grow with every scrape.
struct Gateway {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    fn start(told: Told) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for scrape in 1..=told.dies_after {
                let mut stream = listener.accept().unwrap().0;
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                seen.lock().unwrap().push(lines.next().unwrap().unwrap());
                while !lines.next().unwrap().unwrap().is_empty() {}
                let body = told.body(scrape);
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

fn watch(baseline: &Gateway, canary: &Gateway) -> Conducted {
    watch_growing(baseline, canary, None)
}

fn watch_growing(baseline: &Gateway, canary: &Gateway, most_memory: Option<u64>) -> Conducted {
    let rules = Rules { resamples: 1000, ..Rules::default() };
    let live = Live {
        baseline: baseline.source(),
        canary: canary.source(),
        every: Duration::from_millis(1),
        objective: Duration::from_millis(50),
        most_memory,
        rules,
        seed: 5,
    };
    live.watch(&mut |_, _| {}).unwrap()
}

fn judged(run: Conducted) -> Judgement {
    run.judge.judgement(run.findings)
}

#[test]
fn a_canary_that_fails_is_found_by_scrapes_alone() {
    let (baseline, canary) = (Gateway::start(Told::of(1900)), Gateway::start(Told { failed: 5, ..Told::of(100) }));
    let run = watch(&baseline, &canary);
    let judgement = run.judge.judgement(run.findings);
    assert_eq!(judgement.verdict, Verdict::Fail(Remedy::Rollback), "{}", judgement.reason);
    let asked = canary.asked.lock().unwrap();
    assert!(asked.iter().all(|line| line == "GET /metrics HTTP/1.1"), "{asked:?}");
}

#[test]
fn a_canary_with_a_twentieth_of_the_traffic_and_no_fault_passes() {
    let run = watch(&Gateway::start(Told::of(1900)), &Gateway::start(Told::of(100)));
    let judgement = run.judge.judgement(Vec::new());
    assert_eq!(judgement.verdict, Verdict::Pass, "{}", judgement.reason);
    assert_eq!((run.twins.len(), run.pairs.len()), (20, 20));
    let gates: Vec<Gate> = judgement.standings.iter().map(|standing| standing.gate).collect();
    assert!(!gates.contains(&Gate::Cpu) && gates.contains(&Gate::Memory), "what it needs by time is dear: {gates:?}");
}

#[test]
fn a_canary_without_traffic_says_nothing() {
    let run = watch(&Gateway::start(Told::of(1000)), &Gateway::start(Told::of(0)));
    let judgement = run.judge.judgement(run.findings);
    assert_eq!(judgement.verdict, Verdict::Invalid);
    assert!(judgement.reason.ends_with("canary: no requests"), "{}", judgement.reason);
}

#[test]
fn with_as_much_traffic_costs_are_compared() {
    let judgement = judged(watch(&Gateway::start(Told::of(1000)), &Gateway::start(Told::of(1000))));
    assert_eq!(judgement.verdict, Verdict::Pass, "{}", judgement.reason);
    let fat = Told { memory: 70 << 20, ..Told::of(1000) };
    let judgement = judged(watch(&Gateway::start(Told::of(1000)), &Gateway::start(fat)));
    assert_eq!(judgement.decided_by.as_deref(), Some("rss"), "{}", judgement.reason);
    let first = judgement.standings.first().unwrap();
    assert_eq!(first.gate, Gate::Cpu);
}

#[test]
fn a_canary_that_is_down_or_begins_anew_again_and_again_is_taken_back() {
    for canary in [Told { dies_after: 9, ..Told::of(1000) }, Told { restarts_every: 4, ..Told::of(1000) }] {
        let judgement = judged(watch(&Gateway::start(Told::of(1000)), &Gateway::start(canary)));
        assert_eq!(judgement.verdict, Verdict::Fail(Remedy::Rollback), "{}", judgement.reason);
        assert_eq!(judgement.decided_by.as_deref(), Some("lives"));
    }
    let (baseline, canary) = (Told { dies_after: 9, ..Told::of(1000) }, Told { dies_after: 9, ..Told::of(1000) });
    let judgement = judged(watch(&Gateway::start(baseline), &Gateway::start(canary)));
    assert_eq!(judgement.verdict, Verdict::Invalid, "nothing is known of the baseline");
}

#[test]
fn what_grows_beyond_a_days_cap_is_taken_back_and_wants_a_hotfix_where_both_do() {
    // Even with a window a second that is 5 GiB a day.
    let leaking = Told { leak: 64 << 10, ..Told::of(1000) };
    for (baseline, verdict) in
        [(Told::of(1000), Verdict::Fail(Remedy::Rollback)), (leaking, Verdict::Fail(Remedy::Hotfix))]
    {
        let run = watch_growing(&Gateway::start(baseline), &Gateway::start(leaking), Some(1 << 30));
        let judgement = judged(run);
        assert_eq!((judgement.verdict, judgement.decided_by.as_deref()), (verdict, Some("growth_rss")));
    }
    let (baseline, canary) = (Gateway::start(Told::of(1000)), Gateway::start(Told::of(1000)));
    let judgement = judged(watch_growing(&baseline, &canary, Some(1 << 30)));
    assert_eq!(judgement.verdict, Verdict::Pass, "{}", judgement.reason);
}
