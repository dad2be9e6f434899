//! Letting others run.

use crate::coro::Suspend;
use crate::park::{current_g, yield_on_g};

/// Lets other Gs run: the caller goes to the end of its P's queue.
///
/// On an OS thread it is [`std::thread::yield_now`]. A G that computes for long need not call it.
///
/// ```
/// pirn::yield_now();
/// ```
#[inline(always)]
pub fn yield_now() {
    match current_g() {
        Some(g) => yield_on_g(g, Suspend::Yield),
        None => std::thread::yield_now(),
    }
}
