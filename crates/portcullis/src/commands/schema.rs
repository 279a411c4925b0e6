//! `schema`: the JSON Schema of the config, filters of this binary included.

use std::sync::Arc;

use crate::app::App;
use crate::output;

/// Prints it.
pub(crate) fn schema(app: App) -> Result<bool, String> {
    output::print(&format!("{:#}\n", portcullis_config::schema(Arc::new(app.registry))));
    Ok(true)
}
