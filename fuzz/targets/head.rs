//! A request head is judged the same however it is cut into pieces, and a good one is a whole one.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_wire::laws::head(data)));
