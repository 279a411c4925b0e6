//! How much memory the process uses and may use, and how many descriptors, as Linux says.

use std::path::PathBuf;

/// Where to look.
#[derive(Debug)]
pub(super) struct Memory {
    proc: PathBuf,
    cgroups: PathBuf,
}

impl Default for Memory {
    fn default() -> Self {
        Self { proc: "/proc".into(), cgroups: "/sys/fs/cgroup".into() }
    }
}

impl Memory {
    /// Bytes in use.
    pub(super) fn used(&self) -> Option<u64> {
        let status = std::fs::read_to_string(self.proc.join("self/status")).ok()?;
        kibibytes(&status, "VmRSS:")
    }

    /// Bytes that may be used: the least limit of the process's cgroup and those above it, else the machine's memory.
    pub(super) fn limit(&self) -> Option<u64> {
        let machine = std::fs::read_to_string(self.proc.join("meminfo")).ok();
        let machine = machine.and_then(|text| kibibytes(&text, "MemTotal:"));
        [self.of_cgroup(), machine].into_iter().flatten().min()
    }

    fn of_cgroup(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.proc.join("self/cgroup")).ok()?;
        let lines = text.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let second = controllers.is_empty();
            let first = controllers.split(',').any(|name| name == "memory");
            (second || first).then_some((second, path.trim_start_matches('/')))
        });
        let of_line = |(second, path): (bool, &str)| {
            let (root, file) = if second { ("", "memory.max") } else { ("memory", "memory.limit_in_bytes") };
            let root = self.cgroups.join(root);
            let own = root.join(path);
            let groups = own.ancestors().take_while(|group| group.starts_with(&root));
            let limits = groups.filter_map(|group| std::fs::read_to_string(group.join(file)).ok());
            limits.filter_map(|text| text.trim().parse::<u64>().ok()).min()
        };
        lines.filter_map(of_line).min()
    }
}

/// A number of KiB behind a key at the beginning of a line, in bytes.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
}

/// Half of the descriptors that may be open: a client's connection may need a second one, to an upstream. 0 when there
/// is no bound on them.
pub(super) fn half_of_descriptors() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    soft.map_or(0, |soft| (soft / 2).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_least_limit_of_the_cgroups_above_and_the_machine() {
        let dir = std::env::temp_dir().join(format!("portcullis-memory-{}", std::process::id()));
        let (proc, cgroups) = (dir.join("proc"), dir.join("cgroup"));
        std::fs::create_dir_all(proc.join("self")).unwrap();
        std::fs::create_dir_all(cgroups.join("pod/box")).unwrap();
        std::fs::create_dir_all(cgroups.join("memory/old")).unwrap();
        let memory = Memory { proc: proc.clone(), cgroups: cgroups.clone() };
        assert_eq!((memory.limit(), memory.used()), (None, None));
        std::fs::write(proc.join("meminfo"), "MemTotal:       8192 kB\nMemFree: 1 kB\n").unwrap();
        std::fs::write(proc.join("self/status"), "Name: x\nVmRSS:\t  12 kB\n").unwrap();
        std::fs::write(proc.join("self/cgroup"), "0::/pod/box\n").unwrap();
        assert_eq!((memory.limit(), memory.used()), (Some(8192 * 1024), Some(12 * 1024)));
        std::fs::write(cgroups.join("pod/box/memory.max"), "max\n").unwrap();
        std::fs::write(cgroups.join("pod/memory.max"), "4194304\n").unwrap();
        assert_eq!(memory.limit(), Some(4_194_304));
        std::fs::write(proc.join("self/cgroup"), "5:cpu,memory:/old\n1:name=systemd:/\n").unwrap();
        std::fs::write(cgroups.join("memory/old/memory.limit_in_bytes"), "2097152\n").unwrap();
        assert_eq!(memory.limit(), Some(2_097_152));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
