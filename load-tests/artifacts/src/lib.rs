//! What a load test leaves behind: `result.json`, `junit.xml`, `BASELINE.md`, a self-contained `report.html`, flame graphs.
//!
//! All of it is made from one [`Report`], which is what `result.json` holds; so every other file can be made again from that
//! one, on another day.
//!
//! Invariants: pure, texts in and texts out; whatever a name, a command or an error says, it stays text in every format; a page makes
//! no request.

pub mod baseline;
pub mod charts;
pub mod compare;
pub mod escape;
pub mod flame;
pub mod html;
pub mod junit;
pub mod report;
pub mod rulers;
pub mod svg;

#[cfg(test)]
mod fixture;

pub use report::{
    Environment, Look, Measured, Metric, Outcome, Part, Report, Scalability, SceneResult, Series, Subject, WindowPair,
};
pub use rulers::{Ratio, Ruler};
