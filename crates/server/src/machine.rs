//! What this machine is like: memory, name, file descriptors.

use std::path::Path;

use chronik_config::Machine;
use chronik_env::{Disk, OpenMode};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    system::{sysinfo, uname},
};

/// The memory limit of this process' control group.
const CGROUP_LIMIT: &str = "/sys/fs/cgroup/memory.max";

/// What defaults follow from.
pub(crate) fn look(disk: &dyn Disk) -> Machine {
    let info = sysinfo();
    let total = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit));
    let memory_bytes = cgroup_limit(disk).map_or(total, |limit| limit.min(total));
    let host_name = uname().nodename().to_str().ok().map(str::to_owned);
    Machine { memory_bytes, host_name: host_name.filter(|name| !name.is_empty()) }
}

fn cgroup_limit(disk: &dyn Disk) -> Option<u64> {
    let file = disk.open(Path::new(CGROUP_LIMIT), OpenMode::READ).ok()?;
    let mut buffer = [0; 32];
    let length = file.read_at(&mut buffer, 0).ok()?;
    std::str::from_utf8(buffer.get(..length)?).ok()?.trim().parse().ok()
}

/// Raises the number of files this process may have open as far as it is allowed to; that number.
pub(crate) fn raise_open_files() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limits.maximum,
        Err(_) => limits.current,
    };
    current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use chronik_env::RealDisk;

    use super::*;

    #[test]
    fn a_machine_has_memory_and_open_files() {
        assert!(look(&RealDisk).memory_bytes > 16 << 20);
        assert!(raise_open_files() > 16);
    }
}
