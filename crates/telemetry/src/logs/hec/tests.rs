//! The sink against a collector that checks what it is sent, fails in every way, and comes back. The clock is paused.

mod collector;
mod delivery;
mod spooling;
