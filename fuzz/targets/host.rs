//! A normalised host is normal again, and names what the authority named.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_wire::laws::host(data)));
