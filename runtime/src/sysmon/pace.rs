//! How often sysmon looks: its states (drawn at the door), as plain decisions. They read no clock and do not sleep,
//! so each of them has a test.

use crate::config::{SYSMON_BUSY_NS, SYSMON_DROWSY_NS, SYSMON_MAX_NS, SYSMON_MIN_NS, SYSMON_NAP_NS, SYSMON_STEADY_NS};
use crate::timers::NEVER;

/// After so many looks in a row that find nothing to do, sysmon falls asleep.
const QUIET_LOOKS: u32 = 3;

/// What sysmon does between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// A P is held, or something waits that it may help with: it looks again after a pause.
    Watching { pause_ns: u64 },
    /// Every P is idle and nothing waits, at so many looks in a row. It looks again after the same pause: most often
    /// this state is over soon.
    Quiet { pause_ns: u64, looks: u32 },
    /// Nothing has changed: sysmon sleeps until a P is taken, or until a deadline. If that is soon, it goes on with the
    /// pause that it was at.
    Asleep { pause_ns: u64, since_ns: u64 },
}

/// What sysmon has to watch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    pub(super) now_ns: u64,
    /// A P is held, or a G computes without one.
    pub(super) is_busy: bool,
    /// A G waits in a visible queue, or for a stack. If the system gives no thread, this may be so though every P is
    /// idle.
    pub(super) work_waits: bool,
    /// A timer is due that no M has looked at.
    pub(super) has_come: bool,
    /// A P hides Gs from the others.
    pub(super) hides: bool,
    /// When the first timer is due.
    pub(super) timer_ns: u64,
    /// When sysmon has something else to do: to print, to give memory back, to look for a stall.
    pub(super) due_ns: u64,
}

/// The result of a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// A P was taken, or what it hid was shown.
    pub(super) helped: bool,
    /// An M was seen to sleep: look again at once.
    pub(super) suspects: bool,
    /// A P that has picked nothing since the last look has Gs that others could take.
    pub(super) work_stays: bool,
    /// Some P has picked lately, or its M may block any moment: look again soon.
    pub(super) is_lively: bool,
    /// An M has picked many Gs since the last look.
    pub(super) picks_quickly: bool,
    /// An M that runs a G has picked few since the last look, or a G computes without a P.
    pub(super) lingers: bool,
}

impl Pace {
    /// After something was done: the next pause is a short one.
    pub(super) fn fresh() -> Pace {
        Pace::Watching { pause_ns: SYSMON_MIN_NS }
    }

    /// The state after a look.
    pub(super) fn next(self, scene: &Scene, looked: &Looked) -> Pace {
        let (pause_ns, quiet_looks) = match self {
            Pace::Watching { pause_ns } => (pause_ns, 0),
            Pace::Quiet { pause_ns, looks } => (pause_ns, looks),
            Pace::Asleep { pause_ns, since_ns } => {
                let was_nap = scene.now_ns.saturating_sub(since_ns) < SYSMON_NAP_NS;
                (if was_nap { pause_ns } else { SYSMON_MIN_NS }, 0)
            }
        };
        // A timer that has just become due is for the keeper, which may not have woken yet.
        let is_late = scene.has_come && quiet_looks > 0;
        if scene.is_busy || scene.work_waits || is_late {
            return Pace::Watching { pause_ns: looked.pause_ns(pause_ns, scene.work_waits || scene.hides) };
        }
        match quiet_looks + 1 {
            QUIET_LOOKS => Pace::Asleep { pause_ns, since_ns: scene.now_ns },
            looks => Pace::Quiet { pause_ns, looks },
        }
    }

    /// Until when it sleeps, if it is not woken.
    pub(super) fn until_ns(self, scene: &Scene) -> u64 {
        let Scene { now_ns, timer_ns, due_ns, .. } = *scene;
        match self {
            Pace::Watching { pause_ns } => {
                // An M whose G computes does not look at the timers of its P. A timer that is due already was seen at
                // this look.
                let timer_ns = if timer_ns > now_ns { timer_ns.max(now_ns + SYSMON_MIN_NS) } else { NEVER };
                due_ns.min(now_ns + pause_ns).min(timer_ns)
            }
            Pace::Quiet { pause_ns, .. } => due_ns.min(now_ns + pause_ns),
            Pace::Asleep { .. } => due_ns,
        }
    }
}

/// Whether a pause is so long that a poke may end it.
pub(super) fn is_long(now_ns: u64, until_ns: u64) -> bool {
    until_ns > now_ns + SYSMON_DROWSY_NS
}

impl Looked {
    /// How long until the next look, after a pause of `last_ns`; `waits` says that there is waiting work that a look
    /// may help.
    fn pause_ns(&self, last_ns: u64, waits: bool) -> u64 {
        let most = if self.picks_quickly && !self.lingers {
            SYSMON_STEADY_NS
        } else if self.is_lively || waits {
            SYSMON_BUSY_NS
        } else {
            SYSMON_MAX_NS
        };
        if self.helped || self.suspects { SYSMON_MIN_NS } else { (last_ns * 2).min(most) }
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
