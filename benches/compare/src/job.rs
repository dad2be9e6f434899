//! One measurement, as it is asked for.

/// The workload by which a program tells where the two CPUs are.
pub(crate) const PROBE: &str = "probe";

/// One thing to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    /// What the programs call it.
    pub(crate) workload: &'a str,
    /// On how many Ps.
    pub(crate) procs: usize,
    /// The size, if it is not the workload's own.
    pub(crate) n: Option<usize>,
    /// Whose program.
    pub(crate) peer: &'a str,
    /// Memory that it needs.
    pub(crate) need_mib: usize,
    /// Memory to touch before.
    pub(crate) touch_mib: usize,
    /// For a server under a load, which comes from this program: how many seconds of it are measured.
    pub(crate) load_secs: Option<f64>,
}
