//! The sinks against listeners that check the format, fail, and come back.

mod emf;
mod grammar;
mod outages;
