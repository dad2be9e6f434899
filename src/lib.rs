#![doc = include_str!("../README.md")]

pub use pirn_runtime::*;
