//! That what only shows when filters are made is found before it matters: by `check`, and by a dry run.

use portcullis_admin::Change;
use portcullis_filter::{BuildCx, ConfiguredFilter, Filter, Phases};
use portcullis_proxy::Inherited;
use portcullis_telemetry::metrics::ReloadOutcome;
use portcullis_telemetry::{Metrics, MetricsOptions};
use std::path::Path;
use std::sync::Arc;

use crate::app::App;
use crate::boot::{self, Brought, Sockets};
use crate::cli::{CheckArgs, Format};
use crate::commands::check::check;
use crate::first;
use crate::reload::Trigger;
use crate::world::World;

/// A filter whose settings can be read, and which is made of `true` alone.
struct Picky;

impl Filter for Picky {
    type Ctx = ();

    fn phases(&self) -> Phases {
        Phases::NONE
    }
}

impl ConfiguredFilter for Picky {
    const NAME: &'static str = "picky";
    type Config = bool;

    fn build(good: bool, _: &BuildCx<'_>) -> Result<Self, String> {
        if good { Ok(Self) } else { Err("it does not like that".to_owned()) }
    }
}

fn app() -> App {
    App::new().registry(|registry| registry.with::<Picky>())
}

fn config(good: bool) -> String {
    format!(
        "version: 1\nlisteners: {{ edge: {{ bind: \"127.0.0.1:0\" }} }}\nhosts:\n  - names: [\"*\"]\n    routes:\n      \
         - {{ name: all, respond: {{ status: 204 }}, filters: [{{ picky: {good} }}] }}\n"
    )
}

fn write(dir: &Path, good: bool) -> std::path::PathBuf {
    let path = dir.join("gate.yaml");
    std::fs::write(&path, config(good)).unwrap();
    path
}

#[test]
fn a_check_finds_a_filter_that_cannot_be_made() {
    let dir = tempfile::tempdir().unwrap();
    for good in [true, false] {
        let args = CheckArgs { file: Some(write(dir.path(), good)), config: None, format: Format::Text };
        assert_eq!(check(app(), &args), Ok(good));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_finds_a_filter_that_cannot_be_made_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let registry = prometheus::Registry::new();
    let metrics = Arc::new(Metrics::new(&registry, MetricsOptions::default()).unwrap());
    let world = World::new(&write(dir.path(), true), app().registry, app().seams, metrics);
    let first = first::load(&world, None, None).unwrap();
    let brought = Brought { version: "0", sinks: Vec::new(), registry };
    let none = Sockets::Passed(Inherited::default());
    let reloader = boot::start(world, first, (brought, &none)).unwrap().open();
    let changed =
        reloader.change(Trigger::Api, Change::DryRun { text: config(false) }, Trigger::Api.by()).await.unwrap();
    assert_eq!((changed.outcome, changed.generation.0), (ReloadOutcome::Failed, 1));
    assert!(changed.message.contains("gate.yaml:6:") && changed.message.contains("it does not like that"));
    let changed = reloader
        .change(Trigger::Api, Change::DryRun { text: config(true) + "# a word\n" }, Trigger::Api.by())
        .await
        .unwrap();
    assert_eq!((changed.outcome, changed.generation.0), (ReloadOutcome::Applied, 1));
}
