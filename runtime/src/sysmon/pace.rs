//! How often sysmon looks.

use crate::config::{SYSMON_BUSY_NS, SYSMON_MAX_NS, SYSMON_MIN_NS};

/// What a look has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// A P was taken, or freed of what it hid.
    pub(super) helped: bool,
    /// An M was seen to sleep: look again at once.
    pub(super) suspects: bool,
    /// Some P has picked lately, or its M may block any moment: look again soon.
    pub(super) is_lively: bool,
}

impl Looked {
    /// How long until the next look, after a pause of `last_ns`; `waits` says that work waits which a look may help.
    pub(super) fn pause_ns(&self, last_ns: u64, waits: bool) -> u64 {
        let most = if self.is_lively || waits { SYSMON_BUSY_NS } else { SYSMON_MAX_NS };
        if self.helped || self.suspects { SYSMON_MIN_NS } else { (last_ns * 2).min(most) }
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
