//! All examples in one program, which runs the one by whose name it is called. `build.rs` gathers them.

extern crate pirn_examples_shared as pirn;

use std::path::Path;
use std::process::{ExitCode, Termination};

/// Its name, and what it does.
type Example = (&'static str, fn() -> ExitCode);

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

fn main() -> ExitCode {
    let called = std::env::args().next().unwrap_or_default();
    let name = Path::new(&called).file_name().unwrap_or_default().to_string_lossy();
    match EXAMPLES.iter().find(|(example, _)| *example == name) {
        Some((_, program)) => program(),
        None => {
            eprintln!("call it by the name of an example, not {name:?}");
            ExitCode::from(2)
        }
    }
}

/// Some return nothing, others a result.
fn call<T: Termination>(main: fn() -> T) -> ExitCode {
    main().report()
}
