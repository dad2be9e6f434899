//! The records of descriptors that are not ours: one for each number, as nothing but the number is known of them.
//!
//! Others close a descriptor as they like, and its number comes back. There are two ways to have it watched.
//!
//! *It is armed* at each wait, for one event, and the epoll says at once what is ready then ([`Record::arm`]). A waiter is in
//! the list before it arms; so an event that comes after that finds it. An event takes all waiters of both directions, as
//! nothing is armed after it: each of them tries, and arms again. Two that arm at the same time do so under the lock of the
//! place, and name all that are in the lists.
//!
//! *It is kept* in the epoll, which says each edge ([`Record::keep`]). Then a wait is one of netpoll's own (the door has the
//! argument), with a look from before the kernel was asked to keep it: what was ready then is an event. The kernel knows an
//! entry of an epoll by number and description. So if it can change the entry, that is the one which was added; and if not,
//! another descriptor has the number: the record begins anew. What an entry of before that says has an old generation. It
//! goes on as long as a `dup` keeps its description, for nothing.
//!
//! A wait for one that is kept need not ask the kernel, if it is believed that it is there still (`belief.rs`).
//!
//! A number that a record of ours has is not watched: that would take the descriptor away from it. When a record of ours gets
//! a number, those that wait for it by the number look again ([`expose`]), as no event comes for them any more. Both are
//! done under the lock of the number (`lock_number`). If the record comes first, who watches sees it there, and does not. If it
//! comes second, who has had it watched is in the list by then, and looks again, or looks before it goes there. A record that
//! gives its number up takes the descriptor out of the epoll under that lock too, so it takes out no other's.

use super::belief::{Believed, Settings};
use super::numbers::{ByNumber, has_source};
use super::record::{Direction, Record};
use super::side::Look;
use super::slab::take;
use super::who::Who;
use std::io;
use std::os::fd::RawFd;
use std::sync::OnceLock;

static RECORDS: ByNumber<OnceLock<&'static Record>> = ByNumber::new();

static SETTINGS: Settings = Settings::new();

/// The record of that number, for one who waits for it though it is not ours.
///
/// # Errors
/// `Unsupported`: it is ours, or it is none.
pub(crate) fn foreign(fd: RawFd) -> io::Result<&'static Record> {
    let place = RECORDS.of(fd).filter(|_| !has_source(fd)).ok_or(io::ErrorKind::Unsupported)?;
    Ok(place.get_or_init(|| {
        let record = take();
        record.set_foreign();
        record
    }))
}

#[inline]
fn find(fd: RawFd) -> Option<&'static Record> {
    RECORDS.find(fd).and_then(OnceLock::get).copied()
}

/// What is known of one direction of a number at a look, before an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// None: nobody has waited for it yet.
    pub(crate) at: Option<(&'static Record, Look)>,
    pub(crate) believed: Believed,
    /// The count of settings.
    pub(crate) settings: u32,
}

/// Looks.
#[inline]
pub(crate) fn known(fd: RawFd, direction: Direction) -> Known {
    let settings = SETTINGS.count();
    match find(fd) {
        Some(record) => {
            // The look comes first: who takes a belief away before an event is seen to have done so.
            let look = record.side(direction).look();
            Known { at: Some((record, look)), believed: record.belief(direction).look(), settings }
        }
        None => Known { at: None, believed: Believed::NONE, settings },
    }
}

/// Somebody gives that number up, by a function of libc's. A signal handler may call it.
pub fn forget_number(fd: RawFd) {
    if let Some(record) = find(fd) {
        let _ = record.forget();
    }
}

/// The same for all from the first to the last.
pub fn forget_numbers(first: u32, last: u32) {
    RECORDS.for_each_in(first as usize, last as usize, |place| {
        if let Some(record) = place.get() {
            let _ = record.forget();
        }
    });
}

/// Somebody has set something about some descriptor, by a function of libc's. A signal handler may call it.
pub fn settings_changed() {
    SETTINGS.changed();
}

/// Has all woken that wait for that number though it is not theirs. `wake` is called without a lock.
pub(crate) fn expose(fd: RawFd, wake: impl Fn(Who)) {
    if let Some(record) = find(fd) {
        // Before they look again.
        let _ = record.forget();
        record.sides().for_each(|side| side.event().for_each(&wake));
    }
}
