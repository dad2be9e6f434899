//! What the printers share.

use super::line::{Detail, TraceLine};
use std::fmt::{self, Write};

/// A value, or the word for none.
pub(super) struct Or<T>(pub(super) Option<T>, pub(super) &'static str);

impl<T: fmt::Display> fmt::Display for Or<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str(self.1),
        }
    }
}

/// An empty string with room for so much: longer than most of what is printed, so that it seldom grows.
pub(super) fn room_for(line: &TraceLine, detail: Option<&Detail>) -> String {
    let lines = detail.map_or(0, |all| all.ps.len() + all.ms.len() + all.gs.len());
    String::with_capacity(256 + 16 * line.gomaxprocs + 192 * lines)
}

/// Appends to a string, which cannot fail.
pub(super) fn push(text: &mut String, arguments: fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes whatever is written to it");
}
