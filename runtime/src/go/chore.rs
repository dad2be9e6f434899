//! A G for a chore.

#![allow(unsafe_code, reason = "a closure that borrows nothing")]

use super::body::Unscoped;
use super::start::{StartOptions, WhenClosing, start};
use crate::chores::Due;
use crate::sched::Shared;
use std::panic::Location;

/// Starts a G of that runtime that does the chore. If none can be started, the chore is due again later.
pub(crate) fn start_chore(shared: &Shared, due: Due) {
    let options = StartOptions {
        name: Some("chore".to_owned()),
        when_closing: WhenClosing::Refuse,
        ..StartOptions::new(Some(shared), Location::caller())
    };
    // SAFETY: everything is 'static.
    drop(unsafe { start(options, move || due.run(), Unscoped) });
}
