//! A test that runs once in each process: it moves a coroutine with thread-locals of its own from thread to thread, and
//! the coroutine checks what must not change.

use super::block::make;
use crate::config::UNWINDS;
use crate::coro::{Arrival, Coro, Home, LeaveFor, Outcome, PackedOutcome, Suspend};
use crate::os::{Blocks, ThreadPointer, with_block};
use crate::stack::{Cache, Class, GStack};
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Enough for what the coroutine does, in a debug build too.
const STACK_BYTES: usize = 256 << 10;

static DESTROYED: AtomicU32 = AtomicU32::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DESTROYED.fetch_add(1, Ordering::Relaxed);
    }
}

thread_local! {
    static HELD: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    static COUNTED: Counted = const { Counted };
}

/// What the coroutine is given, and its result.
struct Probe {
    blocks: &'static Blocks,
    failed: Cell<Option<&'static str>>,
    /// Where it is resumed from.
    home: Home,
    /// The coroutine itself.
    coro: OnceCell<Coro>,
}

/// Moves the coroutine to a new thread for each of its steps.
struct Moved<'a>(&'a Probe, ThreadPointer);

// SAFETY: this is the test that it may be moved between threads.
unsafe impl Send for Moved<'_> {}

/// Tests that Gs can have thread-locals of their own.
///
/// # Errors
/// `Unsupported` with what does not work; the system's error if there is no stack or no thread.
pub(super) fn run(blocks: &'static Blocks) -> io::Result<()> {
    let failed = |what| Err(io::Error::new(io::ErrorKind::Unsupported, what));
    let mut cache = Cache::new();
    let Some(class) = Class::fitting(STACK_BYTES, blocks.room_bytes()) else {
        let bytes = blocks.room_bytes();
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("the program's thread-locals take {bytes} bytes, which leaves no stack in 1 GiB"),
        ));
    };
    let slot = cache.take(class).map_err(io::Error::from)?;
    let block = make(blocks, &slot, false).map_err(io::Error::from)?;
    // SAFETY: the coroutine ends before the slot is given back, or the slot is forgotten.
    let stack = unsafe { GStack::on(&slot) };
    let probe = Probe { blocks, failed: Cell::new(None), home: Home::new(), coro: OnceCell::new() };
    // It is set once.
    let _ = probe.coro.set(Coro::new(stack, &raw const probe, body));
    let mut moved = Moved(&probe, block);
    let destroyed = DESTROYED.load(Ordering::Relaxed);
    let mut ended = false;
    // More threads than there are steps.
    for _ in 0..16 {
        let stepped = thread::scope(|s| {
            let thread = thread::Builder::new().spawn_scoped(s, || step(&mut moved))?;
            thread.join().map_err(|_| io::Error::other("a thread of the self-test panicked"))
        })?;
        match stepped {
            (_, true) => return failed("a thread seemed to panic after a goroutine had left it"),
            (Outcome::Suspended(_), false) => {}
            (Outcome::Finished, false) => {
                ended = true;
                break;
            }
        }
    }
    if let Some(what) = probe.failed.get() {
        return failed(what);
    }
    if !ended {
        return failed("the self-test did not end");
    }
    if DESTROYED.load(Ordering::Relaxed) != destroyed + 1 {
        return failed("the destructor of a thread-local did not run once");
    }
    cache.give(slot);
    Ok(())
}

fn step(moved: &mut Moved<'_>) -> (Outcome, bool) {
    let Moved(probe, block) = moved;
    // SAFETY: only this thread has it now, and it does not run.
    let resume = || unsafe { probe.coro().resume(&probe.home) };
    // SAFETY: as above.
    let outcome = unsafe { with_block(*block, resume) }.unpack();
    (outcome, thread::panicking())
}

impl Probe {
    fn coro(&self) -> &Coro {
        self.coro.get().expect("`run` has made it")
    }
}

fn body(probe: *const Probe, _: Arrival) -> LeaveFor<'static> {
    // SAFETY: `run` keeps the probe until the coroutine has ended.
    let probe = unsafe { &*probe };
    // SAFETY: `step` has loaded the block.
    unsafe { probe.blocks.init() };
    match catch_unwind(AssertUnwindSafe(|| look(probe))) {
        Ok(Ok(())) => {}
        Ok(Err(failed)) => probe.failed.set(Some(failed)),
        Err(_) => probe.failed.set(Some("the self-test panicked")),
    }
    // SAFETY: as above.
    unsafe { probe.blocks.destroy() };
    LeaveFor::Home(&probe.home, PackedOutcome::FINISHED)
}

fn go_on_elsewhere(probe: &Probe) {
    // SAFETY: called by the coroutine alone, on its own stack.
    unsafe { probe.coro().leave(LeaveFor::Home(&probe.home, PackedOutcome::of(Suspend::Yield))) };
}

struct MovesWhileItUnwinds<'a>(&'a Probe);

impl Drop for MovesWhileItUnwinds<'_> {
    fn drop(&mut self) {
        go_on_elsewhere(self.0);
    }
}

fn look(probe: &Probe) -> Result<(), &'static str> {
    COUNTED.with(|_| ());
    let kept = HELD.with(|held| {
        let mut borrowed = held.borrow_mut();
        borrowed.push(1);
        go_on_elsewhere(probe);
        borrowed.push(2);
        borrowed.len() == 2 && held.try_borrow().is_err()
    });
    if !kept || HELD.with(|held| held.borrow().as_slice() != [1, 2]) {
        return Err("a borrowed thread-local changed when its goroutine moved");
    }
    // This fails, and sets errno.
    let _ = std::fs::metadata("");
    let errno = io::Error::last_os_error().raw_os_error();
    go_on_elsewhere(probe);
    if io::Error::last_os_error().raw_os_error() != errno {
        return Err("errno changed when its goroutine moved");
    }
    let lock = Mutex::new(());
    let guard = lock.lock();
    go_on_elsewhere(probe);
    drop(guard);
    if !UNWINDS {
        return Ok(());
    }
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _moves = MovesWhileItUnwinds(probe);
        resume_unwind(Box::new(()));
    }));
    if unwound.is_ok() || thread::panicking() || lock.is_poisoned() {
        return Err("the panic count changed when its goroutine moved");
    }
    Ok(())
}
