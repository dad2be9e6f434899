//! Runs one workload of one peer, and prints its figures: `peers --peer tokio pingpong --procs 2`.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    pirn_benches::peers::run(&[], env::args().skip(1))
}
