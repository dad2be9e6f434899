//! Ps that change hands while a G runs. A G that blocks its thread, or computes for long while others wait, continues
//! without a P: its M's P is taken away and handed to another M. At its next suspension its M takes an idle P, or
//! queues the G with the others.
//!
//! `m/section.rs` argues why the M and the taker never use the P at the same time. This file argues that nothing is
//! lost with the P. Whoever takes a P owns it, with all Gs that are on it, and [`hand_off`](Shared::hand_off) leaves
//! it in one of the three places of I1. If there is work for the P, it is on its way to an M. If not, it is on the
//! idle list; then the look behind the fence (`idle.rs`, F2) and the wake of a keeper (I3) follow, as when an M
//! goes idle by itself. The G itself is still where it was, on its M (g I1): a P has no part in the ownership of a G.

#![cfg(not(loom))]

use super::entered::Entered;
use super::shared::Shared;
use crate::clock::now_ns;
use crate::m::emit::emit;
use crate::m::{M, Me};
use crate::p::{FreeP, P};

impl Shared {
    /// Takes `p` away from `m`, whose G runs its own code. False if the M is inside just now, or has another P.
    pub(crate) fn retake(&self, m: &M, p: &P) -> bool {
        let Some(mut borrowed) = m.borrow() else { return false };
        let Some(taken) = borrowed.take_p(p) else { return false };
        m.note_lost(p, now_ns());
        drop(borrowed);
        self.hand_off(taken, m, "retake");
        true
    }

    /// The M hands its P off, if it has one: its G continues without a P, or waits for this M alone, or the M ends.
    pub(super) fn hand_off_own_p(&self, me: &mut Me<'_>) {
        let Some(lost) = me.take_p() else { return };
        let p = &self.ps[lost.id];
        me.note_lost(p, now_ns());
        self.hand_off(lost, me, "released");
    }

    /// The P that `m` has lost goes to an M if there is work for it, otherwise to the idle list.
    fn hand_off(&self, p: FreeP<'_>, m: &M, why: &'static str) {
        let (p_id, m_id) = (p.id, m.id);
        let handed_off = emit!(p.owned(), HandOff { p: p_id, m: m_id, why });
        self.start_m_or_idle(p);
        handed_off.deliver();
    }

    fn start_m_or_idle(&self, p: FreeP<'_>) {
        if let Some(g) = p.owned().take_next() {
            self.queue(p.owned(), g);
        }
        p.owned().show_all();
        let timers = &self.ps[p.id].timers;
        let mut queues = self.lock();
        if p.has_queued() || !queues.global.is_empty() {
            self.announce_search();
            self.start_m(queues, p);
            return;
        }
        self.put_idle_p(&mut queues, p);
        let all_idle = queues.idle.ps().len() == self.ps.len();
        let lacks_keeper = all_idle && queues.idle.keeper().is_none() && queues.idle.sleepers().next().is_some();
        drop(queues);
        self.idle.before_last_look();
        // One that rests as it was surplus (`arrivals.rs`) has left it to this P's M to become the keeper.
        if lacks_keeper || self.has_visible_work() {
            self.announce();
        }
        // Whoever makes a P idle sees to its timers, and to descriptors (I3).
        self.wake_for_timer(timers.earliest_ns());
        self.wake_for_events();
    }

    /// Takes an idle P for an M that has lost its own and is to go on with its G. False if there is none.
    pub(super) fn regain(&self, me: &mut Me<'_>) -> bool {
        if me.p().is_some() {
            return true;
        }
        if self.idle.idle_ps() == 0 {
            return false;
        }
        let mut queues = self.lock();
        let Some(p) = self.take_idle_p(&mut queues) else { return false };
        drop(queues);
        self.took_p(me, p);
        true
    }
}

/// Hands off the P of the calling G, which is about to block its thread.
pub(crate) fn hand_off_p() {
    if let Some(mut entered) = Entered::new() {
        entered.shared().hand_off_own_p(entered.me());
    }
}

/// Whether the calling G has a P, or could take an idle one.
pub(crate) fn ask_for_p() -> bool {
    Entered::new().is_none_or(|mut entered| entered.shared().regain(entered.me()))
}
