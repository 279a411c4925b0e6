//! `explain`: where a request would go, and why.

use hyper::Method;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_filter::seam::FoundEndpoint;
use portcullis_snapshot::explain::{Explanation, Moment, Question};
use portcullis_snapshot::{Snapshot, SourceKey};
use portcullis_types::{ClientCertificate, GenerationId, RequestId};
use portcullis_yaml::render_text;

use super::{candidate, client, world};
use crate::app::App;
use crate::cli::{ExplainArgs, Format};
use crate::output;
use crate::world::World;

/// How long filters, a host source or a cache may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Prints the explanation.
pub(crate) fn explain(app: App, args: &ExplainArgs) -> Result<bool, String> {
    let question = question(args)?;
    if args.live || args.config.is_none() {
        return live(app, args, &question);
    }
    let path = args.config.as_deref().unwrap_or(Path::new(""));
    let told = as_configured(&world(app, path)?, &question)?;
    output::print(&match args.format {
        Format::Text => told.to_string(),
        Format::Json => format!("{:#}\n", told.to_json()),
    });
    Ok(true)
}

/// Explains by the config alone.
pub(crate) fn as_configured(world: &World, question: &Question) -> Result<Explanation, String> {
    let loaded = world.check();
    let sources = loaded.sources;
    let Some(candidate) = loaded.candidate else {
        return candidate_error(world);
    };
    let snapshot = world.activate(candidate, None, (GenerationId(1), "explain"));
    let snapshot = snapshot.map_err(|diagnostics| render_text(&diagnostics, &sources))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let moment = Moment { now: Instant::now(), live: false, bound: &[] };
    let explaining = async {
        look_up(world, &snapshot).await;
        tokio::time::timeout(TIMEOUT, portcullis_snapshot::explain::explain(&snapshot, question, moment)).await
    };
    runtime
        .block_on(explaining)
        .map_err(|_| "a filter, the host source or the cache did not answer within 10 s".to_owned())
}

/// Asks names, files and other sources once. A name that gives no address here stands for one that will.
async fn look_up(world: &World, snapshot: &Snapshot) {
    world.discovery.follow(&snapshot.settings.dns);
    world.discovery.settle().await;
    let now = Instant::now();
    for feed in world.fleets.feeds() {
        let status = feed.status(now);
        if status.answered.is_some() {
            continue;
        }
        let key = feed.key();
        match key {
            SourceKey::Name { port, .. } => {
                output::say(&format!("note: {key} does not resolve here ({status}); shown as 0.0.0.0"));
                let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port));
                feed.publish(vec![FoundEndpoint::new(nowhere)], now);
            }
            SourceKey::Service { .. } | SourceKey::File { .. } | SourceKey::Other { .. } => {
                output::say(&format!("note: {key}: {status}"));
            }
        }
    }
}

fn candidate_error(world: &World) -> Result<Explanation, String> {
    match candidate(world) {
        Ok(_) => Err("the config changed while it was read; ask again".to_owned()),
        Err(error) => Err(error),
    }
}

/// Asks the running gateway.
fn live(app: App, args: &ExplainArgs, question: &Question) -> Result<bool, String> {
    let client = client(app, args.config.as_deref(), &args.reach)?;
    let path = match args.format {
        Format::Text => "/api/explain?format=text",
        Format::Json => "/api/explain",
    };
    let answer = client.call(Method::POST, path, question.to_json().to_string())?.good()?;
    output::print(&answer.body);
    Ok(true)
}

/// The question of a command line.
fn question(args: &ExplainArgs) -> Result<Question, String> {
    let mut question = Question::new(&args.request.join(" ")).map_err(|error| error.to_string())?;
    for field in &args.headers {
        question.field(field).map_err(|error| format!("-H: {error}"))?;
    }
    if let Some(data) = &args.data {
        question.body = match data.strip_prefix('@') {
            Some(path) => std::fs::read(path).map_err(|error| format!("-d: {path} cannot be read: {error}"))?.into(),
            None => data.clone().into(),
        };
    }
    if let Some(id) = &args.id {
        question.id = RequestId::from_hex(id).ok_or("--id: expected 32 hex digits")?;
    }
    question.client = args.client;
    question.all = args.all;
    question.listener.clone_from(&args.listener);
    question.sni = args.sni.as_ref().map(|name| name.to_ascii_lowercase());
    question.certificate = certificate(args);
    Ok(question)
}

fn certificate(args: &ExplainArgs) -> Option<ClientCertificate> {
    let given = args.cert_subject.is_some() || args.cert_fingerprint.is_some() || !args.cert_name.is_empty();
    given.then(|| ClientCertificate {
        subject: args.cert_subject.clone().unwrap_or_default(),
        names: args.cert_name.clone(),
        fingerprint: args.cert_fingerprint.clone().unwrap_or_default().to_ascii_lowercase(),
    })
}
