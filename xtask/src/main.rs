//! Checks that keep the style.
fn main() {}
