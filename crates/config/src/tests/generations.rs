//! Generations share what did not change.
