//! gRPC: unary and streaming calls with their trailers, and the gateway's own errors in gRPC's words.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use portcullis_integration_tests::h2::H2Client;
use portcullis_integration_tests::origin::{Content, HyperOrigin, frames, live, refused};
use portcullis_integration_tests::{Gateway, PATIENCE, Setup};
use std::sync::Mutex;

fn call(path: &str) -> Request<Full<Bytes>> {
    let request = Request::post(format!("http://app.test{path}")).header("te", "trailers");
    request.header("content-type", "application/grpc").body(Full::from(b"\0\0\0\0\x05hello".as_slice())).unwrap()
}

fn status(code: &'static str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(code))])
}

fn answer(content: Content) -> Response<Content> {
    Response::builder().header("content-type", "application/grpc").body(content).unwrap()
}

fn gateway(origin: &HyperOrigin) -> Gateway {
    Setup::to_address(origin.address()).cluster("protocol: http2").start()
}

#[tokio::test]
async fn passes_a_unary_call_with_its_trailers() {
    let origin = HyperOrigin::plain(|seen| answer(frames(vec![seen.body.clone()], status("0"))));
    let gateway = gateway(&origin);
    let client = H2Client::plain(gateway.address("edge")).await;
    let reply = client.send(call("/pkg.Service/Call")).await;
    assert_eq!((reply.status(), &reply.body[..]), (200, b"\0\0\0\0\x05hello".as_slice()));
    assert_eq!(reply.trailer("grpc-status"), Some("0"));
    let seen = origin.last();
    assert_eq!((seen.parts.uri.path(), seen.field("te")), ("/pkg.Service/Call", Some("trailers")));
}

#[tokio::test]
async fn passes_an_answer_of_trailers_alone() {
    let origin = HyperOrigin::plain(|_| {
        let mut reply = answer(portcullis_integration_tests::origin::full(""));
        reply.headers_mut().insert("grpc-status", HeaderValue::from_static("5"));
        reply
    });
    let gateway = gateway(&origin);
    let client = H2Client::plain(gateway.address("edge")).await;
    let reply = client.send(call("/pkg.Service/Call")).await;
    assert_eq!((reply.status(), reply.field("grpc-status"), reply.body.len()), (200, Some("5"), 0));
}

#[tokio::test]
async fn passes_a_stream_message_by_message() {
    let (sender, content) = live();
    let content = Mutex::new(Some(content));
    let origin = HyperOrigin::plain(move |_| answer(content.lock().unwrap().take().unwrap()));
    let gateway = gateway(&origin);
    let client = H2Client::plain(gateway.address("edge")).await;
    let mut body = client.begin(call("/pkg.Service/Watch")).await.unwrap().into_body();
    for message in ["one", "two", "three"] {
        sender.send(Frame::data(Bytes::from(message))).unwrap();
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), message);
    }
    sender.send(Frame::trailers(status("0"))).unwrap();
    drop(sender);
    let last = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(last["grpc-status"], "0");
}

#[tokio::test]
async fn answers_its_own_errors_with_a_grpc_status() {
    let gateway = Setup::to_address(refused()).cluster("protocol: http2").host("filters: []").start();
    let client = H2Client::plain(gateway.address("edge")).await;
    let reply = client.send(call("/pkg.Service/Call")).await;
    assert_eq!((reply.status(), reply.field("grpc-status")), (200, Some("14")), "{:?}", reply.parts);
    assert_eq!(reply.field("content-type"), Some("application/grpc"));
    assert!(reply.field("grpc-message").is_some_and(|message| !message.is_empty()));
    assert!(reply.body.is_empty());
    let record = gateway.record_with("upstream_connect_refused");
    assert_eq!((&record["status"], &record["path"]), (&200.into(), &"/pkg.Service/Call".into()));
}

#[tokio::test]
async fn answers_a_call_to_no_route_with_a_grpc_status() {
    let text = "listeners: { edge: { bind: \"@edge\" } }\nhosts:\n  - names: [\"app.test\"]\n    routes:\n      \
                - { name: one, match: { exact: /one }, respond: { status: 200 } }\n";
    let gateway = Gateway::with_yaml(text);
    let client = H2Client::plain(gateway.address("edge")).await;
    let reply = client.send(call("/pkg.Service/Call")).await;
    assert_eq!((reply.status(), reply.field("grpc-status")), (200, Some("5")));
    assert_eq!(gateway.record_with("no_route")["host"], "app.test");
}
