//! How the config that serves stands to its file and to the history, as a status shows it.

use serde_json::{Value, json};

use portcullis_telemetry::timestamp::timestamp;

use crate::reload::Reloader;

/// An object with `drift`, `last_good` and `history`, each null where there is nothing to say.
pub(crate) fn told(reloader: &Reloader) -> Value {
    let served = reloader.served();
    let file = reloader.world.path.display();
    let last_good = served.fallen.as_ref().map(|why| {
        json!({
            "generation": served.id.0,
            "since": timestamp(served.at),
            "says": format!("{file} had errors at the start, so the last good generation serves"),
            "errors": why,
        })
    });
    json!({
        "file": file.to_string(),
        "who": served.who,
        "drift": reloader.drift.told().map(|told| told.to_json()),
        "last_good": last_good,
        "history": history(reloader),
    })
}

fn history(reloader: &Reloader) -> Value {
    let Some(standing) = reloader.history.standing() else { return Value::Null };
    let trouble = standing.trouble.map(|(since, why)| json!({ "since": timestamp(since), "why": why }));
    json!({
        "path": standing.path.display().to_string(),
        "generations": standing.entries,
        "bytes": standing.bytes,
        "not_written": standing.waiting,
        "broken": standing.broken,
        "trouble": trouble,
    })
}
