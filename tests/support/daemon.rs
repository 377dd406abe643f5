//! The real `holdfastd` and the real `holdfast`.

use std::{
    env, fs,
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    config::Fleet,
    contract::{Applied, Status, Why},
    netns::Namespace,
    pass,
    process::Process,
    scrape,
};

/// A daemon is ready within this, whatever it serves, or something is wrong.
const READY: Duration = Duration::from_mins(1);

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// `HOLDFAST_BIN_DIR`, else the nearest directory above this program that
    /// holds them, else the workspace's `target/debug`.
    pub fn find() -> Result<Self> {
        let complete = |directory: &Path| {
            ["holdfastd", "holdfast"]
                .iter()
                .all(|name| directory.join(name).is_file())
        };
        if let Some(directory) = env::var_os("HOLDFAST_BIN_DIR").map(PathBuf::from) {
            ensure!(
                complete(&directory),
                "HOLDFAST_BIN_DIR is {}, which has no holdfastd and holdfast: run `cargo xtask build`",
                directory.display()
            );
            return Ok(Self { directory });
        }
        let here = env::current_exe()?;
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug");
        let mut candidates = here.ancestors().skip(1).chain([workspace.as_path()]);
        let directory = candidates
            .find(|directory| complete(directory))
            .context("holdfastd and holdfast are not built: run `cargo xtask build`")?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    #[must_use]
    pub fn holdfastd(&self) -> PathBuf {
        self.directory.join("holdfastd")
    }

    /// The daemon of a build whose maps have another layout.
    #[must_use]
    pub fn relaid(&self) -> PathBuf {
        self.directory.join("holdfastd-relaid")
    }

    /// A build of the balancer for tests of upgrades: `later`, `refused`.
    #[must_use]
    pub fn program(&self, build: &str) -> PathBuf {
        pass::object().with_file_name(format!("balancer-{build}.o"))
    }

    #[must_use]
    pub fn holdfast(&self) -> PathBuf {
        self.directory.join("holdfast")
    }
}

/// Everything a daemon is started with, and the command line that talks to it.
#[derive(Clone, Debug)]
pub struct Installation {
    pub binaries: Binaries,
    /// The configuration file.
    pub config: PathBuf,
    pub state: PathBuf,
    pub socket: PathBuf,
    pub pins: PathBuf,
    pub log: PathBuf,
    /// Further arguments of the daemon.
    pub arguments: Vec<String>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Absent: a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// What it printed, as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not the JSON of the contract: {}", self.stdout))
    }

    /// Both streams, for messages.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Installation {
    /// Starts the daemon and waits until `status` answers.
    pub fn start(&self, namespace: &Namespace) -> Result<Process> {
        self.start_with(namespace, &[])
    }

    /// The same, with further arguments.
    pub fn start_with(&self, namespace: &Namespace, further: &[&str]) -> Result<Process> {
        self.start_by(namespace, Command::new(self.binaries.holdfastd()), further)
    }

    /// By a command that ends up as the daemon.
    pub fn start_by(&self, namespace: &Namespace, mut command: Command, further: &[&str]) -> Result<Process> {
        self.direct(&mut command);
        command.args(further);
        let mut daemon = Process::start(namespace, command, &self.log)?;
        daemon.wait_ready("holdfastd ready", READY, || {
            self.run(&["status"]).is_ok_and(|outcome| outcome.code == Some(0))
        })?;
        Ok(daemon)
    }

    /// Tells a command that ends up as the daemon where everything is.
    pub fn direct(&self, command: &mut Command) {
        command.arg("--config").arg(&self.config);
        command.arg("--state-dir").arg(&self.state);
        command.arg("--socket").arg(&self.socket);
        command.arg("--pin-dir").arg(&self.pins);
        command.args(&self.arguments).envs(self.environment.iter().cloned());
    }

    /// Runs `holdfast` with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Result<Outcome> {
        let output = Command::new(self.binaries.holdfast())
            .arg("--socket")
            .arg(&self.socket)
            .args(arguments)
            .output()
            .context("running holdfast")?;
        Ok(Outcome {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs `holdfast … -o json`, which must succeed.
    pub fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let arguments = [arguments, &["-o", "json"]].concat();
        let outcome = self.run(&arguments)?;
        if outcome.code != Some(0) {
            let code = outcome.code.map_or("a signal".to_owned(), |code| code.to_string());
            bail!("holdfast {}: exit {code}\n{}", arguments.join(" "), outcome.said());
        }
        outcome.json()
    }

    pub fn status(&self) -> Result<Status> {
        self.ask(&["status"])
    }

    /// Where the kernel sends a TCP flow.
    pub fn why_tcp(&self, source: SocketAddr, target: SocketAddr) -> Result<Why> {
        let (from, to) = (source.ip().to_string(), target.ip().to_string());
        let (from_port, to_port) = (source.port().to_string(), target.port().to_string());
        self.ask(&["why", &from, &from_port, &to, &to_port, "tcp"])
    }

    /// The same asked of the API, for who asks often: without a process for each.
    pub fn why_tcp_by_api(&self, source: SocketAddr, target: SocketAddr) -> Result<Why> {
        let stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(READY))?;
        let path = format!(
            "/v1/why?src={}&sport={}&dst={}&dport={}&proto=tcp",
            source.ip(),
            source.port(),
            target.ip(),
            target.port()
        );
        let (_, body) = scrape::get(stream, &path)?;
        serde_json::from_str(&body).with_context(|| body)
    }

    /// Writes the configuration file.
    pub fn write(&self, fleet: &Fleet) -> Result<()> {
        fs::write(&self.config, fleet.yaml()).with_context(|| format!("writing {}", self.config.display()))
    }

    /// Writes the configuration file and applies it.
    pub fn apply(&self, fleet: &Fleet) -> Result<Applied> {
        self.write(fleet)?;
        self.ask(&["apply", "-f", &self.config.to_string_lossy()])
    }

    /// The plan of a configuration, as the command line prints it.
    pub fn plan(&self, fleet: &Fleet) -> Result<Value> {
        self.write(fleet)?;
        self.ask(&["plan", "-f", &self.config.to_string_lossy()])
    }
}
