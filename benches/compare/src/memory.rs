//! The system's memory: how much is free, and having it at hand.

use std::fs;
use std::hint::black_box;

const PAGE: usize = 4096;

/// How much memory programs can have without that others lose theirs, in MiB; none if the system does not say.
pub(crate) fn available_mib() -> Option<usize> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib: usize =
        text.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.strip_suffix("kB")?.trim().parse().ok())?;
    Some(kib >> 10)
}

/// Touches so much memory and gives it back. The first touch of a page that a virtual machine has to be given by its
/// host costs ten times as much as any other, and is not what is measured.
pub(crate) fn touch(mib: usize) {
    let mut memory = vec![0_u8; mib << 20];
    memory.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    black_box(&memory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_memory_is_there() {
        assert!(available_mib().unwrap() > 0);
        touch(0);
        touch(3);
    }
}
