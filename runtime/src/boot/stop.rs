//! Shutting down.
//!
//! # The steps
//! 1. `closing` is set. From then on there are no new Gs, and a park unwinds the G by a panic with `ShutDown` as its
//!    payload. No panic hook hears of that panic.
//! 2. Every G is unparked again and again, until none is left or the timeout is over. A G that has not begun drops its
//!    closure.
//! 3. sysmon, the Ms and the template end.
//! 4. Its epoll is closed. What waits there from elsewhere, Gs of other runtimes, goes on at the epoll of its own.
//! 5. If all Gs have ended, the timers are closed and dropped one by one. Otherwise the runtime is kept for good: a G
//!    that has not ended in time is left whole, with its thread and everything that it uses. In both cases free stacks
//!    give their memory back.
//!
//! # What a G that waits sees of it
//! A destructor is never unwound out of a wait, as a panic in it would abort. It waits, so what it waits for must come.
//! For this reason timers fire until the last G has ended, and starting a G returns a handle that says `ShutDown`
//! instead of a panic.
//!
//! | a G is in | when its runtime closes | in a destructor, while it unwinds or ends |
//! | --- | --- | --- |
//! | `join`, `block_on`, a channel, a select, `yield_now` | it is unwound | it continues when what it waits for comes: other Gs end and drop what they held, so their channels close |
//! | `sleep`, `Timer`, `Ticker`, a timeout or a clock's channel | it is unwound | the time passes as always |
//! | a read, a write, another wait for a descriptor | it is unwound | it continues when the descriptor is ready, or its deadline has passed |
//! | `park`, `park_timeout` | it is unwound | it soon returns for no reason, as a park may; the caller checks again |
//! | the end of a `scope` | it waits for the Gs, which are unwound, and then unwinds with `ShutDown` | it waits, and returns |
//! | `Runtime::run` of another runtime | it waits: the other G borrows from it | the same |
//! | `blocking`, a system call, a lock of std | the shutdown waits for it | the same |
//! | `go`, `Handle::go`, `Scope::go` | the closure is dropped, the handle says `ShutDown` | the same |
//!
//! What only the waiting G itself could provide does not come; the shutdown waits for it until the timeout. In a
//! program whose panics abort, nothing is unwound: such a G is left where it waits, and the shutdown ends when all Gs
//! that are left wait.

use crate::clock::now_ns;
use crate::config::UNWINDS;
use crate::g::{G, for_each};
use crate::hooked::{do_later, wake_left};
use crate::locals::unmake_block;
use crate::observe::{dump_and_count, plural};
use crate::park::{expose_all, unpark_g};
use crate::probe::{Status, last_words};
use crate::sched::Shared;
use crate::source::leave_runtime;
use crate::stack::scavenge_all;
use crate::sysmon::Sysmon;
use crate::user_code::contain;
use std::time::Duration;

/// How long to wait before the Gs are looked at again, at first and at most.
const PAUSE_MIN: Duration = Duration::from_micros(50);
const PAUSE_MAX: Duration = Duration::from_millis(5);

impl Shared {
    /// Ends all Gs, or leaves them whole at the timeout, and then the threads. True if all Gs have ended.
    pub(super) fn shut_down(&self, sysmon: Sysmon, timeout_ns: u64) -> bool {
        self.dump_on_exit();
        self.begin_closing();
        let ended = self.end_gs(now_ns().saturating_add(timeout_ns));
        sysmon.stop();
        self.stop_machines(ended);
        // Its Ms may have left something to sysmon, which had ended.
        wake_left();
        // A timer may have started a G in between. All Ms have ended, so what they count is exact now.
        let ended = ended && self.live_gs() == 0;
        // Nobody asks its epoll any more.
        leave_runtime(self);
        if ended {
            // A timer may hold the runtime, and no M looks at timers any more. Each goes alone: two panics at once of
            // what they hold would abort.
            for timer in self.ps.iter().flat_map(|p| p.timers.close()) {
                contain(|| timer.end());
            }
        } else {
            // Gs that were left may be parked without an M that keeps the runtime: an unpark of one uses it.
            std::mem::forget(self.arc());
        }
        scavenge_all(unmake_block);
        ended
    }

    /// Ends the Ms of a runtime that could not be built. A hook of the user's may have started Gs.
    pub(super) fn unbuild(&self) {
        self.stop_machines(true);
        do_later();
        wake_left();
        leave_runtime(self);
        if self.live_gs() > 0 {
            // As above.
            std::mem::forget(self.arc());
        }
    }

    /// Says what the Gs do that the runtime ends with: they may have been forgotten.
    pub(super) fn dump_on_exit(&self) {
        if !self.setup.dumps_on_exit || self.live_gs() == 0 || self.is_closing() {
            return;
        }
        let (left, count) = dump_and_count(self);
        if count > 0 {
            let what = plural(count as u64, "goroutine is", "goroutines are");
            last_words(format!("pirn: {what} left as the runtime {:?} ends\n\n{left}", self.setup.name).as_bytes());
        }
    }

    /// Unparks every G, again and again, until none is left: each finds that the runtime closes. Where panics abort, Gs
    /// are left where they wait: none is unparked, and this returns when all that live wait.
    ///
    /// A G that looked at `closing` too early to see it has not parked yet: the unpark leaves a token, and it looks
    /// again. One that waits in a line is exposed first, so that an unpark wakes it. A G that parks in a destructor is
    /// sometimes woken for no reason, which a park allows.
    fn end_gs(&self, deadline_ns: u64) -> bool {
        let mut pause = PAUSE_MIN;
        loop {
            let live = self.live_gs();
            if live == 0 {
                return true;
            }
            if now_ns() >= deadline_ns || !UNWINDS && self.count_waiting() == live {
                return false;
            }
            if UNWINDS {
                expose_all(|expose| self.each_g(|g, _| expose(g)));
                self.each_g(unpark_g);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// How many Gs wait. One that another has unparked just now will wait again, or is left in its queue.
    fn count_waiting(&self) -> u64 {
        let mut waiting = 0;
        self.each_g(|g, _| waiting += u64::from(g.status() == Status::Waiting));
        waiting
    }

    fn each_g(&self, mut f: impl FnMut(&'static G, u64)) {
        for_each(|g| {
            let id = g.id();
            if id != 0 && std::ptr::eq(g.shared_ptr(), self) {
                f(g, id);
            }
        });
    }
}
