//! A file of consumers becomes a directory or is refused; a reload gives what loading anew gives.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_identity::laws::consumers(data)));
