//! `key`: makes, hashes and revokes keys of consumers. A key in clear is on standard output once, and nowhere else.

mod edit;
mod revoke;

use serde_json::{Map, Value, json};
use std::io::Read as _;
use std::path::Path;

use portcullis_identity::consumer::limits;
use portcullis_identity::credential::Places;
use portcullis_identity::key::{self, KeyShape};
use portcullis_identity::{ApiKey, Expiry, HashSecret, Timestamp};
use portcullis_types::quantity::parse_duration;

use super::{candidate, world};
use crate::app::App;
use crate::cli::Format;
use crate::cli::identity::{KeyCommand, KeyNewArgs, SecretArgs};
use crate::consumers::now;
use crate::output;

/// Does what was asked.
pub(crate) fn key(app: App, command: &KeyCommand) -> Result<bool, String> {
    match command {
        KeyCommand::New(args) => new(app, args),
        KeyCommand::Hash(args) => hash(app, args),
        KeyCommand::Revoke(args) => revoke::revoke(args),
        KeyCommand::Secret => {
            let hex: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
            output::print(&format!("{hex}\n"));
            Ok(true)
        }
    }
}

fn new(app: App, args: &KeyNewArgs) -> Result<bool, String> {
    let not_after = args.expires.as_deref().map(end).transpose()?;
    let plain = |label: &String| label.len() <= limits::LABEL && !label.contains(char::is_control);
    if args.label.as_ref().is_some_and(|label| !plain(label)) {
        return Err(format!("--label: at most {} bytes, without control characters", limits::LABEL));
    }
    let secret = secret(app, &args.secret)?;
    let key = ApiKey::from_entropy(rand::random());
    let mut entry = Map::from_iter([("hash".to_owned(), json!(secret.hash(key.as_str().as_bytes()).to_string()))]);
    entry.extend(not_after.map(|end| ("not_after".to_owned(), json!(end.to_string()))));
    entry.extend(args.label.as_ref().map(|label| ("label".to_owned(), json!(label))));
    if args.secret.format == Format::Json {
        let told = json!({ "key": key.as_str(), "consumer": args.consumer, "entry": entry });
        output::print(&format!("{told}\n"));
        return Ok(true);
    }
    output::print(&format!("{}\n", key.as_str()));
    let whose = args.consumer.as_ref().map_or_else(|| "its consumer".to_owned(), |id| format!("the consumer `{id}`"));
    output::say(&format!(
        "This is the key. It is shown this once: nobody can make it out of its hash.\nUnder `keys` of {whose}:"
    ));
    output::print(&format!("{}\n", flow(&entry)));
    Ok(true)
}

/// An entry as both formats of the file take it.
fn flow(entry: &Map<String, Value>) -> String {
    let pairs: Vec<String> = entry.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// The time so long from now, at which a key can end.
fn end(text: &str) -> Result<Timestamp, String> {
    let lasts = parse_duration(text).map_err(|error| format!("--expires: {error}"))?;
    if lasts.as_secs() == 0 {
        return Err("--expires: a key is good for at least a second".to_owned());
    }
    let end = Timestamp::from_seconds(now().plus(lasts).seconds());
    Expiry::at(end).map_err(|error| format!("--expires: {error}")).map(|_| end)
}

fn hash(app: App, args: &SecretArgs) -> Result<bool, String> {
    let secret = secret(app, args)?;
    let mut text = String::new();
    let read = std::io::stdin().lock().take(4096).read_to_string(&mut text);
    read.map_err(|error| format!("standard input: {error}"))?;
    let text = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    check(text)?;
    let hash = secret.hash(text.as_bytes()).to_string();
    match args.format {
        Format::Text => output::print(&format!("{hash}\n")),
        Format::Json => output::print(&format!("{}\n", json!({ "hash": hash }))),
    }
    Ok(true)
}

/// Whether a text can be presented as a key at all, and was not cut off.
fn check(text: &str) -> Result<(), String> {
    let (fewest, most) = Places::default().key_bytes;
    if !(fewest..=most).contains(&text.len()) {
        let length = text.len();
        return Err(format!("a key has {fewest} to {most} bytes, and standard input has {length}"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~+/=".contains(&b);
    if !text.bytes().all(plain) {
        return Err("a key has letters, digits and `-_.~+/=` only".to_owned());
    }
    if key::shape(text.as_bytes()) == KeyShape::Mistyped {
        return Err("this begins as a key of ours, and its checksum is wrong: is it whole?".to_owned());
    }
    Ok(())
}

fn secret(app: App, args: &SecretArgs) -> Result<HashSecret, String> {
    match (&args.secret, &args.config) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            text.parse().map_err(|error| format!("{}: {error}", path.display()))
        }
        (None, Some(config)) => of_config(app, config),
        (None, None) => Err("which secret? Say --config FILE or --secret FILE".to_owned()),
    }
}

fn of_config(app: App, path: &Path) -> Result<HashSecret, String> {
    let candidate = candidate(&world(app, path)?)?;
    let consumers = candidate.checked().settings().consumers.as_ref();
    let consumers = consumers.ok_or_else(|| format!("{} has no `consumers`; or say --secret FILE", path.display()))?;
    Ok(consumers.secret.clone())
}
