// On GitHub the README's links are relative. Of two definitions of a link the first counts.
//! [SCHEDTRACE.md]: https://github.com/pirn-rs/pirn/blob/main/SCHEDTRACE.md
//! [BENCHMARKS.md]: https://github.com/pirn-rs/pirn/blob/main/BENCHMARKS.md
//! [benches/PEERS.md]: https://github.com/pirn-rs/pirn/blob/main/benches/PEERS.md
//! [PATTERNS.md]: https://github.com/pirn-rs/pirn/blob/main/PATTERNS.md
//! [ARCHITECTURE.md]: https://github.com/pirn-rs/pirn/blob/main/ARCHITECTURE.md
//! [HACKING.md]: https://github.com/pirn-rs/pirn/blob/main/HACKING.md
//! [CHANGELOG.md]: https://github.com/pirn-rs/pirn/blob/main/CHANGELOG.md
//! [locals/mod.rs]: https://github.com/pirn-rs/pirn/blob/main/runtime/src/locals/mod.rs
//! [LICENSE-MIT]: https://github.com/pirn-rs/pirn/blob/main/LICENSE-MIT
//! [LICENSE-APACHE]: https://github.com/pirn-rs/pirn/blob/main/LICENSE-APACHE
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![allow(clippy::needless_doctest_main, reason = "the README is read elsewhere too, where an example is a program")]

pub use pirn_channels as channel;
pub use pirn_channels::{select, select_biased};
#[cfg(feature = "hook")]
pub use pirn_hook as hook;
pub use pirn_net as net;
pub use pirn_net::{io, os, process, signal};
pub use pirn_patterns as patterns;
pub use pirn_runtime::*;
pub use pirn_sync as sync;
pub use pirn_sync::{context, group};

#[cfg(doctest)]
#[doc = include_str!("../PATTERNS.md")]
struct Patterns;
