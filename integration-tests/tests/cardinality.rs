//! A client cannot make a metric grow: whatever it sends, the series are those of the config and of closed lists.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use portcullis_integration_tests::h2::H2Client;
use portcullis_integration_tests::origin::{HyperOrigin, full};
use portcullis_integration_tests::pki::Pki;
use portcullis_integration_tests::{Client, Gateway, Origin, PATIENCE};
use rustls::{ClientConfig, ClientConnection};

/// Odd things of each kind.
const MANY: u32 = 10_000;
/// And before series are counted: what may be seen for the first time has been seen then.
const FIRST: u32 = 800;

/// Answers with a status that the request's number stands for: 200 to 999, those without content left out.
fn odd_statuses() -> Origin {
    Origin::http1(|received, wire| {
        let digits: String = received.target().chars().filter(char::is_ascii_digit).collect();
        let status = 200 + digits.parse::<u32>().unwrap_or(0) % 800;
        let status = if matches!(status, 204 | 205 | 304) { 299 } else { status };
        wire.send(format!("HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n"))
    })
}

/// Answers every call of JSON-RPC.
fn node() -> Origin {
    Origin::http1(|_, wire| wire.ok(r#"{"jsonrpc":"2.0","result":1,"id":1}"#))
}

/// Answers with a gRPC status that nobody has heard of.
fn odd_grpc() -> HyperOrigin {
    HyperOrigin::plain(|seen| {
        let number: String = seen.parts.uri.path().chars().filter(char::is_ascii_digit).collect();
        let mut answer = Response::builder().header("content-type", "application/grpc").body(full("")).unwrap();
        answer.headers_mut().insert("grpc-status", HeaderValue::from_str(&number).unwrap());
        answer
    })
}

fn gateway(pki: &Pki) -> Gateway {
    let consumers = pki.dir().join("consumers.ndjson");
    std::fs::write(&consumers, "").unwrap();
    let mut text = String::from("listeners:\n  edge: { bind: \"@edge\" }\n");
    writeln!(text, "  tls: {{ bind: \"@tls\", tls: {{ certificates: [{}] }} }}", pki.issue("app.test").yaml()).unwrap();
    let secret = "00112233445566778899aabbccddeeff".repeat(2);
    let throttle = "throttle: { failures: 1000000 }";
    writeln!(text, "consumers: {{ file: \"{}\", secret: \"{secret}\", {throttle} }}", consumers.display()).unwrap();
    writeln!(text, "plans: {{ free: {{}} }}\nstore: off\nclusters:").unwrap();
    writeln!(text, "  app: {{ endpoints: [\"{}\"] }}", odd_statuses().address()).unwrap();
    writeln!(text, "  node: {{ endpoints: [\"{}\"] }}", node().address()).unwrap();
    writeln!(text, "  grpc: {{ endpoints: [\"{}\"], protocol: http2 }}", odd_grpc().address()).unwrap();
    text.push_str(
        "hosts:\n  \
         - { names: [keyed.test], filters: [api_key], routes: [{ name: all, to: app }] }\n  \
         - { names: [grpc.test], routes: [{ name: all, to: grpc }] }\n  \
         - { names: [rpc.test], filters: [{ anonymous: { plan: free } }, caps, jsonrpc], routes: [{ name: all, to: node }] }\n  \
         - { names: [\"*\"], routes: [{ name: all, to: app }] }\n",
    );
    Gateway::with_yaml(&text)
}

/// Sends a request for each number, over connections that last as long as they may.
fn each(to: SocketAddr, numbers: Range<u32>, request: impl Fn(u32) -> String) {
    let mut client = Client::connect(to);
    for number in numbers {
        let answer = client.ask(request(number));
        if answer.closes() {
            client = Client::connect(to);
        }
    }
}

fn odd_heads(number: u32) -> String {
    let request = format!("ODD{number} /odd/{number}?odd{number}=1 HTTP/1.1\r\nHost: odd{number}.test\r\n");
    request + &format!("User-Agent: odd/{number}\r\nX-Odd-{number}: odd{number}\r\n\r\n")
}

fn odd_keys(number: u32) -> String {
    format!("GET /odd/{number} HTTP/1.1\r\nHost: keyed.test\r\nAuthorization: Bearer odd-key-{number}\r\n\r\n")
}

fn odd_calls(number: u32) -> String {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"oddMethod{number}","params":[]}}"#);
    format!("POST / HTTP/1.1\r\nHost: rpc.test\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Begins a handshake under each name and goes away.
fn odd_names(to: SocketAddr, numbers: Range<u32>, config: &Arc<ClientConfig>) {
    for number in numbers {
        let name = rustls_pki_types::ServerName::try_from(format!("odd{number}.test")).unwrap();
        let mut session = ClientConnection::new(config.clone(), name).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&hello).unwrap();
        // Whatever the gateway says of it, the name has been looked at by then.
        let _ = stream.read(&mut [0; 64]).unwrap();
    }
}

fn odd_statuses_of_grpc(to: SocketAddr, numbers: Range<u32>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = H2Client::plain(to).await;
        for number in numbers {
            if number % 500 == 0 {
                client = H2Client::plain(to).await;
            }
            let request = Request::post(format!("http://grpc.test/odd.Service/{number}"));
            let request = request.header("content-type", "application/grpc").header("te", "trailers");
            let answer = client.send(request.body(Full::new(Bytes::new())).unwrap()).await;
            assert_eq!(answer.field("grpc-status"), Some(number.to_string().as_str()));
        }
    });
}

fn flood(gateway: &Gateway, config: &Arc<ClientConfig>, numbers: &Range<u32>) {
    let (edge, tls) = (gateway.address("edge"), gateway.address("tls"));
    thread::scope(|scope| {
        let work: [Box<dyn FnOnce() + Send + '_>; 5] = [
            Box::new(|| each(edge, numbers.clone(), odd_heads)),
            Box::new(|| each(edge, numbers.clone(), odd_keys)),
            Box::new(|| each(edge, numbers.clone(), odd_calls)),
            Box::new(|| odd_names(tls, numbers.clone(), config)),
            Box::new(|| odd_statuses_of_grpc(edge, numbers.clone())),
        ];
        for one in work.map(|one| scope.spawn(one)) {
            one.join().unwrap();
        }
    });
}

/// Every series: a name with its labels.
fn series(gateway: &Gateway) -> BTreeSet<String> {
    let page = gateway.admin().get("/metrics").text();
    assert!(!page.contains("odd"), "{:?}", page.lines().find(|line| line.contains("odd")));
    let samples = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[test]
fn ten_thousand_odd_things_of_each_kind_make_no_new_series() {
    let pki = Pki::new();
    let gateway = gateway(&pki);
    let config = pki.client(&[]);
    flood(&gateway, &config, &(0..FIRST));
    let before = series(&gateway);
    assert!(before.len() > 100, "{before:?}");
    flood(&gateway, &config, &(FIRST..MANY));
    let handled = || gateway.admin().metric("portcullis_route_requests_total", "");
    let wanted = f64::from(MANY) * 4.0;
    portcullis_integration_tests::until("all requests to be counted", || (handled() >= wanted).then_some(()));
    let grown: Vec<String> = series(&gateway).difference(&before).cloned().collect();
    assert!(grown.is_empty(), "{grown:#?}");
    let refused = gateway.admin().metric("portcullis_failures_total", "");
    assert!(refused >= f64::from(MANY), "keys that nobody knows are refused: {refused}");
}
