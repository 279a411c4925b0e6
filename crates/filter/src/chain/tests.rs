//! The order of phases, who stops a request, and whose context is whose.

use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use portcullis_types::{ProxyError, Reason};

use super::*;
use crate::cx::{Candidate, Notes};
use crate::testkit::{Exchange, Seen};

/// What filters were called for, in order: `name.phase`.
type Calls = Arc<Mutex<Vec<String>>>;

/// A filter that writes down what it is called for.
struct Probe {
    name: &'static str,
    calls: Calls,
    phases: Phases,
    verdict: fn() -> Result<Verdict, ProxyError>,
    answers_errors: bool,
    chooses: Option<usize>,
}

/// Counts the phases one probe saw of one request.
#[derive(Default)]
struct Count(usize);

impl Probe {
    fn note(&self, phase: Phase, ctx: &mut Count) {
        ctx.0 += 1;
        self.calls.lock().unwrap().push(format!("{}.{}#{}", self.name, phase.name(), ctx.0));
    }
}

impl Filter for Probe {
    type Ctx = Count;

    fn phases(&self) -> Phases {
        self.phases
    }

    async fn request_filter(&self, _cx: &mut RequestCx<'_>, ctx: &mut Count) -> Result<Verdict, ProxyError> {
        self.note(Phase::RequestFilter, ctx);
        (self.verdict)()
    }

    async fn request_body_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        _end: bool,
        ctx: &mut Count,
    ) -> Result<(), ProxyError> {
        self.note(Phase::RequestBodyFilter, ctx);
        mark(chunk, self.name);
        Ok(())
    }

    fn upstream_peer(&self, _cx: &mut SelectCx<'_>, ctx: &mut Count) -> Result<Option<usize>, ProxyError> {
        self.note(Phase::UpstreamPeer, ctx);
        Ok(self.chooses)
    }

    async fn upstream_request_filter(&self, _cx: &mut RequestCx<'_>, ctx: &mut Count) -> Result<(), ProxyError> {
        self.note(Phase::UpstreamRequestFilter, ctx);
        Ok(())
    }

    async fn response_filter(&self, _cx: &mut ResponseCx<'_>, ctx: &mut Count) -> Result<(), ProxyError> {
        self.note(Phase::ResponseFilter, ctx);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        _end: bool,
        ctx: &mut Count,
    ) -> Result<(), ProxyError> {
        self.note(Phase::ResponseBodyFilter, ctx);
        mark(chunk, self.name);
        Ok(())
    }

    fn response_trailer_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        trailers: &mut HeaderMap,
        ctx: &mut Count,
    ) -> Result<(), ProxyError> {
        self.note(Phase::ResponseTrailerFilter, ctx);
        trailers.append("x-by", self.name.parse().unwrap());
        Ok(())
    }

    fn fail_to_proxy(&self, _cx: &mut ErrorCx<'_>, ctx: &mut Count) -> Option<Response> {
        self.note(Phase::FailToProxy, ctx);
        self.answers_errors.then(|| Response::new(StatusCode::IM_A_TEAPOT))
    }

    fn logging(&self, completed: &Completed<'_>, ctx: &mut Count) {
        self.note(Phase::Logging, ctx);
        self.calls.lock().unwrap().push(format!("{} saw {}", self.name, completed.status));
    }
}

fn mark(chunk: &mut Chunk, name: &str) {
    if let Some(bytes) = chunk {
        *chunk = Some(Bytes::from([bytes, name.as_bytes()].concat()));
    }
}

/// Probes by name, and what they wrote down.
struct Bench {
    calls: Calls,
    probes: Vec<Probe>,
}

impl Bench {
    fn new(names: &[&'static str]) -> Self {
        let calls = Calls::default();
        let phases = Phase::ALL.into_iter().fold(Phases::NONE, Phases::and);
        let probe = |name: &&'static str| Probe {
            name,
            calls: calls.clone(),
            phases,
            verdict: || Ok(Verdict::Continue),
            answers_errors: false,
            chooses: None,
        };
        Self { probes: names.iter().map(probe).collect(), calls }
    }

    fn change(mut self, at: usize, change: impl FnOnce(&mut Probe)) -> Self {
        change(&mut self.probes[at]);
        self
    }

    fn chain(self) -> (Chain, Calls) {
        let links = self.probes.into_iter().map(|probe| Link::new(probe.name, probe)).collect();
        (Chain::new(links).unwrap(), self.calls)
    }

