//! The M loop: runs one G after another.

use super::shared::Shared;
use crate::coro::{Coro, Outcome, Suspend, WayOut};
use crate::g::{G, Runnable, give_free};
use crate::locals;
use crate::m::emit::emit;
use crate::m::fork::{end_in_fork, is_fork};
use crate::m::{M, current};
use crate::os;
use crate::p::OwnedP;
use crate::probe::{Status, WaitReason, complain, fatal};
use crate::stack::{Cache, GStack, Slot, StackError};
use crate::user_code::contain;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What an M's thread does, from its beginning to its end.
pub(crate) fn machine_main(shared: &Arc<Shared>, m: &Arc<M>) {
    current::set_machine(Arc::as_ptr(m));
    m.set_thread(std::thread::current());
    // Else the M that keeps the time is 50 us late.
    os::set_timer_slack_ns(1);
    // Without an alternate stack an overflow is a bare SIGSEGV, which is worth a warning and no more.
    let alt_stack = os::AltStack::install().map_err(|error| shared.warn_no_alt_stack(&error));
    run_hook(shared.setup.on_start.as_deref());
    emit!(&shared.counters, MStart { m: m.id }).deliver();
    // Kept: a payload may panic when it is dropped, and this is the end.
    let ended = catch_unwind(AssertUnwindSafe(|| shared.run(m)));
    if ended.is_err() {
        fatal("an M of the scheduler panicked");
    }
    emit!(&shared.counters, MStop { m: m.id }).deliver();
    run_hook(shared.setup.on_stop.as_deref());
    drop(alt_stack);
    current::set_machine(ptr::null());
}

fn run_hook(hook: Option<&(dyn Fn() + Send + Sync)>) {
    let Some(hook) = hook else { return };
    if contain(hook).is_none() {
        complain("pirn: a thread hook panicked (Builder::on_thread_start, on_thread_stop)");
    }
}

impl Shared {
    fn run(&self, m: &Arc<M>) {
        if let Some(p) = m.take_handed() {
            self.took_p(m, p);
        }
        while let Some(mut g) = self.find(m) {
            while let Some(next) = self.execute(m, g) {
                g = next;
            }
            if m.is_tainted.load(Ordering::Relaxed) {
                self.depart(m);
                return self.give_up(m);
            }
        }
    }

    /// Runs a G until it wants something, and does that. Returns a G that this M has to run next, if there is one.
    #[inline]
    fn execute(&self, m: &Arc<M>, runnable: Runnable) -> Option<Runnable> {
        if self.is_heard { self.execute_heard(m, runnable) } else { self.run_g::<false>(m, runnable) }
    }

    #[cold]
    #[inline(never)]
    fn execute_heard(&self, m: &Arc<M>, runnable: Runnable) -> Option<Runnable> {
        self.run_g::<true>(m, runnable)
    }

    #[inline(always)]
    fn run_g<const HEARD: bool>(&self, m: &Arc<M>, runnable: Runnable) -> Option<Runnable> {
        let g = runnable.g();
        let locked = g.locked_m.get();
        if !locked.is_null() && locked != Arc::as_ptr(m) {
            self.hand_to_locked(m, runnable);
            return None;
        }
        // SAFETY: the Runnable says that this M owns the G.
        let coro = unsafe { &mut *g.coro.get() };
        if coro.is_some() {
            emit!(&self.counters, Run { g: g.id() }, if HEARD).deliver();
        } else {
            // SAFETY: this is the M itself, in its section.
            let p = unsafe { m.p() }.expect("an M that runs Gs has a P");
            match self.bind(p, g) {
                Ok(fresh) => {
                    *coro = Some(fresh);
                    emit!(p, Begin { g: g.id() }, if HEARD).deliver();
                    if self.has_stalled.load(Ordering::Relaxed) {
                        self.got_stack();
                    }
                }
                Err(error) => {
                    self.stall(runnable, &error);
                    return None;
                }
            }
        }
        let coro = coro.as_mut().expect("it has just been bound");
        m.set_g(Some(g));
        g.set_status(Status::Running);
        g.last_m.store(m.id, Ordering::Relaxed);
        loop {
            m.section.leave();
            let outcome = match g.block.get() {
                None => coro.resume(),
                // SAFETY: this M owns the G, so the block is loaded nowhere else.
                Some(block) => unsafe { locals::with_block(block, || resume_as(m, coro)) },
            };
            m.section.enter();
            m.has_heard();
            let Outcome::Suspended(Suspend::Park(reason)) = outcome else {
                m.set_g(None);
                return self.put_away::<HEARD>(m, runnable, outcome);
            };
            g.set_waiting(reason, self.coarse_ms());
            let locked = !g.locked_m.get().is_null();
            m.set_g(None);
            let id = g.id();
            if g.word.commit_park(id) {
                // From here on `g` is somebody else's.
                self.has_parked::<HEARD>(m, id, reason);
                return locked.then(|| self.wait_for_locked(m));
            }
            if m.p_hint().is_none() {
                return self.put_away_without_p(m, runnable, Outcome::Suspended(Suspend::Yield));
            }
            m.set_g(Some(g));
            g.set_status(Status::Running);
        }
    }

