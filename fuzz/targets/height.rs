//! The height in a part of an answer is that of the whole.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_wire::laws::height(data)));
