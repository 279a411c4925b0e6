//! Under every policy a normalised path is normal again, and keeps the policy.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_wire::laws::path(data)));
