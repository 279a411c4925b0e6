//! `bans`: lists, makes and lifts bans of networks in a running gateway.

use hyper::Method;
use serde_json::{Value, json};

use super::client;
use crate::app::App;
use crate::cli::identity::{BansArgs, BansCommand};
use crate::output;

/// Prints the bans as they are then.
pub(crate) fn bans(app: App, args: &BansArgs) -> Result<bool, String> {
    let (admin, method, path, body) = match &args.command {
        BansCommand::List(admin) => (admin, Method::GET, "/api/bans".to_owned(), String::new()),
        BansCommand::Add(add) => {
            let asked = json!({ "network": add.network.to_string(), "for": add.lasts, "reason": add.reason });
            (&add.admin, Method::POST, "/api/bans".to_owned(), asked.to_string())
        }
        BansCommand::Lift(lift) => (&lift.admin, Method::DELETE, format!("/api/bans/{}", lift.network), String::new()),
    };
    let client = client(app, admin.config.as_deref(), &admin.reach)?;
    let told = client.call(method, &path, body)?.good()?.json();
    let bans = told.get("bans").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if bans.is_empty() {
        output::print("no network is throttled or banned\n");
    }
    for says in bans.iter().filter_map(|one| one.get("says")?.as_str()) {
        output::print(&format!("{says}\n"));
    }
    if let Some(more) = told.get("not_shown").and_then(Value::as_u64).filter(|more| *more > 0) {
        output::print(&format!("and {more} more\n"));
    }
    Ok(true)
}
