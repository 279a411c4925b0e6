//! The gateway with its built-in filters.

use std::process::ExitCode;

#[global_allocator]
static GLOBAL: portcullis_alloc::Allocator = portcullis_alloc::Allocator;

fn main() -> ExitCode {
    #[cfg(feature = "mutants")]
    if let Err(unknown) = portcullis_mutants::choose() {
        eprintln!("error: {unknown}");
        return ExitCode::from(2);
    }
    portcullis::App::new().main()
}
