//! `endpoint`: adds, drains, weighs or removes an endpoint of a running gateway for a while, or ends that.

use hyper::Method;
use serde_json::{Map, Value, json};

use super::client;
use crate::app::App;
use crate::cli::EndpointArgs;
use crate::output;

/// Prints the overrides of the cluster as they are then.
pub(crate) fn endpoint(app: App, args: &EndpointArgs) -> Result<bool, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if args.cluster.is_empty() || !args.cluster.chars().all(plain) {
        return Err(format!("`{}` is not the name of a cluster", args.cluster));
    }
    let mut asked = Map::from_iter([
        ("action".to_owned(), json!(args.action.as_str())),
        ("endpoint".to_owned(), json!(args.endpoint)),
    ]);
    let more =
        [("for", args.lasts.as_ref().map(|lasts| json!(lasts))), ("reason", args.reason.as_ref().map(|it| json!(it)))];
    let more = more.into_iter().chain([
        ("weight", args.weight.map(|weight| json!(weight))),
        ("priority", args.priority.map(|priority| json!(priority))),
        ("zone", args.zone.as_ref().map(|zone| json!(zone))),
    ]);
    asked.extend(more.filter_map(|(key, value)| Some((key.to_owned(), value?))));
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?;
    let path = format!("/api/clusters/{}/endpoints", args.cluster);
    let told = client.call(Method::POST, &path, Value::Object(asked).to_string())?.good()?.json();
    let number = |key: &str| told.get(key).and_then(Value::as_u64).unwrap_or_default();
    output::print(&format!(
        "{}: {} of {} endpoints take requests\n",
        args.cluster,
        number("available"),
        number("endpoints")
    ));
    let overrides = told.get("overrides").and_then(Value::as_array).into_iter().flatten();
    for says in overrides.filter_map(|one| one.get("says")?.as_str()) {
        output::print(&format!("  {says}\n"));
    }
    Ok(true)
}
