//! The gateway with its built-in filters.

use std::process::ExitCode;

#[global_allocator]
static GLOBAL: portcullis_alloc::Allocator = portcullis_alloc::Allocator;

fn main() -> ExitCode {
    portcullis::App::new().main()
}
