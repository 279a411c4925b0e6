//! What was counted, kept in a file: written whole each time, under another name first, so that a crash leaves the last one.
//!
//! The file is JSON: `{"version": 1, "slos": [{"name", "definition", "hours": [[begin in Unix seconds, good, bad], …]}]}`. A budget is
//! taken up again by an objective of the same name and definition. A file that cannot be read is put aside and said.

use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use portcullis_slo::Kept;
use portcullis_snapshot::settings::{Good, Slo};

use super::Track;

/// What was kept, by name and definition.
type All = HashMap<(String, String), Vec<Kept>>;

/// The version of the file.
const VERSION: u64 = 1;
/// A file that is larger is none of ours.
const MOST_BYTES: u64 = 256 << 20;

/// The file's side of the objectives.
#[derive(Default)]
pub(super) struct Keeping {
    loaded: AtomicBool,
    kept: Mutex<All>,
    trouble: Mutex<Option<String>>,
    /// Files that could not be read, and writes that failed.
    failures: [AtomicU64; 2],
}

/// What an objective is, whatever its name.
fn definition(slo: &Slo) -> String {
    let Slo { host, route, objective, .. } = slo;
    let route = route.as_deref().unwrap_or("*");
    let good = match &slo.good {
        Good::Available(faults) => faults.iter().map(|fault| fault.as_str()).collect::<Vec<_>>().join("+"),
        Good::Within(latency) => format!("{}us", latency.as_micros()),
    };
    format!("{host} {route} {good} {} {}s", objective.target(), objective.window().as_secs())
}

impl Keeping {
    /// Reads the file, the first time that one is named.
    pub(super) fn load_once(&self, file: &Path) {
        if self.loaded.swap(true, Relaxed) {
            return;
        }
        match read(file) {
            Ok(Some(kept)) => *self.kept.lock() = kept,
            Ok(None) => {}
            Err(why) => {
                let aside = beside(file, "bad");
                let put = match fs::rename(file, &aside) {
                    Ok(()) => format!("it is put aside as {}", aside.display()),
                    Err(error) => format!("it cannot be put aside: {error}"),
                };
                log::error!("error budgets begin anew: {} cannot be read: {why}; {put}", file.display());
                self.count(0);
            }
        }
    }

    /// What was kept of an objective, given once.
    pub(super) fn kept(&self, slo: &Slo) -> Vec<Kept> {
        self.kept.lock().remove(&(slo.name.to_string(), definition(slo))).unwrap_or_default()
    }

    pub(super) fn save(&self, file: &Path, tracks: &[Arc<Track>]) {
        let one = |track: &Arc<Track>| {
            let taken = track.budget.lock();
            let hours: Vec<Value> = taken.budget.keep().map(|Kept { at, good, bad }| json!([at, good, bad])).collect();
            json!({ "name": &*track.slo.name, "definition": definition(&track.slo), "hours": hours })
        };
        let text = json!({ "version": VERSION, "slos": tracks.iter().map(one).collect::<Vec<_>>() }).to_string();
        let wrote = write(file, &text);
        let mut trouble = self.trouble.lock();
        match (wrote, &*trouble) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                log::info!("{} is written again", file.display());
                *trouble = None;
            }
            (Err(error), before) => {
                let why = format!("{} cannot be written: {error}", file.display());
                if before.as_ref() != Some(&why) {
                    log::error!("error budgets do not outlive the process: {why}");
                }
                *trouble = Some(why);
                self.count(1);
            }
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Files that could not be read, and writes that failed.
    pub(super) fn failures(&self) -> [u64; 2] {
        self.failures.each_ref().map(|count| count.load(Relaxed))
    }

    fn count(&self, place: usize) {
        if let Some(count) = self.failures.get(place) {
            count.fetch_add(1, Relaxed);
        }
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn read(file: &Path) -> Result<Option<All>, String> {
    let length = match fs::metadata(file) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if length > MOST_BYTES {
        return Err(format!("it has {length} bytes"));
    }
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let all: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if all.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(format!("it is not of version {VERSION}"));
    }
    let slos = all.get("slos").and_then(Value::as_array).ok_or("it has no `slos`")?;
    let kept: Option<All> = slos.iter().map(of_slo).collect();
    kept.map(Some).ok_or_else(|| "an entry of `slos` is not as it should be".to_owned())
}

fn of_slo(slo: &Value) -> Option<((String, String), Vec<Kept>)> {
    let text = |key: &str| Some(slo.get(key)?.as_str()?.to_owned());
    let hour = |hour: &Value| match hour.as_array()?.as_slice() {
        [at, good, bad] => Some(Kept { at: at.as_u64()?, good: good.as_u64()?, bad: bad.as_u64()? }),
        _ => None,
    };
    let hours = slo.get("hours")?.as_array()?.iter().map(hour).collect::<Option<Vec<Kept>>>()?;
    Some(((text("name")?, text("definition")?), hours))
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let next = beside(file, "next");
    let mut opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    let written = opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all());
    if let Err(error) = written {
        // The disk may be full: what was written of it only takes room.
        drop(fs::remove_file(&next));
        return Err(error);
    }
    fs::rename(&next, file)?;
    File::open(folder)?.sync_all()
}
