//! Which requests are upgraded, and what the others get.

use portcullis_filter::chain::Link;
use portcullis_filter::testkit::{Exchange, Seen};
use portcullis_filter::{Chain, Registry, Services, StateStore};
use portcullis_yaml::{Cx, MemoryLoader, load};

use super::*;

/// The filter, built with these settings, or why it is not.
fn built(yaml: &str, services: &Services) -> Result<Chain, String> {
    let loader = MemoryLoader::new().file("test.yaml", yaml);
    let mut loaded = load("test.yaml".as_ref(), &loader);
    let root = loaded.root.clone().expect("YAML");
    let mut watch = Vec::new();
    let mut cx = Cx::new(&mut loaded.diagnostics, &loaded.sources, &loader, &mut watch);
    let registry = crate::register(Registry::default());
    let spec = registry.decode(RpcWebsocket::NAME, &root, &mut cx).expect("right settings");
    let state = StateStore::default();
    let cx = BuildCx { place: "test", state: &state, clusters: &["rpc"], services };
    let link: Link = spec.build(&cx)?;
    Ok(Chain::new(vec![link]).expect("one"))
}

async fn seen(exchange: Exchange) -> Seen {
    exchange.run(&built("{}", &Services::default()).expect("built")).await
}

fn asks() -> Exchange {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    Exchange::get("http://rpc.test/").field("sec-websocket-key", key).asks_upgrade()
}

#[tokio::test]
async fn a_right_handshake_is_upgraded_and_other_requests_go_on() {
    let upgraded = seen(asks().field("sec-websocket-version", "13")).await;
    assert_eq!(upgraded.status, 101);
    assert_eq!(upgraded.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(upgraded.upgrade.is_some() && upgraded.upstream.is_none());
    let post = seen(Exchange::post("http://rpc.test/", "{}")).await;
    assert!(post.upgrade.is_none() && post.upstream.is_some());
}

#[tokio::test]
async fn a_wrong_handshake_is_refused() {
    let version = seen(asks().field("sec-websocket-version", "8")).await;
    assert_eq!((version.status, &version.headers["sec-websocket-version"]), (426, &HeaderValue::from_static("13")));
    let key = seen(asks().field("sec-websocket-version", "13").field("sec-websocket-key", "again")).await;
    assert_eq!((key.status, key.reason), (400, Some(Reason::MalformedRequest)));
}

#[test]
fn it_goes_by_the_cluster_that_it_names_or_by_its_routes() {
    let needs = |yaml| RpcWebsocket::needs(&crate::ws::testing::settings(yaml));
    let named: Vec<String> = needs("to: rpc").clusters.into_iter().map(|cluster| cluster.value).collect();
    assert_eq!((named, needs("to: rpc").routes_cluster), (vec!["rpc".to_owned()], false));
    assert_eq!(needs("{}"), Needs { routes_cluster: true, upgrade: true, ..Needs::default() });
}

#[tokio::test]
async fn a_gateway_that_cannot_serve_says_so_in_the_record() {
    let upgrade = seen(asks().field("sec-websocket-version", "13")).await.upgrade.expect("an upgrade");
    let (_end, ended) = portcullis_filter::seam::EndStream::new();
    let (ours, _theirs) = tokio::io::duplex(64);
    let stream = crate::ws::testing::upgraded(ours, portcullis_filter::Notes::default(), ended);
    let end = upgrade.handler.serve(stream).await;
    assert_eq!(end.error.map(|error| error.reason), Some(Reason::FilterFailed));
}
