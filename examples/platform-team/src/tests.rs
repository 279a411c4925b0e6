//! The team's filter in the test kit: no sockets.

use super::*;
use portcullis_filter::testkit::Exchange;
use portcullis_filter::{Chain, chain::Link};
use portcullis_yaml::{MemoryLoader, load};
use std::path::Path;

fn chain() -> Chain {
    let loader = MemoryLoader::new().file("t.yaml", "header: x-tenant\ntenants: { acme: eu }\n");
    let mut loaded = load(Path::new("t.yaml"), &loader);
    let config = loaded.decode::<TenantConfig>(&loader, None).unwrap();
    Chain::new(vec![Link::new(Tenant::NAME, Tenant(config))]).unwrap()
}

#[tokio::test]
async fn admits_a_known_tenant_and_names_it_in_the_record() {
    let seen = Exchange::get("http://example.com/").field("x-tenant", "acme").run(&chain()).await;
    assert_eq!((seen.status, seen.notes.consumer.as_deref()), (200, Some("acme")));
}

#[tokio::test]
async fn refuses_an_unknown_tenant_in_the_teams_words() {
    let seen = Exchange::get("http://example.com/").field("x-tenant", "nobody").run(&chain()).await;
    assert_eq!((seen.status, seen.reason), (401, Some(Reason::KeyUnknown)));
    assert!(seen.body.starts_with(b"Sorry: "));
}
