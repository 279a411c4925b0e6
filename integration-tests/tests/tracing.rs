//! Traces: which are gone on with, what is kept, what spans say.

use portcullis_integration_tests::{Client, Gateway, Origin, Received, Response, Setup, cli, origin, until};

use self::collector::{Collector, Told};

mod collector;
mod trouble;

const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OURS: &str = "trusted_networks: [\"127.0.0.0/8\"]";

/// `tracing:` to a collector, with more words. Nothing is slow by itself, and nothing is refused on a busy machine.
fn tracing(collector: &Collector, words: &str) -> String {
    let slow = if words.contains("slow:") { "" } else { "slow: 1h, " };
    let endpoint = collector.address();
    format!("{CALM}\ntracing: {{ endpoint: \"http://{endpoint}\", batch: {{ wait: 10ms }}, {slow}{words} }}")
}

/// A machine that is busy with other tests is no reason to refuse requests.
const CALM: &str = "overload: { event_loop_delay: 0s }";

fn ask(gateway: &Gateway, path: &str, fields: &str) -> Response {
    gateway.client().ask(format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n"))
}

/// The parts of the `traceparent` that an origin got: trace, span, flags.
fn parent(received: &Received) -> [String; 3] {
    let value = received.field("traceparent").unwrap();
    let parts: Vec<&str> = value.split('-').collect();
    assert_eq!((parts.len(), parts[0], value.len()), (4, "00", 55), "{value}");
    [parts[1], parts[2], parts[3]].map(str::to_owned)
}

#[test]
fn a_request_is_a_span_of_a_server_and_each_attempt_one_of_a_client() {
    let collector = Collector::start();
    let busy = Origin::answers(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    let good = Origin::says("fine");
    let gateway = Setup::to(&busy)
        .cluster("retry: { on: [\"503\"], attempts: 2 }\n    failover: [spare]")
        .and_cluster("spare", good.address(), "")
        .and_route("{ name: item, match: { template: \"/items/{id}\" }, to: app }")
        .top(&tracing(&collector, "sample: 100%, service: edge, resource: { deployment.environment.name: test }"))
        .start();
    let answer = ask(&gateway, "/items/7?token=s3cret", "User-Agent: test/1\r\n");
    assert_eq!(answer.status, 200);
    let spans = collector.of("/items/7");
    let [server, first, second] = spans.as_slice() else { panic!("{spans:#?}") };
    assert_eq!(server.resource["service.name"], "edge");
    assert_eq!(server.resource["deployment.environment.name"], "test");
    assert_eq!((server.name.as_str(), server.kind, server.status), ("GET /items/{id}", 2, 0));
    assert_eq!((server.parent.as_str(), server.trace.as_str()), ("", answer.id().as_str()));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/items/{id}"),
        ("http.response.status_code", "200"),
        ("url.scheme", "http"),
        ("server.address", "app.test"),
        ("user_agent.original", "test/1"),
        ("network.protocol.version", "1.1"),
        ("portcullis.kept", "sampled"),
        ("portcullis.request_id", &answer.id()),
        ("portcullis.generation", "1"),
        ("portcullis.route", "item"),
        ("portcullis.cluster", "app"),
        ("portcullis.endpoint", &good.address().to_string()),
        ("error.type", ""),
        ("client.address", ""),
    ] {
        assert_eq!(server.get(key), value, "{key} in {server:#?}");
    }
    assert!(!format!("{spans:?}").contains("s3cret"), "{spans:#?}");
    let told = |span: &Told, at: &Origin, status: &str| {
        assert_eq!((span.name.as_str(), span.kind, &span.trace), ("GET", 3, &server.trace));
        assert_eq!(span.get("server.address"), at.address().ip().to_string());
        assert_eq!(span.get("server.port"), at.address().port().to_string());
        assert_eq!(span.get("http.response.status_code"), status);
        assert_eq!(parent(&at.last()), [span.trace.clone(), span.id.clone(), "03".to_owned()]);
        assert!(server.from <= span.from && span.from < span.to && span.to <= server.to, "{spans:#?}");
    };
    told(first, &busy, "503");
    told(second, &good, "200");
    assert_eq!((first.status, first.get("error.type"), first.get("portcullis.cluster")), (2, "503", "app"));
    assert_eq!((second.status, second.get("error.type"), second.get("portcullis.cluster")), (0, "", "spare"));
    assert_eq!((first.get("http.request.resend_count"), second.get("http.request.resend_count")), ("", "1"));
    assert!(first.to <= second.from);
}

#[test]
fn a_second_attempt_beside_the_first_is_a_span_too() {
    let collector = Collector::start();
    let (hold, _ended) = super::hedging::held();
    let origins = super::hedging::pair(hold, |wire| wire.ok("second"));
    let gateway = super::hedging::started(
        &super::hedging::setup(&origins).top(&tracing(&collector, "sample: 100%, queue: 100000")),
    );
    assert_eq!(ask(&gateway, "/slow", "").text(), "second");
    let spans = collector.of("/slow");
    let [server, first, second] = spans.as_slice() else { panic!("{spans:#?}") };
    assert_eq!((server.get("portcullis.hedged"), server.get("portcullis.flags")), ("won", "hedged"));
    assert_eq!((first.get("portcullis.outrun"), first.status, first.get("http.response.status_code")), ("true", 0, ""));
    assert_eq!((second.get("portcullis.outrun"), second.get("http.response.status_code")), ("", "200"));
    let told = |span: &Told| origins.iter().any(|origin| parent(&origin.last())[1] == span.id);
    assert!(first.from < second.from && told(first) && told(second), "{spans:#?}");
}

#[test]
fn each_part_of_a_batch_is_a_span() {
    let (collector, node, archive) = (Collector::start(), Origin::says("[]"), Origin::says("[]"));
    let gateway = Gateway::with_yaml(&format!(
        "{}\nlisteners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         clusters: {{ node: {{ endpoints: [\"{}\"] }}, archive: {{ endpoints: [\"{}\"] }} }}\n\
         hosts: [{{ names: [rpc.test], filters: [jsonrpc], routes: [\
         {{ name: archive, match: {{ jsonrpc: [getBlock] }}, to: archive }}, {{ name: node, to: node }}] }}]\n",
        tracing(&collector, "sample: 100%"),
        node.address(),
        archive.address()
    ));
    let call = |id: u32, method: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":[5]}}"#);
    let body = format!("[{},{}]", call(1, "getBlock"), call(2, "getSlot"));
    let length = body.len();
    let mut client = gateway.client();
    client.ask(format!("POST / HTTP/1.1\r\nHost: rpc.test\r\nContent-Length: {length}\r\n\r\n{body}"));
    let spans = collector.of("/");
    assert_eq!(spans.len(), 3, "{spans:#?}");
    for origin in [&node, &archive] {
        let [trace, span, _] = parent(&origin.last());
        assert!(spans.iter().any(|one| one.kind == 3 && one.id == span && one.trace == trace), "{spans:#?}");
    }
}

#[test]
fn a_trusted_callers_trace_goes_on_with_its_state_and_is_told_everywhere() {
    let (collector, origin) = (Collector::start(), Origin::says("fine"));
    let gateway = Setup::to(&origin).top(OURS).top(&tracing(&collector, "sample: 0%")).start();
    let fields = format!("traceparent: {GIVEN}\r\ntracestate: a=1\r\ntracestate: b=2, c=3\r\n");
    let answer = ask(&gateway, "/a", &fields);
    let [trace, span, flags] = parent(&origin.last());
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"), "the caller's flag goes on");
    assert_eq!(origin.last().fields("tracestate"), ["a=1,b=2,c=3"]);
    let spans = collector.of("/a");
    assert_eq!((spans[0].parent.as_str(), spans[0].trace.as_str(), spans[0].flags), ("b7ad6b7169203331", TRACE, 1));
    assert_eq!((&spans[1].id, &spans[1].parent), (&span, &spans[0].id));
    assert_eq!(gateway.record_of(&answer)["trace_id"], TRACE);
    let admin = gateway.address("admin").to_string();
    let told = cli::run(gateway.dir(), &["requests", "show", &answer.id(), "--admin", &admin]);
    assert!(told.stdout.contains(&format!("trace       {TRACE}")), "{told:?}");
    for (state, goes_on) in [("a=1", vec!["a=1"]), ("A=1", vec![]), ("a=1,,b=2", vec!["a=1,b=2"]), ("a", vec![])] {
        ask(&gateway, "/b", &format!("traceparent: {GIVEN}\r\ntracestate: {state}\r\n"));
        assert_eq!(origin.last().fields("tracestate"), goes_on, "{state}");
    }
}

#[test]
fn what_is_no_traceparent_begins_a_trace() {
    let (collector, origin) = (Collector::start(), Origin::says("fine"));
    let gateway = Setup::to(&origin).top(OURS).top(&tracing(&collector, "sample: 0%")).start();
    for value in [
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "",
    ] {
        let answer = ask(&gateway, "/a", &format!("traceparent: {value}\r\ntracestate: a=1\r\n"));
        let [trace, _, flags] = parent(&origin.last());
        assert_eq!((trace, flags.as_str()), (answer.id(), "02"), "{value}");
        assert_eq!(origin.last().field("tracestate"), None, "{value}");
    }
    ask(&gateway, "/a", &format!("traceparent: {GIVEN}\r\ntraceparent: {GIVEN}\r\n"));
    assert_ne!(parent(&origin.last())[0], TRACE, "two are none");
    ask(&gateway, "/a", &format!("traceparent: cc{}-what-the-future-brings\r\n", &GIVEN[2..]));
    assert_eq!(parent(&origin.last())[0], TRACE, "a later version is read as this one");
}

#[test]
fn whose_trace_goes_on_is_said_by_the_config() {
    let collector = Collector::start();
    for (callers, trusted, goes_on) in
        [("trusted", "", false), ("anyone", "", true), ("nobody", OURS, false), ("anyone", OURS, true)]
    {
        let origin = Origin::says("fine");
        let words = tracing(&collector, &format!("callers: {callers}"));
        let gateway = Setup::to(&origin).top(trusted).top(&words).start();
        ask(&gateway, "/a", &format!("traceparent: {GIVEN}\r\ntracestate: a=1\r\n"));
        assert_eq!(parent(&origin.last())[0] == TRACE, goes_on, "{callers} {trusted}");
        assert_eq!(origin.last().field("tracestate"), goes_on.then_some("a=1"), "{callers} {trusted}");
    }
}

#[test]
fn failures_and_slow_requests_are_kept_and_of_the_rest_what_the_share_takes() {
    let collector = Collector::start();
    let origin = Origin::http1(|received, wire| {
        if received.path().starts_with("/slow") {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        wire.ok("fine")
    });
    let gateway = Setup::to(&origin)
        .and_cluster("dead", origin::refused(), "")
        .and_route("{ name: off, match: { path: /off }, to: dead }")
        .and_route("{ name: all_of_it, match: { path: /chosen }, to: app, tracing: { sample: 100% } }")
        .and_route("{ name: hasty, match: { exact: /slow }, to: app, tracing: { slow: 10ms } }")
        .and_route("{ name: untold, match: { path: /untold }, to: dead, tracing: off }")
        .top(&tracing(&collector, "sample: 0%, slow: 1h"))
        .start();
    let mut client: Client = gateway.client();
    for path in ["/good", "/slow", "/slow/patient", "/chosen", "/untold"] {
        let status = client.get(path).status;
        assert_eq!(status == 200, path != "/untold", "{path}");
    }
    let bad = client.get("/off");
    assert!(bad.status >= 500, "{}", bad.head);
    let failed = collector.of("/off");
    assert_eq!((failed[0].get("portcullis.kept"), failed[0].status), ("failed", 2));
    assert_eq!(failed[0].get("error.type"), "upstream_connect_refused");
    assert_eq!(failed[0].get("portcullis.reason"), "upstream_connect_refused");
    assert_eq!((failed[1].status, failed[1].get("error.type")), (2, "upstream_connect_refused"));
    assert_eq!(collector.of("/slow")[0].get("portcullis.kept"), "slow");
    assert_eq!(collector.of("/chosen")[0].get("portcullis.kept"), "sampled");
    // Spans go out in the order in which requests ended, so that those of the first would be there by now.
    assert_eq!(collector.paths(), ["/slow", "/chosen", "/off"]);
    let kept = |why: &str| gateway.admin().metric("portcullis_traces_kept_total", &format!("why=\"{why}\""));
    assert_eq!(["failed", "slow", "sampled"].map(kept), [1.0, 1.0, 1.0]);
}

#[test]
fn the_callers_flag_is_followed_where_the_config_says_so() {
    let (collector, origin) = (Collector::start(), Origin::says("fine"));
    let unset = GIVEN.replace("-01", "-00");
    let run = |words: &str, value: &str, path: &str| {
        let gateway = Setup::to(&origin).top(OURS).top(&tracing(&collector, words)).start();
        let answer = ask(&gateway, path, &format!("traceparent: {value}\r\n"));
        // Once it is in the log, it was judged.
        drop(gateway.record_of(&answer));
        let kept = gateway.admin().metric("portcullis_traces_kept_total", "why=\"sampled\"");
        (parent(&origin.last())[2].clone(), kept)
    };
    assert_eq!(run("sample: 0%", GIVEN, "/1"), ("01".to_owned(), 1.0));
    assert_eq!(run("sample: 100%", &unset, "/2"), ("00".to_owned(), 0.0));
    assert_eq!(run("sample: 0%, sampled: ignore", GIVEN, "/3"), ("00".to_owned(), 0.0));
    assert_eq!(run("sample: 100%, sampled: ignore", &unset, "/4"), ("01".to_owned(), 1.0));
}

#[test]
fn who_called_is_said_only_where_the_config_says_so() {
    let collector = Collector::start();
    let origin = Origin::says("fine");
    let yaml = |words: &str| {
        Setup::to(&origin)
            .top(&tracing(&collector, &format!("sample: 100%, {words}")))
            .top("plans: { free: { rate: 1000/s } }")
            .host("filters: [{ anonymous: { plan: free } }, caps]")
    };
    let gateway = yaml("").start();
    ask(&gateway, "/quiet", "");
    let quiet = collector.of("/quiet")[0].clone();
    assert_eq!((quiet.get("portcullis.consumer"), quiet.get("client.address")), ("", ""));
    let gateway = yaml("consumer: true, client_address: true").start();
    let answer = ask(&gateway, "/open", "");
    let open = collector.of("/open")[0].clone();
    let record = gateway.record_of(&answer);
    assert_eq!(open.get("portcullis.consumer"), record["consumer"].as_str().unwrap(), "{record}");
    assert_eq!(open.get("client.address"), record["client"].as_str().unwrap());
    assert!(!open.get("portcullis.consumer").is_empty());
}

#[test]
fn without_the_key_nothing_is_sent_and_the_field_goes_on_as_ever() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).top(OURS).start();
    ask(&gateway, "/a", &format!("traceparent: {GIVEN}\r\ntracestate: a=1\r\ntracestate: b=2\r\n"));
    let [trace, span, flags] = parent(&origin.last());
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
    assert_ne!(span, "b7ad6b7169203331");
    assert_eq!(origin.last().fields("tracestate"), ["a=1", "b=2"]);
    let page = gateway.admin().get("/metrics").text();
    assert!(!page.contains("portcullis_traces_") && !page.contains("trace_queue_spans"), "{page}");
    until("the record", || gateway.records().pop());
}
