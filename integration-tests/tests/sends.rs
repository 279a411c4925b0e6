//! A transaction that is sent: to one node, once, whatever the cluster and the route would allow for other calls.

use portcullis_integration_tests::{After, Gateway, Origin, PATIENCE, Response, Setup};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Requests after which the gateway knows what is usual on the route.
const USUAL: usize = 110;
/// What every route and cluster here allows: a second attempt after anything, and one beside the first.
const EAGER: [&str; 4] = [
    "retry: { on: [connect_failure, reset, timeout, 5xx], attempts: 3, budget: 100%, backoff: { base: 1ms, max: 1ms } }",
    "hedge: { at_least: 30ms, at_most: 50% }",
    "balance: round_robin",
    "outlier_detection: false",
];

fn call(method: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":["4hXTCkRzt9WyecNzV1XPgCDfGAZzQKNxLXgynz5QDuWW"]}}"#
    );
    let fields = "Host: app.test\r\nContent-Type: application/json";
    format!("POST / HTTP/1.1\r\n{fields}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn setup(origins: &[Origin]) -> Setup {
    let (first, others) = origins.split_first().unwrap();
    let setup = others.iter().fold(Setup::to(first), |setup, origin| setup.and_to(origin.address()));
    let setup = EAGER.iter().fold(setup, |setup, line| setup.cluster(line));
    setup.route("match: { path: /, jsonrpc: [\"*\"] }").route("idempotent: true")
}

fn received(origins: &[Origin], method: &str) -> usize {
    let named = format!("\"{method}\"");
    let of = |origin: &Origin| {
        origin.received().iter().filter(|one| String::from_utf8_lossy(&one.body).contains(&named)).count()
    };
    origins.iter().map(of).sum()
}

fn ask(gateway: &Gateway, method: &str) -> Response {
    gateway.client().ask(call(method))
}

#[test]
fn a_send_that_fails_is_not_sent_again() {
    for (answer, status) in [(&b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"[..], 503), (&b""[..], 502)] {
        let origins = [(); 3].map(|()| {
            Origin::http1(move |_, wire| match answer {
                [] => After::Close,
                answer => wire.send(answer),
            })
        });
        let gateway = setup(&origins).start();
        let sent = ask(&gateway, "sendTransaction");
        assert_eq!((sent.status, received(&origins, "sendTransaction")), (status, 1), "{}", sent.text());
        assert_eq!(gateway.record_of(&sent)["not_retried"], "unsafe");
        let read = ask(&gateway, "getBalance");
        assert_eq!((read.status, received(&origins, "getBalance")), (status, 3), "a read is tried everywhere");
    }
}

#[test]
fn a_batch_with_a_send_in_it_is_not_sent_again() {
    let origins = [(); 2].map(|()| Origin::answers(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"));
    let gateway = setup(&origins).start();
    let one = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":["x"]}}"#);
    let body = format!("[{},{}]", one("getBalance"), one("sendTransaction"));
    let fields = "Host: app.test\r\nContent-Type: application/json";
    let request = format!("POST / HTTP/1.1\r\n{fields}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    drop(gateway.client().ask(request));
    assert_eq!(received(&origins, "sendTransaction"), 1);
}

#[test]
fn a_send_that_takes_long_is_not_sent_beside() {
    let arrived = Arc::new(AtomicUsize::new(0));
    let (told, tells) = mpsc::channel::<usize>();
    let origins = [(); 2].map(|()| {
        let (arrived, told) = (arrived.clone(), std::sync::Mutex::new(told.clone()));
        Origin::http1(move |received, wire| {
            let body = String::from_utf8_lossy(&received.body).into_owned();
            if body.contains("getSlow") || body.contains("sendTransaction") {
                let nth = arrived.fetch_add(1, Ordering::SeqCst);
                told.lock().unwrap().send(nth).unwrap();
                // Ten times as long as a hedge waits, unless it is the second.
                std::thread::sleep(Duration::from_millis(if nth == 0 { 300 } else { 0 }));
            }
            wire.ok(r#"{"jsonrpc":"2.0","id":1,"result":"5j7s"}"#)
        })
    });
    let gateway = setup(&origins).start();
    let mut client = gateway.client();
    (0..USUAL).for_each(|_| assert_eq!(client.ask(call("getBalance")).status, 200));
    let sent = ask(&gateway, "sendTransaction");
    assert_eq!((sent.status, received(&origins, "sendTransaction")), (200, 1));
    assert!(gateway.record_of(&sent).get("hedged").is_none(), "{}", gateway.record_of(&sent));
    assert_eq!(tells.recv_timeout(PATIENCE), Ok(0));
    arrived.store(0, Ordering::SeqCst);
    let read = ask(&gateway, "getSlow");
    assert_eq!(read.status, 200);
    assert_eq!(gateway.record_of(&read)["hedged"], "won", "a read is: {}", gateway.record_of(&read));
}
