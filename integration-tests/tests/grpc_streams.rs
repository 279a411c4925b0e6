//! gRPC streams of callers with a key: held to the caps on streams and on bytes from their first message to their last.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use portcullis_integration_tests::cli::run;
use portcullis_integration_tests::h2::H2Client;
use portcullis_integration_tests::origin::{Content, HyperOrigin, live};
use portcullis_integration_tests::{Gateway, PATIENCE, until};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedSender;

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The senders of the streams that the origin has begun.
type Streams = Arc<Mutex<Vec<UnboundedSender<Frame<Bytes>>>>>;

/// A gateway before an origin that begins a stream for every call.
struct Scene {
    gateway: Gateway,
    origin: HyperOrigin,
    streams: Streams,
    key: String,
    _dir: TempDir,
}

impl Scene {
    /// With a plan that says this.
    fn new(plan: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("keys.secret"), SECRET).unwrap();
        let made = run(dir.path(), &["key", "new", "--secret", "keys.secret", "--format", "json"]);
        assert_eq!(made.code, 0, "{made:?}");
        let told: Value = serde_json::from_str(&made.stdout).unwrap();
        let consumer = json!({ "id": "acme", "plan": "streams", "keys": [{ "hash": told["entry"]["hash"] }] });
        let file = dir.path().join("consumers.ndjson");
        std::fs::write(&file, format!("{consumer}\n")).unwrap();
        let streams = Streams::default();
        let begun = streams.clone();
        let origin = HyperOrigin::plain(move |_| {
            let (sender, content) = live();
            begun.lock().unwrap().push(sender);
            answer(content)
        });
        let gateway = Gateway::with_yaml(&format!(
            "listeners: {{ edge: {{ bind: \"@edge\", protocols: [h2c] }} }}\n\
             consumers: {{ file: \"{}\", secret: \"{SECRET}\" }}\n\
             plans: {{ streams: {{ {plan} }} }}\n\
             clusters: {{ app: {{ endpoints: [\"{}\"], protocol: http2 }} }}\n\
             hosts:\n  - names: [\"*\"]\n    filters: [api_key, caps]\n    routes: [{{ name: all, to: app }}]\n",
            file.display(),
            origin.address()
        ));
        let key = told["key"].as_str().unwrap().to_owned();
        Self { gateway, origin, streams, key, _dir: dir }
    }

    async fn client(&self) -> H2Client {
        H2Client::plain(self.gateway.address("edge")).await
    }

    fn subscribe(&self) -> Request<Full<Bytes>> {
        let mut request = call();
        request.headers_mut().insert("x-api-key", HeaderValue::from_str(&self.key).unwrap());
        request
    }

    fn stream(&self, nth: usize) -> UnboundedSender<Frame<Bytes>> {
        until("the stream to begin", || self.streams.lock().unwrap().get(nth).cloned())
    }
}

fn call() -> Request<Full<Bytes>> {
    let request = Request::post("http://app.test/geyser.Geyser/Subscribe").header("te", "trailers");
    request.header("content-type", "application/grpc").body(Full::from(message(b"slots"))).unwrap()
}

fn answer(content: Content) -> Response<Content> {
    Response::builder().header("content-type", "application/grpc").body(content).unwrap()
}

/// A message with its prefix.
fn message(content: &[u8]) -> Bytes {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[0], &length[..], content].concat().into()
}

async fn next(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    tokio::time::timeout(PATIENCE, body.frame()).await.expect("a frame in time")
}

fn end() -> Frame<Bytes> {
    Frame::trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]))
}

#[tokio::test]
async fn a_stream_without_a_key_does_not_begin() {
    let scene = Scene::new("connections: 5");
    let reply = scene.client().await.send(call()).await;
    assert_eq!((reply.status(), reply.field("grpc-status")), (200, Some("16")), "{:?}", reply.parts);
    assert!(scene.origin.seen().is_empty());
}

#[tokio::test]
async fn a_stream_with_a_key_passes_message_by_message_and_the_key_does_not() {
    let scene = Scene::new("connections: 5");
    let client = scene.client().await;
    let mut body = client.begin(scene.subscribe()).await.unwrap().into_body();
    let sender = scene.stream(0);
    for nth in 0_u8..50 {
        let sent = message(&[nth; 300]);
        sender.send(Frame::data(sent.clone())).unwrap();
        assert_eq!(next(&mut body).await.unwrap().unwrap().into_data().unwrap(), sent);
    }
    sender.send(end()).unwrap();
    let trailers = next(&mut body).await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    let seen = scene.origin.last();
    assert_eq!((seen.field("x-api-key"), seen.field("te")), (None, Some("trailers")));
}

#[tokio::test]
async fn a_stream_too_many_is_refused_until_another_ends() {
    let scene = Scene::new("connections: 2");
    let client = scene.client().await;
    let mut bodies = Vec::new();
    for nth in 0..2 {
        bodies.push(client.begin(scene.subscribe()).await.unwrap().into_body());
        scene.stream(nth).send(Frame::data(message(b"on"))).unwrap();
    }
    // On another connection too: it is the caller that is counted.
    for client in [&client, &scene.client().await] {
        let refused = client.send(scene.subscribe()).await;
        assert_eq!((refused.status(), refused.field("grpc-status")), (200, Some("8")), "{:?}", refused.parts);
    }
    assert_eq!(scene.origin.seen().len(), 2, "nothing of it reached the origin");
    scene.stream(0).send(end()).unwrap();
    while next(&mut bodies[0]).await.is_some() {}
    // The place is given back a moment after the last frame.
    let asked = Instant::now();
    let again = loop {
        let reply = client.begin(scene.subscribe()).await.unwrap();
        if reply.headers().get("grpc-status").is_none() || asked.elapsed() > PATIENCE {
            break reply;
        }
    };
    assert_eq!((again.status().as_u16(), again.headers().get("grpc-status")), (200, None));
}

#[tokio::test]
async fn a_stream_ends_when_its_bytes_are_spent() {
    let scene = Scene::new("connections: 5, bytes: { rate: 1KiB/h, burst: 64KiB }");
    let client = scene.client().await;
    let mut body = client.begin(scene.subscribe()).await.unwrap().into_body();
    let sender = scene.stream(0);
    let mut passed = 0;
    let ended = loop {
        // The origin's side ends with the stream.
        if sender.send(Frame::data(message(&[7; 4_000]))).is_err() {
            break next(&mut body).await;
        }
        match next(&mut body).await {
            Some(Ok(frame)) => passed += frame.into_data().map_or(0, |data| data.len()),
            ended => break ended,
        }
        assert!(passed < 200_000, "{passed} bytes of 64 KiB");
    };
    assert!(!matches!(ended, Some(Ok(_))), "{ended:?}");
    assert!((48_000..=72_000).contains(&passed), "{passed}");
    let record = scene.gateway.record("the stream that ended", |record| record["reason"] == "over_rate");
    assert_eq!(record["consumer"], "acme", "{record}");
    let refused = client.send(scene.subscribe()).await;
    assert_eq!(refused.field("grpc-status"), Some("8"), "and none begins: {:?}", refused.parts);
}
