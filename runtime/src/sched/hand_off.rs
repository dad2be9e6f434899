//! Ps that change hands while a G runs. A G that blocks its thread, or computes for long while others wait, goes on
//! without a P: its M's P is taken away and handed on. At its next suspension it takes an idle P, or queues with the
//! others.
//!
//! `m/section.rs` argues why the M and the taker never use the P at the same time. What is left to argue here is that
//! nothing is lost with it: whoever takes a P owns it, with all Gs that are on it, and [`hand_on`](Shared::hand_on)
//! leaves it in one of the three places of I1. If there is work for it, it is on its way to an M; if not, it is on the
//! idle list, and the look behind the fence (`idle.rs`, F2) and the word to the keeper (I3) follow, as when an M goes
//! idle by itself. The G itself is still where it was, on its M (g I1): a P is not part of who owns a G.

use super::shared::{Entered, Queues, Shared};
use crate::m::M;
use crate::m::emit::emit;
use crate::os::now_ns;
use crate::p::{OwnedP, P};
use crate::timers::NEVER;
use std::ptr;

impl Shared {
    /// Takes `p` away from `m`, whose G runs its own code. False if the M is in the runtime just now, or has another P.
    pub(crate) fn retake(&self, m: &M, p: &P) -> bool {
        let Some(borrowed) = m.section.borrow() else { return false };
        if !ptr::eq(m.p_ptr(), p) {
            return false;
        }
        m.set_p(ptr::null());
        m.note_lost(p, now_ns());
        drop(borrowed);
        // SAFETY: it has just been taken from its only holder.
        self.hand_on(unsafe { OwnedP::of(p) }, m, "retake");
        true
    }

    /// The M gives up its P, if it has one: its G goes on without, or waits for this M alone, or the M ends.
    pub(super) fn give_up(&self, m: &M) {
        // SAFETY: this is the M itself, in its section.
        let Some(p) = (unsafe { m.p() }) else { return };
        m.set_p(ptr::null());
        m.note_lost(&p, now_ns());
        self.hand_on(p, m, "given up");
    }

    /// A P that only the caller holds, and that `m` has lost, goes to an M if there is work for it, else to the idle list.
    fn hand_on(&self, p: OwnedP<'_>, m: &M, why: &'static str) {
        let handed_off = emit!(p, HandOff { p: p.id, m: m.id, why });
        self.place(p);
        handed_off.deliver();
    }

    fn place(&self, p: OwnedP<'_>) {
        if let Some(g) = p.take_next() {
            self.queue(p, g);
        }
        p.show_all();
        // From here on it is no longer the caller's.
        let p = &self.ps[p.id];
        let mut queues = self.lock();
        if p.has_queued() || !queues.global.is_empty() {
            self.idle.begin_search();
            self.start_m(queues, p);
            return;
        }
        self.put_idle_p(&mut queues, p);
        drop(queues);
        self.idle.before_last_look();
        if self.has_visible_work() {
            self.announce();
        }
        // Whoever makes a P idle sees to its timers (I3).
        let earliest_ns = p.timers.earliest_ns();
        if earliest_ns != NEVER {
            self.tell_keeper(earliest_ns);
        }
    }

    /// An M whose G has lost its P, and wants to go on: takes an idle one, if there is one.
    pub(super) fn regain(&self, m: &M) -> bool {
        if m.p_hint().is_some() {
            return true;
        }
        if self.idle.idle_ps() == 0 {
            return false;
        }
        let mut queues = self.lock();
        let Some(p) = self.take_idle_p(&mut queues) else { return false };
        drop(queues);
        self.took_p(m, p);
        true
    }

    /// Whether a P that is taken from a G that computes could go to an M: one that sleeps, or one more thread. Some threads
    /// are left for Gs that block: else the next one that does would find none.
    pub(crate) fn has_m_to_spare(&self) -> bool {
        let queues = self.lock();
        let sleeps = !queues.idle_ms.is_empty() || queues.keeper.is_some();
        sleeps || self.may_ask_for_m(&queues) && queues.ms.len() + self.ps.len() < self.setup.max_threads
    }

    /// Whether one more thread is allowed.
    pub(super) fn may_start_m(&self, queues: &Queues) -> bool {
        // Those of a runtime that was shut down with Gs left are not in the list any more.
        queues.ms.len().saturating_sub(queues.panicking_ms) < self.setup.max_threads
    }
}

/// The calling G gives up its P before it blocks its thread.
pub(crate) fn give_up_p() {
    if let Some(entered) = Entered::new() {
        entered.shared().give_up(entered.m());
    }
}

/// Whether the calling G has a P, or could take an idle one.
pub(crate) fn ask_for_p() -> bool {
    Entered::new().is_none_or(|entered| entered.shared().regain(entered.m()))
}
