//! `key revoke`: ends keys in a file of consumers, and leaves everything else of it as it is.
//!
//! The file is copied entry by entry into a new one beside it, which then takes its place in one step. Only entries that
//! hold what is sought are read at all, so that a million lines are copied in a second.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use portcullis_identity::{Format, KeyHash, Timestamp};

use super::edit::{Edited, Target, edit};
use crate::cli::identity::KeyRevokeArgs;
use crate::consumers::now;
use crate::output::{self, count};

/// Bytes that a file is copied by.
const BUFFER: usize = 256 * 1024;

/// What was done.
#[derive(Default)]
struct Done {
    /// The consumer was met.
    found: Option<String>,
    /// Keys that ended now.
    ended: usize,
    /// Keys that had ended before.
    over: usize,
}

/// Ends the keys, and says which.
pub(crate) fn revoke(args: &KeyRevokeArgs) -> Result<bool, String> {
    let target = if args.what.starts_with("b3:") {
        Target::Hash(args.what.parse::<KeyHash>().map_err(|error| error.to_string())?)
    } else {
        Target::Consumer(args.what.clone())
    };
    let format = format(&args.file)?;
    // A symbolic link stays one: what it leads to is replaced.
    let path = fs::canonicalize(&args.file).map_err(|error| format!("{}: {error}", args.file.display()))?;
    let now = Timestamp::from_seconds(now().seconds());
    let done = replace(&path, format, &target, now)?;
    let shown = args.file.display();
    let Some(id) = done.found else {
        return Err(match target {
            Target::Consumer(id) => format!("{shown} has no consumer `{id}`"),
            Target::Hash(_) => format!("{shown} has no key of this hash"),
        });
    };
    if done.ended == 0 {
        let over = count(done.over, "key");
        output::print(&format!("{shown}: nothing to do: the consumer `{id}` has {over}, and none is good any more\n"));
    } else {
        let ended = count(done.ended, "key");
        output::print(&format!("{shown}: {ended} of the consumer `{id}` ended at {now}\n"));
    }
    Ok(true)
}

fn format(path: &Path) -> Result<Format, String> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => Ok(Format::Yaml),
        "ndjson" | "jsonl" => Ok(Format::Ndjson),
        _ => Err(format!("{}: its name ends neither with .yaml, .yml, .ndjson nor .jsonl", path.display())),
    }
}

/// The new file, removed again unless it took the old one's place.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn replace(path: &Path, format: Format, target: &Target, now: Timestamp) -> Result<Done, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let old = File::open(path).map_err(failed)?;
    let before = old.metadata().map_err(failed)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = Beside(path.with_file_name(format!(".{name}.{}.new", std::process::id())));
    let new = File::options().write(true).create_new(true).open(&beside.0);
    let new = new.map_err(|error| format!("{}: {error}", beside.0.display()))?;
    // Before a byte of it is written: who may not read the old one may not read this one either.
    new.set_permissions(before.permissions()).map_err(failed)?;
    let mut writer = BufWriter::with_capacity(BUFFER, new);
    let done = copy(BufReader::with_capacity(BUFFER, old), &mut writer, (format, target, now))?;
    if done.ended == 0 {
        return Ok(done);
    }
    let new = writer.into_inner().map_err(|error| failed(error.into_error()))?;
    new.sync_all().map_err(failed)?;
    let after = fs::metadata(path).map_err(failed)?;
    let same = |one: &fs::Metadata| (one.dev(), one.ino(), one.len(), one.mtime(), one.mtime_nsec());
    if same(&before) != same(&after) {
        return Err(format!("{}: it was changed meanwhile, and nothing was done; try again", path.display()));
    }
    fs::rename(&beside.0, path).map_err(failed)?;
    if let Some(folder) = path.parent() {
        // Best effort: some file systems cannot do it.
        drop(File::open(folder).and_then(|folder| folder.sync_all()));
    }
    Ok(done)
}

fn copy(
    mut reader: impl std::io::BufRead,
    writer: &mut impl std::io::Write,
    (format, target, now): (Format, &Target, Timestamp),
) -> Result<Done, String> {
    let failed = |error: std::io::Error| error.to_string();
    let (mut done, mut entry, mut line) = (Done::default(), Vec::new(), Vec::new());
    let (mut number, mut begun) = (0, 1);
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(failed)?;
        let begins = match format {
            Format::Ndjson => true,
            Format::Yaml => line.starts_with(b"- ") || line.trim_ascii_end() == b"-",
        };
        if begins || read == 0 {
            write(&mut done, std::mem::take(&mut entry), writer, (format, target, now))
                .map_err(|why| format!("line {begun}: {why}"))?;
            begun = number + 1;
        }
        if read == 0 {
            writer.flush().map_err(failed)?;
            return Ok(done);
        }
        number += 1;
        entry.extend_from_slice(&line);
    }
}

fn write(
    done: &mut Done,
    entry: Vec<u8>,
    writer: &mut impl std::io::Write,
    (format, target, now): (Format, &Target, Timestamp),
) -> Result<(), String> {
    let Edited { text, id, ended, over } = edit(format, entry, target, now)?;
    done.found = done.found.take().or(id);
    done.ended += ended;
    done.over += over;
    writer.write_all(&text).map_err(|error| error.to_string())
}
