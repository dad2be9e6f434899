//! `syscall`, for futexes: what std's locks, and those of other libraries, wait with.
//!
//! A G waits in the table (`futex_table.rs`), and a thread in the kernel. A wake looks at the table, and what it has not found
//! there it asks the kernel for. If both may wait for one word, it is for both (`futex_places.rs`).
//!
//! *A wake while no G seems to wait* goes to the kernel first, and looks at the count of the table after that. So the kernel's
//! fence is in the place of the table's own: before it looks whether anybody waits it has a full one, as its argument is the
//! same (`futex_hb_waiters_pending` in its `futex.h`, since 3.14). What was seen before that decides only which way is taken. If
//! the kernel refuses the call, nothing was asked of it that could be woken.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a function in the place of libc's")]

use crate::calls::FUTEX;
use crate::clocks::{Moment, duration};
use crate::errno::fail;
use crate::futex_places::{Place, spread};
use crate::futex_table::Waited;
use crate::late_wakes::LateWakes;
use crate::next;
use libc::{c_int, c_long, timespec};
use pirn_runtime::internal::{Hooked, Runs, Told, has_come, is_fork, leave_to_sysmon, now, wake_from_anywhere};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

const BUCKETS: usize = 2048;

static TABLE: [Place; BUCKETS] = [const { Place::new() }; BUCKETS];

/// Wakes of all who wait at an address, after Gs were woken there.
static LATE: LateWakes = LateWakes::new();

/// For sysmon: makes them.
pub(crate) fn wake_late() {
    LATE.take(|address| _ = Futex::wake_of_all(address).ask_kernel(usize::MAX, u32::MAX));
}

fn place(address: usize) -> &'static Place {
    &TABLE[spread(address) % BUCKETS]
}

/// In the place of libc's. It takes as many arguments as that takes; what a caller has not given is not used.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    if number == libc::SYS_futex
        && let Some(call) = Futex::of(a, b, c)
    {
        if call.is_for_threads() {
            // SAFETY: as the caller.
            let woken = unsafe { next::syscall(number, a, b, c, d, e, f) };
            return if call.is_for_threads() { woken } else { late_wake(a, b, c, f, woken) };
        }
        if call.may_be_here() {
            // SAFETY: it is a call of that kind.
            return unsafe { futex(a, b, c, d, e, f) };
        }
    }
    // SAFETY: as the caller.
    unsafe { next::syscall(number, a, b, c, d, e, f) }
}

/// A G has begun to wait while the kernel was asked, which has woken so many threads. It may not have seen the word that it
/// is woken for.
#[cold]
#[inline(never)]
extern "C" fn late_wake(a: c_long, b: c_long, c: c_long, bits: c_long, woken: c_long) -> c_long {
    match Futex::of(a, b, c) {
        Some(call) if woken >= 0 && !is_fork() => call.wake_gs_too(bits as u32, woken),
        _ => woken,
    }
}

