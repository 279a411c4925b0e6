//! HTTP/2 frames are counted the same however they are cut into pieces, in both directions.
#![no_main]

use std::time::Instant;

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(portcullis_wire::laws::h2(Instant::now(), data)));
