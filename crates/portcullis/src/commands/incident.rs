//! `incident`: a folder with what a post-mortem needs, gathered while it is fresh.
//!
//! Invariants: nothing secret and nothing that names a client leaves the gateway in it (queries, user agents and the last
//! parts of addresses are taken out, values of secret keys in the config masked); what the gateway cannot give is said in the
//! folder and does not keep the rest from being gathered; the folder and its files are for their owner alone.

mod masked;
mod report;

use hyper::Method;
use serde_json::Value;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{client, status};
use crate::app::App;
use crate::cli::looking::IncidentArgs;
use crate::client::Client;
use crate::output;

/// What is asked for: the file, the path, and what is done with the answer.
const PARTS: [(&str, &str, Make); 9] = [
    ("status.json", "/api/status", Make::Whole),
    ("requests.json", "/api/requests?limit=1000", Make::Requests),
    ("failed-requests.json", "/api/requests?limit=1000&failed=true", Make::Requests),
    ("clusters.json", "/api/clusters", Make::Whole),
    ("slos.json", "/api/slos", Make::Whole),
    ("timeline.json", "/api/timeline", Make::Whole),
    ("metrics.txt", "/metrics", Make::Whole),
    ("config.yaml", "/api/config?text=1", Make::Config),
    ("history.json", "/api/history", Make::Whole),
];

/// What is done with an answer.
#[derive(Clone, Copy)]
enum Make {
    Whole,
    Requests,
    Config,
}

/// Gathers it, and prints where it is.
pub(crate) fn incident(app: App, args: &IncidentArgs) -> Result<bool, String> {
    let version = format!("{} {}", app.name, app.version);
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?;
    let at = jiff::Timestamp::now();
    let folder = args.out.clone().unwrap_or_else(|| PathBuf::from(at.strftime("incident-%Y%m%dT%H%M%SZ").to_string()));
    let made = DirBuilder::new().mode(0o700).create(&folder);
    made.map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    let (mut told, mut missing) = (Value::Null, Vec::new());
    for (file, path, make) in PARTS {
        match ask(&client, path) {
            Ok(body) => {
                if file == "status.json" {
                    told = serde_json::from_str(&body).unwrap_or_default();
                }
                put(&folder, file, &made_of(&body, make))?;
            }
            Err(why) => missing.push(format!("{file}: {why}")),
        }
    }
    put(&folder, "status.txt", &status::render(&told))?;
    put(&folder, "versions.txt", &versions(&version, &told))?;
    put(&folder, "missing.txt", &missing.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    let report = report::Report { at: &at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(), note: &args.note, status: &told };
    put(&folder, "post-mortem.md", &report.text())?;
    output::print(&format!("{}\n", folder.display()));
    missing.iter().for_each(|line| output::say(&format!("not gathered: {line}")));
    if told.is_null() { Err("the gateway did not give its status".to_owned()) } else { Ok(true) }
}

fn ask(client: &Client, path: &str) -> Result<String, String> {
    Ok(client.call(Method::GET, path, "")?.good()?.body)
}

fn made_of(body: &str, make: Make) -> String {
    match make {
        Make::Whole => body.to_owned(),
        Make::Config => masked::config(body),
        Make::Requests => {
            let mut records: Value = serde_json::from_str(body).unwrap_or_default();
            records.as_array_mut().into_iter().flatten().for_each(masked::record);
            format!("{records:#}\n")
        }
    }
}

fn versions(command: &str, status: &Value) -> String {
    let text = |key: &str| status.get(key).map(ToString::to_string).unwrap_or_default();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    format!(
        "command: {command}\ngateway: {}\nconfig: generation {}, hash {}\nup: {} s\nsystem: {} {}\ngathered: {now}\n",
        text("version"),
        text("generation"),
        text("hash"),
        text("uptime_seconds"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}

fn put(folder: &Path, name: &str, text: &str) -> Result<(), String> {
    let path = folder.join(name);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