/// Out of line, so that a wake of threads, and a call for something else, save no registers. As a function of C's it does not
/// unwind, so a call of it is a jump.
///
/// # Safety
/// As for `futex`.
#[inline(never)]
unsafe extern "C" fn futex(a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long {
    if let Some(call) = Futex::of(a, b, c) {
        // SAFETY: as the caller promises.
        let done = unsafe { call.try_here([d, e, f]) };
        if let Some(done) = done {
            return done;
        }
    }
    // SAFETY: as above.
    unsafe { next::syscall(libc::SYS_futex, a, b, c, d, e, f) }
}

/// What wakes the Gs that a call finds which wakes up to `most`.
fn wakes_up_to(most: usize) -> impl Fn(Told) {
    let when = if most == 1 { Runs::Next } else { Runs::Last };
    move |told| wake_from_anywhere(told, when)
}

/// Until when a G waits.
enum Until {
    Ever,
    Deadline(Instant),
    /// Of a clock, which may be set meanwhile.
    Moment(Moment),
}

impl Until {
    fn has_come(&self) -> bool {
        match self {
            Until::Ever => false,
            Until::Deadline(deadline) => has_come(*deadline),
            Until::Moment(moment) => moment.has_come(),
        }
    }

    fn next_look(&self) -> Option<Instant> {
        match self {
            Until::Ever => None,
            Until::Deadline(deadline) => Some(*deadline),
            Until::Moment(moment) => moment.next_look(),
        }
    }
}

/// A call for a futex of this process.
struct Futex {
    address: usize,
    operation: c_int,
    value: u32,
}

impl Futex {
    /// None: others may wait for it whom nobody here knows.
    #[inline(always)]
    fn of(address: c_long, operation: c_long, value: c_long) -> Option<Futex> {
        let operation = operation as c_int;
        let is_private = operation & libc::FUTEX_PRIVATE_FLAG != 0;
        is_private.then_some(Futex { address: address as usize, operation, value: value as u32 })
    }

    /// Whether it is a wake, and no G seems to wait there.
    #[inline(always)]
    fn is_for_threads(&self) -> bool {
        let is_wake = matches!(self.operation & libc::FUTEX_CMD_MASK, libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET);
        is_wake && place(self.address).bucket.seems_empty()
    }

    /// Whether it may be about Gs. A wake is not if none waits there.
    #[inline(always)]
    fn may_be_here(&self) -> bool {
        match self.operation & libc::FUTEX_CMD_MASK {
            libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET => !place(self.address).bucket.is_empty(),
            libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET => true,
            libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE | libc::FUTEX_WAKE_OP => true,
            _ => false,
        }
    }

    /// The call, if it is about Gs. None: it is for the kernel.
    ///
    /// # Safety
    /// As for `futex`; these are its last arguments.
    unsafe fn try_here(&self, last: [c_long; 3]) -> Option<c_long> {
        let [time, other, bits] = last;
        match self.operation & libc::FUTEX_CMD_MASK {
            // SAFETY: as the caller promises.
            libc::FUTEX_WAIT => Some(unsafe { self.wait(u32::MAX, last) }),
            // SAFETY: as above.
            libc::FUTEX_WAIT_BITSET => Some(unsafe { self.wait(bits as u32, last) }),
            libc::FUTEX_WAKE => self.wake(u32::MAX),
            libc::FUTEX_WAKE_BITSET => self.wake(bits as u32),
            // SAFETY: as above.
            libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE => Some(unsafe { self.move_threads(time, other, bits) }),
            // SAFETY: as above.
            libc::FUTEX_WAKE_OP => Some(unsafe { self.move_threads(time, other, bits) }),
            _ => None,
        }
    }

    /// # Safety
    /// As for `futex`; these are its last arguments.
    unsafe fn wait(&self, bits: u32, last: [c_long; 3]) -> c_long {
        // SAFETY: as the caller promises.
        let done = unsafe { self.wait_on_g(last[0], bits) };
        done.unwrap_or_else(|| {
            // SAFETY: as above.
            place(self.address).wait_in_kernel(self.address, || unsafe { self.ask(c_long::from(self.value), last) })
        })
    }

    /// None: the caller is no G that may park, or what it asks for is not valid.
    ///
    /// # Safety
    /// As for `futex`.
    unsafe fn wait_on_g(&self, time: c_long, bits: u32) -> Option<c_long> {
        let g = Hooked::current().filter(|g| self.address.is_multiple_of(4) && bits != 0 && g.may_park())?;
        // SAFETY: it is valid, or null.
        let until = self.until(unsafe { ptr::with_exposed_provenance::<timespec>(time as usize).as_ref() })?;
        let word = ptr::with_exposed_provenance_mut(self.address);
        // SAFETY: a word to be waited for is there as long as that lasts.
        let word = unsafe { AtomicU32::from_ptr(word) };
        // Relaxed: the table orders it.
        let still = || word.load(Ordering::Relaxed) == self.value;
        let mut was_woken = false;
        let waited = place(self.address).bucket.wait(self.address, bits, still, |ticket| {
            while !ticket.is_told() {
                if until.has_come() {
                    return false;
                }
                g.park(&FUTEX, self.address, until.next_look());
                was_woken |= !ticket.is_told();
            }
            true
        });
        if was_woken {
            // By whom is not known. It may have been for a wait in whose midst this one is: the lock is an allocator's.
            g.leave_token();
        }
        Some(match waited {
            Waited::Woken => 0,
            Waited::Changed => fail(libc::EAGAIN),
            Waited::Ended => fail(libc::ETIMEDOUT),
        })
    }

    /// Until when a wait lasts. None: that is not valid, as the kernel will say.
    fn until(&self, time: Option<&timespec>) -> Option<Until> {
        let is_absolute = self.operation & libc::FUTEX_CMD_MASK == libc::FUTEX_WAIT_BITSET;
        let is_real = self.operation & libc::FUTEX_CLOCK_REALTIME != 0;
        if is_real && !is_absolute {
            return None;
        }
        let Some(time) = time else { return Some(Until::Ever) };
        let time = duration(Some(time))?;
        let clock = if is_real { libc::CLOCK_REALTIME } else { libc::CLOCK_MONOTONIC };
        Some(match is_absolute {
            true => Until::Moment(Moment::new(clock, time)),
            false => now().checked_add(time).map_or(Until::Ever, Until::Deadline),
        })
    }

    /// Somebody waits there, or at another address that has the same place.
    fn wake(&self, bits: u32) -> Option<c_long> {
        let place = place(self.address);
        if is_fork() || bits == 0 {
            return None;
        }
        // As the kernel: none is one.
        let most = self.value.max(1) as usize;
        let ask_kernel = |most| self.ask_kernel(most, bits);
        let leave_rest = || most >= c_int::MAX as usize && self.leave_rest();
        Some(place.wake(self.address, bits, most, ask_kernel, wakes_up_to(most), leave_rest))
    }

    /// All who wait there are to be woken, and Gs were: leaves it to sysmon to wake a thread that is not counted. False if
    /// that is not possible.
    fn leave_rest(&self) -> bool {
        if LATE.is_left(self.address) {
            return true;
        }
        let mut driven_out = None;
        let is_left = leave_to_sysmon(|| driven_out = LATE.leave(self.address));
        if let Some(address) = driven_out {
            Futex::wake_of_all(address).ask_kernel(usize::MAX, u32::MAX);
        }
        is_left
    }

    fn wake_of_all(address: usize) -> Futex {
        let operation = libc::FUTEX_WAKE_BITSET | libc::FUTEX_PRIVATE_FLAG;
        Futex { address, operation, value: c_int::MAX as u32 }
    }

    /// Threads have been woken.
    fn wake_gs_too(&self, bits: u32, threads: c_long) -> c_long {
        let most = self.value.max(1) as usize;
        let is_for_some = self.operation & libc::FUTEX_CMD_MASK == libc::FUTEX_WAKE_BITSET;
        let bits = if is_for_some { bits } else { u32::MAX };
        let gs = place(self.address).bucket.wake(self.address, bits, most, wakes_up_to(most)) as c_long;
        (threads + gs).min(most as c_long)
    }

    /// For `FUTEX_WAKE_OP`, and what moves some that wait to another word. Threads are the kernel's. All Gs that wait are
    /// woken instead, as a wait may always end for no reason: nobody has used these operations for years.
    ///
    /// # Safety
    /// As for `futex`; these are its last arguments.
    #[cold]
    unsafe fn move_threads(&self, most: c_long, other: c_long, last: c_long) -> c_long {
        // SAFETY: as the caller promises.
        let done = unsafe { self.ask(c_long::from(self.value), [most, other, last]) };
        if done < 0 || is_fork() {
            return done;
        }
        let wake = |address| {
            let bucket = &place(address).bucket;
            if bucket.is_empty() { 0 } else { bucket.wake(address, u32::MAX, usize::MAX, wakes_up_to(usize::MAX)) }
        };
        let changes_other = self.operation & libc::FUTEX_CMD_MASK == libc::FUTEX_WAKE_OP;
        let woken = wake(self.address) + if changes_other { wake(other as usize) } else { 0 };
        done + woken as c_long
    }

    /// Wakes threads. Returns how many there were.
    fn ask_kernel(&self, most: usize, bits: u32) -> c_long {
        let most = most.min(c_int::MAX as usize) as c_long;
        // SAFETY: the kernel does not follow the address.
        unsafe { self.ask(most, [0, 0, c_long::from(bits)]) }
    }

    /// The call itself.
    ///
    /// # Safety
    /// As for `futex`; these are its last arguments.
    unsafe fn ask(&self, value: c_long, [d, e, f]: [c_long; 3]) -> c_long {
        let (address, operation) = (self.address as c_long, c_long::from(self.operation));
        // SAFETY: as the caller promises.
        unsafe { next::syscall(libc::SYS_futex, address, operation, value, d, e, f) }
    }
}
