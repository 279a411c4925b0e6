//! Chunked framing is judged the same however it is cut into pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_wire::laws::framing(data)));
