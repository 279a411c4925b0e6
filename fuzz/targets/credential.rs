//! Whatever a request carries: what is found is gone once the request is stripped, and stripping again does nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_identity::laws::credential(data)));
