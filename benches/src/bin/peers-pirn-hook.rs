//! As `peers-pirn`, with the hook: Gs wait in std's sockets, locks, channels and sleeps. `peers-pirn-hook mutex8 --procs 2`.

use pirn_hook as _;
use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let peer = ["--peer", "pirn-hook"].map(str::to_owned);
    pirn_benches::peers::run(&[], peer.into_iter().chain(env::args().skip(1)))
}
