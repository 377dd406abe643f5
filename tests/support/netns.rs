//! Network namespaces: made with `ip`, entered by threads.
//!
//! A thread that enters a namespace stays there; a process it starts, and a
//! socket it makes, belong to that namespace for good. Only the network
//! namespace changes: mounts stay those of the test, pins included.

use std::{
    fs::{self, File},
    io::Write as _,
    os::fd::AsFd as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace of this run; removed when dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one: loopback up, IPv6 off (its neighbour and router discovery
    /// would add packets of its own to every counter), no reverse path filter.
    pub fn create(name: String) -> Result<Self> {
        ip(&["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        for scope in ["all", "default"] {
            namespace.sysctl(&format!("ipv6/conf/{scope}/disable_ipv6"), "1")?;
            namespace.sysctl(&format!("ipv4/conf/{scope}/rp_filter"), "0")?;
        }
        Ok(namespace)
    }

    /// IPv6 with addresses that are good at once: nobody asks first whether
    /// somebody else has them, and no router is looked for. For links made
    /// from now on.
    pub fn turn_ipv6_on(&self) -> Result<()> {
        for (key, value) in [("accept_dad", "0"), ("accept_ra", "0"), ("router_solicitations", "0")] {
            self.sysctl(&format!("ipv6/conf/default/{key}"), value)?;
        }
        for scope in ["all", "default"] {
            self.sysctl(&format!("ipv6/conf/{scope}/disable_ipv6"), "0")?;
        }
        Ok(())
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with these words in the namespace.
    pub fn ip(&self, words: &str) -> Result<String> {
        let mut arguments = vec!["-n", &self.name];
        arguments.extend(words.split_whitespace());
        ip(&arguments)
    }

    /// Sets `net/<key>`; `/proc/sys/net` is that of the thread that opens it.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{key}");
        self.run(|| fs::write(&path, value))?
            .with_context(|| format!("writing {value} to {path} in {}", self.name))
    }

    /// Runs a closure in the namespace and waits for it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.path();
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                enter(&path)?;
                Ok(work())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread in the namespace.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let path = self.path();
        let inside = move || {
            enter(&path)?;
            Ok(work())
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(inside)
            .with_context(|| format!("starting the thread {name}"))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(err) = ip(&["netns", "del", &self.name]) {
            eprintln!("warning: {err:#}");
        }
    }
}

fn enter(path: &PathBuf) -> Result<()> {
    let namespace = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("entering {}", path.display()))
}

/// Runs `ip` and gives what it printed.
pub fn ip(arguments: &[&str]) -> Result<String> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .context("running `ip` (Debian package iproute2)")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("ip {}: {}", arguments.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs many `ip` commands in one process, in order; stops at the first error.
pub fn ip_batch(commands: &[String]) -> Result<()> {
    batch(&["-batch", "-"], commands)
}

/// The same in a namespace.
pub fn ip_batch_in(namespace: &str, commands: &[String]) -> Result<()> {
    batch(&["-n", namespace, "-batch", "-"], commands)
}

fn batch(arguments: &[&str], commands: &[String]) -> Result<()> {
    let mut child = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("running `ip` (Debian package iproute2)")?;
    let mut input = child.stdin.take().context("`ip` has no standard input")?;
    input.write_all(commands.join("\n").as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "ip {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
