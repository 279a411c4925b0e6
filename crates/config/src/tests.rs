//! Tests of the crate as a whole: the examples of `conf`, the errors of `conf/bad`, generations, properties.

mod bad;
mod examples;
mod generations;
mod handshakes;
mod hashes;
pub(crate) mod kit;
mod properties;
