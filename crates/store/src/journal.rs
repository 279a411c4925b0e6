//! What everybody used, for bills: files of lines, each a JSON object with an id.
//!
//! ```json
//! {"id":"1f8e0a2b44c1d-17","start":"2026-03-01T00:00:00Z","end":"2026-03-01T00:01:00Z","consumer":"acme","method":"getBlock","requests":3,"credits":30,"bytes":41210}
//! ```
//!
//! A line is the use of one method by one consumer within one window. The id is the gateway's number and the line's, and a
//! line that is written again has the same one: whoever adds up lines counts each id once. Lines come from the
//! store ([`crate::Keeper`]), which forgets one only when it is synced here, so a crash at any point leaves each at least
//! once. A last line that a crash cut off is taken away when the journal is opened, and written again.

mod line;
mod read;
mod seen;
mod write;

pub use line::Line;
pub(crate) use line::time;
pub(crate) use read::Sums;
pub use read::{Totals, UsageQuery, read_usage};
pub(crate) use write::Journal;
pub use write::Rotation;

#[cfg(test)]
mod tests;
