//! What schedtrace prints: numbers (`line`), which fields are made of them (`fields`), and how these become text.
//! Nothing here looks at the scheduler.

mod fields;
mod json;
mod line;
#[cfg(test)]
mod tests;
mod text;
mod write;

pub(crate) use json::json;
pub(crate) use line::{Detail, GLine, MLine, PLine, TraceLine};
pub(crate) use text::{compact, go, go_detail};
