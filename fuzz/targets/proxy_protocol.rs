//! A PROXY header is judged the same however it comes, and survives being written and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_wire::laws::proxy_protocol(data)));
