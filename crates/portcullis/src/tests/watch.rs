//! That no change falls between reading the config and watching its files.

use portcullis_admin::Change;
use portcullis_proxy::Inherited;
use portcullis_telemetry::{Metrics, MetricsOptions};
use portcullis_types::GenerationId;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::boot::{self, Brought, Sockets};
use crate::reload::Trigger;
use crate::world::World;
use crate::{first, watch};

const MAIN: &str = r#"
version: 1
include: "hosts/*.yaml"
listeners: { edge: { bind: "127.0.0.1:0" } }
admin: { bind: "127.0.0.1:0", token: "file:token" }
"#;

const HOST: &str = r#"
hosts:
  - names: [NAME]
    routes: [{ name: all, respond: { status: 204 } }]
"#;

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// Starts a gateway with `changed` done after the config was read and before anyone watches; the generation that serves
/// in the end.
async fn generation_after(changed: impl FnOnce(&Path)) -> GenerationId {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("hosts")).unwrap();
    write(dir.path(), "gate.yaml", MAIN);
    write(dir.path(), "token", "the first token");
    write(dir.path(), "hosts/a.yaml", &HOST.replace("NAME", "a.example.com"));
    let registry = prometheus::Registry::new();
    let metrics = Arc::new(Metrics::new(&registry, MetricsOptions::default()).unwrap());
    let app = App::new();
    let world = World::new(&dir.path().join("gate.yaml"), app.registry, app.seams, metrics);
    let first = first::load(&world, None, None).unwrap();
    changed(dir.path());
    let brought = Brought { version: "0", sinks: Vec::new(), registry };
    let none = Sockets::Passed(Inherited::default());
    let reloader = boot::start(world, first, (brought, &none)).unwrap().open();
    let mut reads = reloader.watched.subscribe();
    let watcher = tokio::spawn(watch::follow(reloader.clone()));
    // A reload says what it has read, and whoever asks after it waits for its end.
    tokio::time::timeout(Duration::from_secs(20), reads.changed()).await.expect("a reload").unwrap();
    drop(reloader.change(Trigger::Api, Change::DryRun { text: MAIN.to_owned() }, Trigger::Api.by()).await);
    watcher.abort();
    reloader.gateway.generations().current().id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_included_file_before_the_watch_is_not_missed() {
    let changed = |dir: &Path| write(dir, "hosts/a.yaml", &HOST.replace("NAME", "renamed.example.com"));
    assert_eq!(generation_after(changed).await, GenerationId(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_in_an_included_folder_before_the_watch_is_not_missed() {
    let changed = |dir: &Path| write(dir, "hosts/b.yaml", &HOST.replace("NAME", "b.example.com"));
    assert_eq!(generation_after(changed).await, GenerationId(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_secrets_file_before_the_watch_is_not_missed() {
    assert_eq!(generation_after(|dir| write(dir, "token", "the second one")).await, GenerationId(2));
}
