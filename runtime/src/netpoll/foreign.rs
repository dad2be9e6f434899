//! The records of descriptors that are not ours: one for each number, as nothing but the number is known of them.
//!
//! Others close a descriptor as they like, and its number comes back. So nothing is believed of a number: the epoll is
//! armed at each wait, for one event, and says at once what is ready then ([`Record::arm`]). A waiter is in the list before
//! it arms; so an event that comes after that finds it. An event takes all waiters of both directions, as nothing is armed
//! after it: each of them tries, and arms again. Two that arm at the same time do so under the lock of the place, and name
//! all that are in the lists. What an event says may be about another descriptor that has the number by now; then an
//! attempt is in vain.
//!
//! A number that a record of ours has is not armed: that would take the descriptor away from it. When a record of ours gets
//! a number, those that wait for it by the number look again ([`expose`]), as no event comes for them any more. Both are
//! done under the lock of the number (`lock_number`). If the record comes first, who arms sees it there, and does not arm.
//! If it comes second, who has armed is in the list by then, and looks again. A record that gives its number up takes the
//! descriptor out of the epoll under that lock too, so it takes out no other's.

use super::numbers::{ByNumber, has_source};
use super::record::Record;
use super::slab::take;
use super::who::Who;
use std::io;
use std::os::fd::RawFd;
use std::sync::OnceLock;

static RECORDS: ByNumber<OnceLock<&'static Record>> = ByNumber::new();

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

/// Has all woken that wait for that number though it is not theirs. `wake` is called without a lock.
pub(crate) fn expose(fd: RawFd, wake: impl Fn(Who)) {
    if let Some(record) = RECORDS.find(fd).and_then(OnceLock::get) {
        record.sides().for_each(|side| side.event().for_each(&wake));
    }
}
