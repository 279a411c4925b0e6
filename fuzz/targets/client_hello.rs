//! A ClientHello is judged the same however it comes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_wire::laws::client_hello(data)));
