//! No token and no key set makes the checks fail, and what nobody signed is never taken.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_identity::laws::jwt(data)));
