//! `ready`: whether a running gateway wants requests, as an exit code.

use hyper::Method;

use super::client;
use crate::app::App;
use crate::cli::ReadyArgs;
use crate::output;

/// Asks `/readyz`; what it says in place of `ready` is the failure.
pub(crate) fn ready(app: App, args: &ReadyArgs) -> Result<bool, String> {
    let client = client(app, args.admin.config.as_deref(), &args.admin.reach)?.within(args.within);
    let answer = client.call(Method::GET, "/readyz", "")?.good()?;
    output::print(&answer.body);
    Ok(true)
}
