//! As `peers`, for who wants pirn's alone: `peers-pirn pingpong --procs 2 --mode shared`.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    pirn_benches::peers::run(&[], env::args().skip(1))
}