    /// The G of this M has parked.
    #[inline(always)]
    fn has_parked<const HEARD: bool>(&self, m: &M, id: u64, reason: WaitReason) {
        // SAFETY: this is the M itself, in its section.
        match unsafe { m.p() } {
            Some(p) => emit!(p, Park { g: id, reason }, if HEARD).deliver(),
            None => emit!(&self.counters, Park { g: id, reason }, if HEARD).deliver(),
        }
    }

    /// Gives a G that has never run a stack, thread-locals and a coroutine.
    #[inline(always)]
    fn bind(&self, p: OwnedP<'_>, g: &'static G) -> Result<Coro, StackError> {
        let slot = p.stacks().take(g.class())?;
        let (room_bytes, block) = match self.setup.locals.room_for(&slot) {
            Ok(bound) => bound,
            Err(error) => {
                p.stacks().give(slot);
                return Err(error);
            }
        };
        slot.set_owner(ptr::from_ref(g).cast());
        // SAFETY: the coroutine is the slot's only one; the slot is given back when it has finished (`retire`).
        let stack = unsafe { GStack::on(&slot, room_bytes) };
        g.block.set(block);
        // SAFETY: this M owns the G.
        unsafe { *g.slot.get() = Some(slot) };
        Ok(Coro::new(stack, g, begin))
    }

    /// Puts a G that yielded or ended where it belongs. Returns a G that this M has to run next, if there is one.
    #[inline(always)]
    fn put_away<const HEARD: bool>(&self, m: &Arc<M>, runnable: Runnable, outcome: Outcome) -> Option<Runnable> {
        // SAFETY: this is the M itself, in its section.
        let Some(p) = (unsafe { m.p() }) else { return self.put_away_without_p(m, runnable, outcome) };
        let g = runnable.g();
        if !g.locked_m.get().is_null() {
            if outcome != Outcome::Finished {
                emit!(p, Yield { g: g.id() }, if HEARD).deliver();
            }
            return self.put_away_locked(m, runnable, outcome);
        }
        match outcome {
            Outcome::Finished => {
                let id = g.id();
                self.retire(p, runnable);
                emit!(p, End { g: id }, if HEARD).deliver();
            }
            Outcome::Suspended(Suspend::YieldGlobal) => {
                emit!(p, Yield { g: g.id() }, if HEARD).deliver();
                self.inject(runnable);
            }
            Outcome::Suspended(_) => {
                emit!(p, Yield { g: g.id() }, if HEARD).deliver();
                g.set_status(Status::Runnable);
                // The pick that comes next shows it, if it is to be shown.
                if let Err(g) = p.push(runnable) {
                    self.queue(p, g);
                }
            }
        }
        None
    }

    /// The P was taken from this M while its G ran. If the G goes on it takes an idle P, or queues with the others.
    #[cold]
    fn put_away_without_p(&self, m: &Arc<M>, runnable: Runnable, outcome: Outcome) -> Option<Runnable> {
        let g = runnable.g();
        let goes_on = matches!(outcome, Outcome::Suspended(_));
        let is_locked = !g.locked_m.get().is_null();
        if goes_on {
            emit!(&self.counters, Yield { g: g.id() }).deliver();
        }
        if goes_on && self.regain(m) {
            // Others may have waited for the P too, and there was no M but this one.
            let gives_way = outcome == Outcome::Suspended(Suspend::YieldGlobal) && self.has_visible_work();
            if !gives_way || is_locked {
                return Some(runnable);
            }
        } else if is_locked {
            return self.put_away_locked(m, runnable, outcome);
        }
        if goes_on {
            self.inject(runnable);
        } else {
            self.retire_foreign(runnable);
        }
        None
    }

