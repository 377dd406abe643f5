//! The machine that the figures are of.

use std::fs;

use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    pub processor: String,
    /// Processors online.
    pub processors: usize,
    pub kernel: String,
    /// The kernel runs in a virtual machine.
    pub virtualized: bool,
    /// What the kernel says of indirect branches; retpolines cost.
    pub spectre_v2: String,
    /// Of the processor measured on, if it can be seen.
    pub frequency: String,
    /// The processor that measurements are pinned to.
    pub pinned_to: usize,
    /// Runnable tasks of all processors, averaged over a minute, when it began:
    /// neighbours make figures worse.
    pub load: String,
}

impl Machine {
    pub fn here(pinned_to: usize) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        Self {
            processor: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            processors: processors(&cpuinfo),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            virtualized: field(&cpuinfo, "flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            spectre_v2: read("/sys/devices/system/cpu/vulnerabilities/spectre_v2")
                .trim()
                .to_owned(),
            frequency: frequency(&cpuinfo, pinned_to),
            pinned_to,
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

fn frequency(cpuinfo: &str, processor: usize) -> String {
    let governor = read(&format!(
        "/sys/devices/system/cpu/cpu{processor}/cpufreq/scaling_governor"
    ));
    let now = field(cpuinfo, "cpu MHz").unwrap_or("unknown");
    if governor.is_empty() {
        format!("{now} MHz as reported; no governor can be seen, it may change under a run")
    } else {
        format!("{now} MHz, governor {}", governor.trim())
    }
}

fn processors(cpuinfo: &str) -> usize {
    cpuinfo.lines().filter(|line| line.starts_with("processor")).count()
}

/// The first value of this name in a list of `name : value`.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    Some(lines.find(|(key, _)| key.trim() == name)?.1.trim())
}

/// Empty where it cannot be read: what the kernel does not say is not known.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{field, processors};

    #[test]
    fn fields_of_cpuinfo_are_found_by_their_whole_name() {
        let text = "processor\t: 0\nmodel\t\t: 49\nmodel name\t: Some CPU @ 2.0: GHz\n";
        assert_eq!(field(text, "model name"), Some("Some CPU @ 2.0: GHz"));
        assert_eq!(field(text, "model"), Some("49"));
        assert_eq!(field(text, "name"), None);
    }

    #[test]
    fn every_processor_is_counted() {
        let text = "processor\t: 0\nmodel name\t: Some processor\n\nprocessor\t: 1\nmodel name\t: Some processor\n";
        assert_eq!(processors(text), 2);
    }
}
