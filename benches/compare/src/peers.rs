//! Who takes part, and which of them are pirn.

/// Everybody, in the order of the table.
pub(crate) const PEERS: [&str; 7] = ["pirn", "pirn-shared", "pirn-hook", "threads", "may", "tokio", "go"];

/// pirn with thread-locals for each G, the default.
pub(crate) const ISOLATED: &str = "pirn";
/// pirn with the thread-locals of its threads.
pub(crate) const SHARED: &str = "pirn-shared";
/// pirn with hooked calls: its tasks wait for what std has.
pub(crate) const HOOK: &str = "pirn-hook";
/// All that are pirn, in the order of the table.
pub(crate) const MODES: [&str; 3] = [ISOLATED, SHARED, HOOK];
