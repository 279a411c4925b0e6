//! A file of endpoints: a list in YAML or JSON, in the words of a cluster's `endpoints`, addresses only.
//!
//! A change counts once the file has been still for a moment; one that cannot be read leaves the endpoints as they are.
//! An empty file is no list: it is what a file looks like while it is written.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use portcullis_filter::seam::FoundEndpoint;
use portcullis_snapshot::Feed;
use portcullis_types::EndpointName;
use serde::Deserialize;

use crate::folders::Folders;

/// The largest file.
const BYTES: u64 = 32 * 1024 * 1024;
/// The most endpoints in one.
const MOST: usize = 100_000;
/// How long a file must be still before it is read.
const STILL: Duration = Duration::from_millis(100);
/// How often a file is looked at although nothing told of a change: not every file system tells.
const LOOK: Duration = Duration::from_secs(10);

/// An entry that says more than its address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Map {
    address: String,
    name: Option<String>,
    zone: Option<String>,
    weight: Option<u32>,
    priority: Option<u8>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Reads a list.
fn parse(text: &str) -> Result<Vec<FoundEndpoint>, String> {
    if text.trim().is_empty() {
        return Err("the file is empty; `[]` is how to say that there is no endpoint".to_owned());
    }
    let values: Vec<serde_yaml::Value> =
        serde_yaml::from_str(text).map_err(|error| format!("it is no list: {error}"))?;
    if values.len() > MOST {
        return Err(format!("it has {} endpoints; {MOST} are the most", values.len()));
    }
    let mut found = Vec::with_capacity(values.len());
    let mut seen = HashSet::with_capacity(values.len());
    for (at, value) in (1..).zip(values) {
        let one = entry(value).map_err(|why| format!("endpoint {at}: {why}"))?;
        if !seen.insert((one.address, one.name.clone())) {
            return Err(format!("endpoint {at}: {} stands twice", one.address));
        }
        found.push(one);
    }
    Ok(found)
}

fn entry(value: serde_yaml::Value) -> Result<FoundEndpoint, String> {
    if let Some(address) = value.as_str() {
        return parse_address(address).map(FoundEndpoint::new);
    }
    if !value.is_mapping() {
        return Err("expected an address, or a map with `address`".to_owned());
    }
    let map: Map = serde_yaml::from_value(value).map_err(|error| error.to_string())?;
    Ok(FoundEndpoint {
        address: parse_address(&map.address)?,
        name: map.name.map(|name| EndpointName::from(name.as_str())),
        weight: map.weight,
        priority: map.priority,
        zone: map.zone.map(Arc::from),
        labels: map.labels,
    })
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    address.ok_or_else(|| format!("`{text}` is not an IP address with a port, such as 10.0.0.11:8899"))
}

/// Reads a file, off the workers' threads.
pub(crate) async fn read(path: Arc<Path>) -> Result<Vec<FoundEndpoint>, String> {
    let reading = tokio::task::spawn_blocking(move || {
        let shown = path.display();
        let mut text = String::new();
        let file = fs::File::open(&path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let length = file.take(BYTES + 1).read_to_string(&mut text);
        let length = length.map_err(|error| format!("{shown} cannot be read: {error}"))?;
        if length as u64 > BYTES {
            return Err(format!("{shown} is larger than {} MiB", BYTES / 1024 / 1024));
        }
        parse(&text).map_err(|why| format!("{shown}: {why}"))
    });
    reading.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// What a file is, as far as it tells a change; `None` when it is not there.
type Seen = Option<(u64, u64, u64, (i64, i64))>;

fn see(path: &Path) -> Seen {
    let facts = fs::metadata(path).ok()?;
    Some((facts.dev(), facts.ino(), facts.len(), (facts.ctime(), facts.ctime_nsec())))
}

/// Reads a file whenever it changed, for as long as somebody names it.
pub(crate) async fn follow(folders: Arc<Folders>, path: Arc<Path>, feed: Weak<Feed>) {
    let mut events = folders.events();
    loop {
        // Before it is read: what changes from here on differs.
        let seen = see(&path);
        let found = read(path.clone()).await;
        let Some(feed) = feed.upgrade() else { return };
        match found {
            Ok(found) => feed.publish(found, Instant::now()),
            Err(why) => feed.fail(why, Instant::now()),
        }
        drop(feed);
        let mut now = see(&path);
        while now == seen {
            // An event, or a look now and then; a watch that ends is no reason to stop looking.
            if let Ok(Err(_)) = tokio::time::timeout(LOOK, events.changed()).await {
                tokio::time::sleep(LOOK).await;
            }
            folders.again();
            now = see(&path);
        }
        loop {
            tokio::time::sleep(STILL).await;
            let later = see(&path);
            if std::mem::replace(&mut now, later) == now {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[&str], &str>) {
        let read = parse(text).map(|found| found.iter().map(|one| one.address.to_string()).collect::<Vec<_>>());
        match (read, expected) {
            (Ok(read), Ok(expected)) => assert_eq!(read, expected, "{text}"),
            (Err(read), Err(expected)) => assert!(read.contains(expected), "{text}: {read}"),
            (read, expected) => panic!("{text}: {read:?}, {expected:?}"),
        }
    }

    #[test]
    fn a_list_in_yaml_or_json_is_read_and_nothing_else() {
        check("[]", Ok(&[]));
        check("- 10.0.0.1:80\n- { address: '10.0.0.2:80', weight: 2 }\n", Ok(&["10.0.0.1:80", "10.0.0.2:80"]));
        check(r#"["10.0.0.1:80", {"address": "[::1]:80", "zone": "a"}]"#, Ok(&["10.0.0.1:80", "[::1]:80"]));
        check("", Err("empty"));
        check(r#"["10.0.0.1:80", {"address": "10.0"#, Err("no list"));
        check("endpoints: []", Err("no list"));
        check("[api.internal:80]", Err("endpoint 1: `api.internal:80` is not an IP address"));
        check("[10.0.0.1:0]", Err("not an IP address"));
        check("['10.0.0.1:80', '10.0.0.1:80']", Err("endpoint 2: 10.0.0.1:80 stands twice"));
        check("[{ address: '10.0.0.1:80', wieght: 2 }]", Err("wieght"));
        check("[[1]]", Err("expected an address"));
    }

    #[test]
    fn every_word_of_an_entry_is_taken() {
        let text = "[{ address: '10.0.0.1:80', name: a, zone: z, weight: 0, priority: 2, labels: { version: v1 } }]";
        let expected = FoundEndpoint {
            name: Some("a".into()),
            weight: Some(0),
            priority: Some(2),
            zone: Some("z".into()),
            labels: BTreeMap::from([("version".into(), "v1".into())]),
            ..FoundEndpoint::new("10.0.0.1:80".parse().unwrap())
        };
        assert_eq!(parse(text).unwrap(), [expected]);
    }
}
