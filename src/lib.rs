#![doc = include_str!("../README.md")]
#![expect(clippy::needless_doctest_main, reason = "the README is read elsewhere too, where an example is a program")]

pub use pirn_channels as channel;
pub use pirn_channels::{select, select_biased};
pub use pirn_runtime::*;
