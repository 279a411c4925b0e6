//! Forwarding fields are bounded, stable, and cannot be broken out of.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_wire::laws::forwarding(data)));
