//! What the kernel counted by interface. It does for every frame that came in,
//! also for those that XDP drops, sends back or redirects (`rx_packets` of
//! `struct rtnl_link_stats64`, include/uapi/linux/if_link.h), whatever they
//! were for; the program counts nothing by interface.

use std::{collections::BTreeMap, fs};

use lb_common::abi::counters::Counter;

/// By name, of every interface of this network namespace, since the interface
/// is there; none where /proc does not say it.
#[must_use]
pub fn by_interface() -> BTreeMap<String, Counter> {
    // Of the process, not of the mount namespace, as /sys/class/net would be.
    match fs::read_to_string("/proc/self/net/dev") {
        Ok(text) => parse(&text),
        Err(error) => {
            tracing::debug!(%error, "/proc/self/net/dev could not be read");
            BTreeMap::new()
        }
    }
}

/// proc_pid_net(5): after two lines of headings a name, a colon, bytes and
/// packets received, and more.
fn parse(text: &str) -> BTreeMap<String, Counter> {
    let of_line = |line: &str| {
        let (name, counts) = line.split_once(':')?;
        let mut counts = counts.split_whitespace().map(str::parse);
        let (bytes, packets) = (counts.next()?.ok()?, counts.next()?.ok()?);
        Some((name.trim().to_owned(), Counter { packets, bytes }))
    };
    text.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use lb_common::abi::counters::Counter;

    use super::parse;

    #[test]
    fn names_and_counts_are_found_below_the_headings() {
        let text = "Inter-|   Receive                            |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo:       0       0    0    0    0     0          0         0        0       0    0
a-long-name-15c:18446744073709551615 42 0 0 0 0 0 0 1 2 3
";
        let found = parse(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found["lo"], Counter::default());
        let counted = Counter {
            packets: 42,
            bytes: u64::MAX,
        };
        assert_eq!(found["a-long-name-15c"], counted);
    }
}
