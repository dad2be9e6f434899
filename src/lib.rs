#![doc = include_str!("../README.md")]

pub use pirn_channels as channel;
pub use pirn_channels::{select, select_biased};
pub use pirn_runtime::*;
