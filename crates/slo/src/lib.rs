//! Objectives of service levels: what share of requests may go badly in a window of days, how much of that is left, and how fast
//! it is being used up.
//!
//! A [`Budget`] counts good and bad requests by the minute for three days and by the hour for the objective's window. Its
//! [`Budget::burn`] is the share of bad requests in a window over the share that is allowed: at 1 the budget lasts just as long as the
//! objective's window. An [`Alert`] fires when the burn exceeds its factor in a long window and in a short one, so that it
//! neither fires for a blip nor goes on after the trouble ends (The Site Reliability Workbook, chapter 5, "Multiwindow,
//! Multi-Burn-Rate Alerts").
//!
//! Invariants: pure, time comes as Unix seconds; memory is fixed when a budget is made; a clock that jumps back changes nothing that
//! was counted, one that jumps ahead costs at most one pass over the counters.

mod alert;
mod budget;
mod ring;

pub use alert::{Alert, Firing, Severity};
pub use budget::{Budget, Kept, Objective, ObjectiveError};
