//! `syscall`, for futexes: what std's locks, and those of other libraries, wait with.
//!
//! A G waits in the table (`futex_table.rs`), and a thread in the kernel. A wake looks at the table, and what it has not found
//! there it asks the kernel for. If threads may wait for the word too, it is for as many of each kind, as a wait may always
//! end for no reason. So no kind keeps the other from a lock; and if the runtime itself waits in the kernel, in code of the
//! user's as an allocator, it is never a G alone that is woken, which perhaps cannot run before the runtime goes on. The
//! threads come first, as to wake a G may take a lock of the runtime that such a thread holds.
//!
//! *A wake while no G seems to wait* goes to the kernel first, and looks at the count of the table after that. So the kernel's
//! fence is in the place of the table's own: before it looks whether anybody waits it has a full one, as its argument is the
//! same (`futex_hb_waiters_pending` in its `futex.h`, since 3.14). What was seen before that decides only which way is taken. If
//! the kernel refuses the call, nothing was asked of it that could be woken.
//!
//! Threads are counted before they go to the kernel (`Threads`). That is ordered as the count of the table is: the wake
//! has changed the word, then there is a fence, and then it reads the count; a wait counts, then there is a fence, and then
//! the kernel compares the word.

#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a function in the place of libc's")]

use crate::calls::FUTEX;
use crate::clocks::{duration, read};
use crate::errno::fail;
use crate::futex_table::{Bucket, Waited};
use crate::next;
use libc::{c_int, c_long, timespec};
use pirn_runtime::internal::{Hooked, has_come, is_fork, now, wake_from_anywhere};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Instant;

const BUCKETS: usize = 2048;

/// A bucket, and the threads that wait in the kernel for its words.
struct Place {
    bucket: Bucket,
    threads: Threads,
}

static TABLE: [Place; BUCKETS] =
    [const { Place { bucket: Bucket::new(), threads: Threads(AtomicU64::new(0)) } }; BUCKETS];

/// How many wait, in the upper half, and the sum of the marks of their addresses in the lower half: most often there is one,
/// a thread of the runtime that sleeps, and it is seen that it waits for something else.
struct Threads(AtomicU64);

impl Threads {
    const ONE: u64 = 1 << 32;

    fn of(address: usize) -> u64 {
        Self::ONE | (spread(address) & 0xFFFF)
    }

    /// The caller is about to wait for that word in the kernel.
    fn come(&self, address: usize) {
        // Relaxed: the fence orders it (partner: the fence in `Bucket::is_empty`).
        self.0.fetch_add(Self::of(address), Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// It does not wait any more.
    fn leave(&self, address: usize) {
        self.0.fetch_sub(Self::of(address), Ordering::Relaxed);
    }

    /// Whether one may wait for that word. The caller has called `Bucket::is_empty` since it has changed the word.
    fn may_wait(&self, address: usize) -> bool {
        let all = self.0.load(Ordering::Relaxed);
        if all >> 32 == 1 { all == Self::of(address) } else { all != 0 }
    }
}

fn place(address: usize) -> &'static Place {
    &TABLE[spread(address) as usize % BUCKETS]
}

/// Numbers of which neighbours lie far from each other (Knuth, "Sorting and Searching", 6.4).
fn spread(address: usize) -> u64 {
    /// 2^64 divided by the golden ratio.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    (address as u64).wrapping_mul(SPREAD) >> 32
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
            let threads = &place(self.address).threads;
            threads.come(self.address);
            // SAFETY: as above.
            let done = unsafe { self.ask(c_long::from(self.value), last) };
            threads.leave(self.address);
            done
        })
    }

    /// None: the caller is no G that may park, or what it asks for is not valid.
    ///
    /// # Safety
    /// As for `futex`.
    unsafe fn wait_on_g(&self, time: c_long, bits: u32) -> Option<c_long> {
        let g = Hooked::current().filter(|g| self.address.is_multiple_of(4) && bits != 0 && g.may_park())?;
        // SAFETY: it is valid, or null.
        let deadline = self.deadline(unsafe { ptr::with_exposed_provenance::<timespec>(time as usize).as_ref() })?;
        let word = ptr::with_exposed_provenance_mut(self.address);
        // SAFETY: a word to be waited for is there as long as that lasts.
        let word = unsafe { AtomicU32::from_ptr(word) };
        // Relaxed: the table orders it.
        let still = || word.load(Ordering::Relaxed) == self.value;
        let waited = place(self.address).bucket.wait(self.address, bits, still, |ticket| {
            while !ticket.is_told() {
                if deadline.is_some_and(has_come) {
                    return false;
                }
                g.park(&FUTEX, self.address, deadline);
            }
            true
        });
        Some(match waited {
            Waited::Woken => 0,
            Waited::Changed => fail(libc::EAGAIN),
            Waited::Ended => fail(libc::ETIMEDOUT),
        })
    }

    /// Until when a wait lasts. None: that is not valid, as the kernel will say.
    fn deadline(&self, time: Option<&timespec>) -> Option<Option<Instant>> {
        let Some(time) = time else { return Some(None) };
        let time = duration(Some(time))?;
        let is_absolute = self.operation & libc::FUTEX_CMD_MASK == libc::FUTEX_WAIT_BITSET;
        let is_real = self.operation & libc::FUTEX_CLOCK_REALTIME != 0;
        let clock = if is_real { libc::CLOCK_REALTIME } else { libc::CLOCK_MONOTONIC };
        let time = if is_absolute { time.saturating_sub(read(clock)) } else { time };
        Some(now().checked_add(time))
    }

    /// Somebody waits there, or at another address that has the same place.
    fn wake(&self, bits: u32) -> Option<c_long> {
        let place = place(self.address);
        if is_fork() || bits == 0 {
            return None;
        }
        // As the kernel: none is one.
        let most = self.value.max(1) as usize;
        let threads = if place.threads.may_wait(self.address) { self.ask_kernel(most, bits) } else { 0 };
        let gs = place.bucket.wake(self.address, bits, most, wake_from_anywhere) as c_long;
        if threads != 0 || gs == most as c_long {
            return Some((threads.max(0) + gs).min(most as c_long));
        }
        // One of whom nobody knows.
        let threads = self.ask_kernel(most - gs as usize, bits);
        Some(if gs == 0 { threads } else { threads.max(0) + gs })
    }

    /// Threads have been woken.
    fn wake_gs_too(&self, bits: u32, threads: c_long) -> c_long {
        let most = self.value.max(1) as usize;
        let is_for_some = self.operation & libc::FUTEX_CMD_MASK == libc::FUTEX_WAKE_BITSET;
        let bits = if is_for_some { bits } else { u32::MAX };
        let gs = place(self.address).bucket.wake(self.address, bits, most, wake_from_anywhere) as c_long;
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
            if bucket.is_empty() { 0 } else { bucket.wake(address, u32::MAX, usize::MAX, wake_from_anywhere) }
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
