//! The daemon as a process, under the names that every exporter uses.
#![expect(clippy::cast_precision_loss, reason = "ticks of a process are far below 2^52")]

use std::{fmt, fs};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::label;

/// As of now, from /proc/self (proc(5)).
#[derive(Clone, Debug)]
pub struct Process {
    /// User and system time, seconds.
    pub cpu: f64,
    pub resident: u64,
    pub virtual_memory: u64,
    pub open: u64,
    pub max_open: u64,
    /// Since the epoch, seconds.
    pub started: f64,
    pub threads: u64,
}

impl Process {
    /// `None`: /proc is not what it should be.
    #[must_use]
    pub fn look() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let open = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        Self::of(&stat, &boot, &limits, open)
    }

    /// `stat` is /proc/self/stat, `boot` /proc/stat.
    fn of(stat: &str, boot: &str, limits: &str, open: u64) -> Option<Self> {
        // The name in parentheses may hold anything; state is the third field.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let files = limits.lines().find(|line| line.starts_with("Max open files"))?;
        Some(Self {
            cpu: (field(14)? + field(15)?) as f64 / ticks,
            threads: field(20)?,
            started: boot.trim().parse::<f64>().ok()? + field(22)? as f64 / ticks,
            virtual_memory: field(23)?,
            resident: field(24)? * rustix::param::page_size() as u64,
            open,
            max_open: files.split_whitespace().nth(3)?.parse().unwrap_or(u64::MAX),
        })
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        label::counter(to, "process_cpu_seconds", "User and system time", Some(&self.cpu))?;
        label::gauge(to, "process_resident_memory_bytes", "Memory in RAM", &self.resident)?;
        label::gauge(
            to,
            "process_virtual_memory_bytes",
            "Address space",
            &self.virtual_memory,
        )?;
        label::gauge(to, "process_open_fds", "Open descriptors", &self.open)?;
        label::gauge(to, "process_max_fds", "Descriptors that may be open", &self.max_open)?;
        label::gauge(to, "process_threads", "Threads", &self.threads)?;
        label::gauge(
            to,
            "process_start_time_seconds",
            "When it was started, since the epoch",
            &self.started,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn fields_are_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 300 100 0 0 20 0 5 0 200 8192 3 18446744073709551615";
        let limits =
            "Limit Soft Hard Units\nMax open files            1024                 4096                 files\n";
        let process = Process::of(stat, "cpu 1\nbtime 1000\n", limits, 9).expect("all there");
        assert!((process.cpu - 4.0).abs() < 1e-9, "{process:?}");
        assert!((process.started - 1002.0).abs() < 1e-9, "{process:?}");
        assert_eq!((process.threads, process.open, process.max_open), (5, 9, 1024));
        assert_eq!(process.resident, 3 * rustix::param::page_size() as u64);
    }
}
