//! The CPU time that the host of a virtual machine gave to others while a program here wanted to run.

use std::fs;

/// The CPU time of the whole machine since it was started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuTime {
    used: u64,
    stolen: u64,
}

impl CpuTime {
    /// None if the system does not say.
    pub(crate) fn now() -> Option<CpuTime> {
        CpuTime::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(text: &str) -> Option<CpuTime> {
        let ticks: Vec<u64> = text
            .lines()
            .find_map(|line| line.strip_prefix("cpu "))?
            .split_whitespace()
            .map(|word| word.parse().ok())
            .collect::<Option<_>>()?;
        let [user, nice, system, _idle, _iowait, irq, softirq, stolen, ..] = ticks[..] else { return None };
        Some(CpuTime { used: user + nice + system + irq + softirq, stolen })
    }

    /// How much of the time that was wanted since `before` was stolen; none if nothing was wanted.
    pub(crate) fn stolen_since(self, before: CpuTime) -> Option<f64> {
        let stolen = self.stolen.checked_sub(before.stolen)? as f64;
        let wanted = self.used.checked_sub(before.used)? as f64 + stolen;
        (wanted > 0.0).then(|| stolen / wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_what_was_wanted() {
        let of = |line| CpuTime::parse(line).unwrap();
        let before = of("cpu  100 0 50 1000 7 0 0 20 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n");
        assert_eq!(before, CpuTime { used: 150, stolen: 20 });
        let after = of("cpu  110 10 60 2000 7 0 0 30 0 0");
        assert_eq!(after.stolen_since(before), Some(0.25));
        assert_eq!(before.stolen_since(before), None);
        assert_eq!(before.stolen_since(after), None, "the clock went back");
        assert_eq!(CpuTime::parse("cpu 1 2 3"), None);
        assert_eq!(CpuTime::parse("intr 5"), None);
    }
}
