//! How much of the machine one build may use, and how many go on at a time.

use std::thread::available_parallelism;

use model::Limits;

/// What a build has where the machine has plenty.
const PLENTY: Limits = Limits { memory_mb: 2048, cpu_millis: 2000, pids: 1024 };

/// What a build may use of this machine.
pub fn of_this_machine() -> Limits {
    of(memory_mb(), cores())
}

/// How many builds go on side by side on this machine.
pub fn side_by_side() -> usize {
    (cores() / 2).max(1)
}

/// At most half of the memory and three quarters of the cores: applications serve meanwhile.
fn of(memory_mb: Option<u32>, cores: usize) -> Limits {
    let cores = u32::try_from(cores).unwrap_or(u32::MAX);
    Limits {
        memory_mb: memory_mb.map_or(PLENTY.memory_mb, |all| PLENTY.memory_mb.min(all / 2)),
        cpu_millis: PLENTY.cpu_millis.min(cores.saturating_mul(750)),
        pids: PLENTY.pids,
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, std::num::NonZero::get)
}

/// `MemTotal` of proc(5), `/proc/meminfo`.
fn memory_mb() -> Option<u32> {
    total(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn total(meminfo: &str) -> Option<u32> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    u32::try_from(kilobytes / 1024).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_machine_keeps_half_for_its_applications() {
        let limits = |memory, cores| {
            let Limits { memory_mb, cpu_millis, pids } = of(memory, cores);
            (memory_mb, cpu_millis, pids)
        };
        assert_eq!(limits(Some(64_000), 32), (2048, 2000, 1024));
        assert_eq!(limits(Some(1024), 1), (512, 750, 1024));
        assert_eq!(limits(Some(4096), 2), (2048, 1500, 1024));
        assert_eq!(limits(None, 2), (2048, 1500, 1024));
    }

    #[test]
    fn the_memory_is_read_from_the_kernels_table() {
        assert_eq!(total("MemTotal:        4028396 kB\nMemFree:  1 kB\n"), Some(3933));
        assert_eq!(total("MemFree:  1 kB\n"), None);
        assert!(memory_mb().is_some(), "this machine has memory");
    }
}
