//! No text makes the config's checks or the rendering of their findings fail.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| portcullis_config::fuzz_check(text));