    fn run(self, exchange: Exchange) -> (Seen, Vec<String>) {
        let (chain, calls) = self.chain();
        let seen = block_on(exchange.run(&chain));
        let calls = calls.lock().unwrap().clone();
        (seen, calls)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn get() -> Exchange {
    Exchange::get("http://example.com/")
}

#[test]
fn requests_pass_first_to_last_and_answers_last_to_first() {
    let exchange = Exchange::post("http://example.com/", "up").answer_chunk("down").answer_trailer("x-by", "upstream");
    let (seen, calls) = Bench::new(&["a", "b"]).run(exchange);
    let expected = [
        "a.request_filter#1",
        "b.request_filter#1",
        "a.upstream_request_filter#2",
        "b.upstream_request_filter#2",
        "a.request_body_filter#3",
        "b.request_body_filter#3",
        "a.request_body_filter#4",
        "b.request_body_filter#4",
        "b.response_filter#5",
        "a.response_filter#5",
        "b.response_body_filter#6",
        "a.response_body_filter#6",
        "b.response_body_filter#7",
        "a.response_body_filter#7",
        "b.response_trailer_filter#8",
        "a.response_trailer_filter#8",
        "a.logging#9",
        "a saw 200",
        "b.logging#9",
        "b saw 200",
    ];
    assert_eq!(calls, expected);
    assert_eq!((&seen.upstream_body[..], &seen.body[..]), (&b"upab"[..], &b"downba"[..]));
    let trailers: Vec<_> = seen.trailers.get_all("x-by").iter().collect();
    assert_eq!(trailers, ["upstream", "b", "a"]);
}

#[test]
fn the_first_answer_stops_the_request() {
    let bench = Bench::new(&["a", "b", "c"]);
    let bench = bench.change(1, |b| b.verdict = || Ok(Verdict::Respond(Box::new(Response::new(StatusCode::ACCEPTED)))));
    let (seen, calls) = bench.run(get());
    assert_eq!((seen.status, seen.upstream.is_none(), seen.reason), (202, true, None));
    assert_eq!(seen.stopped_by.as_deref(), Some("b"));
    assert_eq!(calls[..2], ["a.request_filter#1", "b.request_filter#1"]);
    assert!(!calls.iter().any(|call| call == "c.request_filter#1"));
    assert!(calls.contains(&"c.response_filter#1".to_owned()), "every filter sees the answer: {calls:?}");
}

#[test]
fn a_refusal_is_answered_by_the_last_filter_that_wants_to() {
    let refusing = || Bench::new(&["a", "b", "c"]).change(0, |a| a.verdict = || Err(Reason::Denied.into()));
    let (seen, _) = refusing().run(get());
    assert_eq!((seen.status, seen.reason), (403, Some(Reason::Denied)));
    let (seen, calls) = refusing().change(1, |b| b.answers_errors = true).run(get());
    assert_eq!((seen.status, seen.reason), (418, Some(Reason::Denied)));
    let asked: Vec<_> = calls.iter().filter(|call| call.contains("fail_to_proxy")).collect();
    assert_eq!(asked, ["c.fail_to_proxy#1", "b.fail_to_proxy#1"]);
}

#[test]
fn a_phase_that_is_not_named_is_not_called() {
    let bench = Bench::new(&["a", "b"]).change(0, |a| a.phases = Phases::of(Phase::ResponseFilter));
    let bench = bench.change(1, |b| b.phases = Phases::NONE);
    let (chain, calls) = bench.chain();
    let has: Vec<_> = Phase::ALL.into_iter().filter(|phase| chain.has(*phase)).collect();
    assert_eq!(has, [Phase::ResponseFilter]);
    block_on(get().run(&chain));
    assert_eq!(*calls.lock().unwrap(), ["a.response_filter#1"]);
}

#[test]
fn each_request_has_contexts_of_its_own() {
    let (chain, calls) = Bench::new(&["a"]).change(0, |a| a.phases = Phases::of(Phase::RequestFilter)).chain();
    block_on(async {
        get().run(&chain).await;
        get().run(&chain).await;
    });
    assert_eq!(*calls.lock().unwrap(), ["a.request_filter#1", "a.request_filter#1"]);
}

#[test]
fn tells_which_filters_let_a_request_go_on() {
    let bench = Bench::new(&["a", "b", "c"]).change(2, |c| c.verdict = || Err(Reason::Denied.into()));
    let (chain, _) = bench.chain();
    let (mut request, facts) = (pingora_http::RequestHeader::build("GET", b"/", None).unwrap(), facts());
    let mut cx = RequestCx { request: &mut request, facts: &facts, notes: &mut Notes::default() };
    let mut passed = Vec::new();
    let stopped = block_on(chain.request_filter(&mut cx, &mut ChainState::default(), &mut |name| {
        passed.push(name.to_string());
    }));
    assert_eq!(passed, ["a", "b"]);
    let stopped = stopped.unwrap_err();
    assert_eq!((&*stopped.filter, stopped.outcome.unwrap_err().reason), ("c", Reason::Denied));
}

#[test]
fn the_first_filter_that_chooses_an_endpoint_wins() {
    let check = |choices: [Option<usize>; 3], expected: Option<(usize, &str)>| {
        let bench = Bench::new(&["a", "b", "c"]);
        let bench = (0..3).fold(bench, |bench, at| bench.change(at, |probe| probe.chooses = choices[at]));
        let (chain, _) = bench.chain();
        let request = pingora_http::RequestHeader::build("GET", b"/", None).unwrap();
        let candidates: [Candidate; 0] = [];
        let mut cx = SelectCx {
            request: &request,
            facts: &facts(),
            notes: &mut Notes::default(),
            cluster: &"c".into(),
            candidates: &candidates,
            attempt: 0,
        };
        let chosen = chain.upstream_peer(&mut cx, &mut ChainState::default()).unwrap();
        assert_eq!(chosen, expected.map(|(at, name)| (at, Arc::from(name))));
    };
    check([None, None, None], None);
    check([None, Some(2), Some(1)], Some((2, "b")));
}

#[test]
fn a_chain_is_bounded() {
    let of = |length: usize| {
        Chain::new(Bench::new(&vec!["a"; length]).probes.into_iter().map(|it| Link::new("a", it)).collect())
    };
    assert!(of(Chain::MAX).is_some());
    assert!(of(Chain::MAX + 1).is_none());
    assert!(Chain::default().is_empty());
    assert_eq!(of(2).unwrap().names().collect::<Vec<_>>(), ["a", "a"]);
}

fn facts() -> crate::Facts {
    let address = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
    let downstream = portcullis_types::Downstream {
        listener: "test".into(),
        peer: address,
        socket_peer: address,
        local: address,
        tls: None,
    };
    crate::Facts {
        id: portcullis_types::RequestId(1),
        downstream: Arc::new(downstream),
        client: address.ip(),
        trusted: false,
        host: "example.com".into(),
        port: None,
        route: None,
        params: Vec::new(),
        site: None,
        body: None,
        calls: None,
        asks_upgrade: false,
        is_terminated: false,
    }
}
