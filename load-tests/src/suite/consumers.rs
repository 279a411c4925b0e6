//! Consumers with their plans and keys, in the files that a gateway reads.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Failure;
use crate::gatekeeper::keys;

/// The line of the config that names the files.
pub(super) const CONFIG: &str = "consumers: { file: consumers.ndjson, secret: \"file:secret\" }\n";

/// Writes them into the folder of a gateway: of each the id, the plan and the key.
pub(super) fn write<'a>(
    folder: &Path,
    consumers: impl IntoIterator<Item = (String, &'a str, &'a str)>,
) -> Result<(), Failure> {
    let mut lines = String::new();
    for (id, plan, key) in consumers {
        let hash = keys::hash(key);
        writeln!(lines, "{{\"id\":\"{id}\",\"plan\":\"{plan}\",\"keys\":[{{\"hash\":\"{hash}\"}}]}}")?;
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join("consumers.ndjson"), lines)?;
    Ok(fs::write(folder.join("secret"), keys::secret())?)
}