    /// The G is locked to this M: nobody else runs on it until the G has had its turn, or after it has ended.
    #[cold]
    fn put_away_locked(&self, m: &Arc<M>, runnable: Runnable, outcome: Outcome) -> Option<Runnable> {
        if let Outcome::Suspended(_) = outcome {
            if self.lock().stopping {
                // It was left behind: nobody else is there who could pick it.
                return Some(runnable);
            }
            self.inject(runnable);
            return Some(self.wait_for_locked(m));
        }
        // What was to unlock it has leaked: as in Go, the thread ends with the G.
        runnable.g().locked_m.set(ptr::null());
        m.is_tainted.store(true, Ordering::Relaxed);
        self.retire_foreign(runnable);
        None
    }

    /// A G has ended: its stack goes back, and its record if nobody holds a handle. The caller counts it.
    #[inline(always)]
    fn retire(&self, p: OwnedP<'_>, runnable: Runnable) {
        let g = runnable.g();
        // SAFETY: this M owns the G, whose coroutine has finished.
        let slot = unsafe { end_coroutine(g) };
        p.stacks().give(slot);
        g.set_status(Status::Dead);
        if g.join.retire() {
            g.end();
            p.free_gs().give(g);
        }
        if self.has_stalled.load(Ordering::Relaxed) {
            // The stack is for whoever tries again, on whichever P.
            p.stacks().flush();
            self.unstall();
        }
    }

    /// A G has ended on an M that has no P: everything goes to the stores that are for all.
    #[cold]
    fn retire_foreign(&self, runnable: Runnable) {
        let g = runnable.g();
        let id = g.id();
        // SAFETY: this M owns the G, whose coroutine has finished.
        let slot = unsafe { end_coroutine(g) };
        // Dropping the cache gives back what is in it.
        Cache::new().give(slot);
        g.set_status(Status::Dead);
        if g.join.retire() {
            g.end();
            give_free(g);
        }
        if self.has_stalled.load(Ordering::Relaxed) {
            self.unstall();
        }
        emit!(&self.counters, End { g: id }).deliver();
    }

    /// There is no stack for a G's first run. It waits until another G gives one back, or sysmon tries again.
    #[cold]
    fn stall(&self, runnable: Runnable, error: &StackError) {
        self.stalls.fetch_add(1, Ordering::Relaxed);
        let mut queues = self.lock();
        queues.stalled.push(runnable);
        let first = !self.has_stalled.swap(true, Ordering::SeqCst);
        drop(queues);
        if first {
            self.warn_no_stack(error);
        }
    }

    /// Has one of the Gs try again that found no stack. Whether it is the last of them shows when it has got one.
    #[cold]
    pub(crate) fn unstall(&self) {
        let mut queues = self.lock();
        let Some(g) = queues.stalled.pop() else { return };
        queues.global.push_back(g);
        self.publish_global(&queues);
        drop(queues);
        self.announce();
    }

    /// A G has got a stack while others waited for one.
    #[cold]
    fn got_stack(&self) {
        let queues = self.lock();
        self.has_stalled.store(!queues.stalled.is_empty(), Ordering::SeqCst);
        drop(queues);
        self.unstall();
    }
}

/// Takes the stack of a G that has ended.
///
/// # Safety
/// The caller owns the G, and its coroutine has finished.
#[inline(always)]
unsafe fn end_coroutine(g: &'static G) -> Slot {
    // SAFETY: as the caller promises.
    unsafe { *g.coro.get() = None };
    // SAFETY: as above.
    unsafe { &mut *g.slot.get() }.take().expect("a G that ran has a stack")
}

/// Resumes a G whose own thread-locals are loaded.
#[inline(always)]
fn resume_as(m: &Arc<M>, coro: &mut Coro) -> Outcome {
    current::set_machine(Arc::as_ptr(m));
    coro.resume()
}

/// The first frame of every G. It has no thread-locals any more when the body returns: nothing may use one from then on.
fn begin(g: &'static G, way_out: WayOut) {
    g.way_out.set(Some(way_out));
    // SAFETY: this is the G itself.
    let locals = unsafe { g.shared() }.setup.locals;
    locals.begin();
    let body = g.body().expect("go has set it");
    // SAFETY: `go` has put what the body takes into the record, and this is its only run.
    unsafe { body(g) };
    if is_fork() {
        end_in_fork("a goroutine that has forked has come to its end in the child");
    }
}
