//! gRPC streams through a host whose filters look into bodies and count bytes.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use portcullis_integration_tests::h2::H2Client;
use portcullis_integration_tests::origin::{HyperOrigin, full, live};
use portcullis_integration_tests::{Gateway, PATIENCE};
use std::path::Path;
use std::sync::Mutex;

fn wing(origin: &HyperOrigin, filters: &str) -> Gateway {
    let text = format!(
        "listeners: {{ edge: {{ bind: \"@edge\", protocols: [h2c] }} }}\n\
         clusters:\n\
         \x20 app: {{ endpoints: [\"{}\"], protocol: http2 }}\n\
         hosts:\n\
         \x20 - names: [\"*\"]\n\
         \x20   filters: [{{ listen: {{ most: 1000, forbidden: halt }} }}, {filters}]\n\
         \x20   routes: [{{ name: app, to: app }}]\n",
        origin.address()
    );
    Gateway::of_binary(Path::new(env!("CARGO_BIN_EXE_toy-wing")), &text)
}

fn call(kind: &str) -> Request<Full<Bytes>> {
    let request = Request::post("http://app.test/pkg.Service/Watch").header("te", "trailers");
    request.header("content-type", kind).body(Full::from(vec![b'x'; 100])).unwrap()
}

fn answer(
    content: portcullis_integration_tests::origin::Content,
) -> Response<portcullis_integration_tests::origin::Content> {
    Response::builder().header("content-type", "application/grpc").body(content).unwrap()
}

#[tokio::test]
async fn the_messages_of_a_stream_are_counted_while_it_runs() {
    let (sender, content) = live();
    let content = Mutex::new(Some(content));
    let origin = HyperOrigin::plain(move |_| answer(content.lock().unwrap().take().unwrap()));
    let gateway = wing(&origin, "{ meter: { most: 130 } }");
    let client = H2Client::plain(gateway.address("edge")).await;
    let mut body = client.begin(call("application/grpc")).await.unwrap().into_body();
    for _ in 0..3 {
        sender.send(Frame::data(Bytes::from_static(b"0123456789"))).unwrap();
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "0123456789");
    }
    sender.send(Frame::data(Bytes::from_static(b"0"))).unwrap();
    let cut = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap();
    assert!(cut.is_err(), "{cut:?}");
    let record = gateway.record_with("over_quota");
    assert_eq!((&record["notes"]["metered"], &record["bytes_in"]), (&"131".into(), &100.into()), "{record}");
}

#[tokio::test]
async fn a_call_is_not_looked_into_but_whatever_else_calls_itself_one_is() {
    let origin = HyperOrigin::plain(|seen| {
        let mut reply = answer(full(seen.field("x-calls").unwrap_or("none").to_owned()));
        reply
            .headers_mut()
            .extend(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]));
        reply
    });
    let gateway = wing(&origin, "{ meter: { most: 1000 } }");
    let client = H2Client::plain(gateway.address("edge")).await;
    assert_eq!(client.send(call("application/grpc")).await.body, "none");
    assert_eq!(client.send(call("application/json")).await.body, "0");
}
