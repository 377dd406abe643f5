//! Prometheus itself takes what the daemon gives it: metrics, and alert rules.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use support::{
    process::Process,
    rig::{Layout, Rig},
    scrape::Scrape,
    topology::Shape,
    wait,
};

const METRICS: &str = "127.0.0.1:9460";
const SERVER: &str = "127.0.0.1:9090";
const SOON: Duration = Duration::from_secs(40);

/// What `cargo xtask test` fetched.
fn program(name: &str) -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let path = cache.context("no HOME")?.join("holdfast/prometheus/usr/bin").join(name);
    ensure!(
        path.is_file(),
        "{} is not there: run `cargo xtask test`",
        path.display()
    );
    Ok(path)
}

/// An answer of the server, asked in its network.
fn ask(rig: &Rig, path: &str) -> Result<Value> {
    let answer = rig.network.balancer.run(|| -> Result<String> {
        let mut stream = TcpStream::connect(SERVER)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })??;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    serde_json::from_str(body).with_context(|| format!("{head}\n{body}"))
}

fn export_rules(rig: &Rig) -> Result<PathBuf> {
    let rules = rig.installation.run(&["export", "prometheus-rules"])?;
    ensure!(rules.code == Some(0), "{}", rules.said());
    let path = rig.directory().join("rules.yaml");
    fs::write(&path, rules.stdout)?;
    Ok(path)
}

#[test]
fn prometheus_takes_every_metric_and_evaluates_every_alert_rule() -> Result<()> {
    let (prometheus, promtool) = (program("prometheus")?, program("promtool")?);
    let mut rig = Rig::build(&Layout::of(Shape::OneArm, 2).beside())?;
    rig.stop_daemon()?;
    rig.installation.arguments = ["--metrics", METRICS].map(str::to_owned).into();
    rig.start_daemon()?;
    let rules = export_rules(&rig)?;
    let checked = Command::new(&promtool).args(["check", "rules"]).arg(&rules).output()?;
    let said = [checked.stdout, checked.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(checked.status.success() && said.contains("SUCCESS"), "{said}");

    let configuration = rig.directory().join("prometheus.yaml");
    let text = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
         rule_files: [{}]\n\
         scrape_configs: [{{ job_name: holdfast, static_configs: [{{ targets: [\"{METRICS}\"] }}] }}]\n",
        rules.display()
    );
    fs::write(&configuration, text)?;
    let mut command = Command::new(&prometheus);
    command.arg(format!("--config.file={}", configuration.display()));
    command.arg(format!(
        "--storage.tsdb.path={}",
        rig.directory().join("tsdb").display()
    ));
    command.arg(format!("--web.listen-address={SERVER}"));
    let mut server = Process::start(&rig.network.balancer, command, &rig.directory().join("prometheus.log"))?;
    server.wait_ready("a scrape by Prometheus", SOON, || {
        ask(&rig, "/api/v1/query?query=up").is_ok_and(|answer| answer["data"]["result"][0]["value"][1] == "1")
    })?;

    // Every family that the daemon gives with samples has arrived under its name.
    let names = wait::until(SOON, "names of metrics", || {
        let answer = ask(&rig, "/api/v1/label/__name__/values").ok()?;
        let names = answer["data"].as_array()?.clone();
        (names.len() > 10).then_some(names)
    })?;
    let scrape = Scrape::of_socket(&rig.installation.socket)?;
    for sample in scrape.samples.keys() {
        let name = sample.split('{').next().unwrap_or(sample);
        ensure!(names.iter().any(|of| of == name), "{name} did not arrive: {names:?}");
    }
    let types = ask(&rig, "/api/v1/metadata?metric=holdfast_xdp_packets")?;
    assert_eq!(types["data"]["holdfast_xdp_packets"][0]["type"], "counter", "{types}");

    // The first evaluation may come before the first scrape; after that a rig that
    // is well is no alert, not even for a moment.
    let rules = || -> Option<Vec<Value>> {
        let answer = ask(&rig, "/api/v1/rules").ok()?;
        Some(answer["data"]["groups"][0]["rules"].as_array()?.clone())
    };
    let rules_seen = wait::until(SOON, "every rule evaluated, and none an alert", || {
        let rules = rules()?;
        let is_calm = |rule: &Value| rule["health"] == "ok" && rule["state"] == "inactive";
        (!rules.is_empty() && rules.iter().all(is_calm)).then_some(rules)
    })
    .with_context(|| format!("{:#?}", rules()))?;
    ensure!(rules_seen.len() > 10, "{}", rules_seen.len());
    server.terminate()?;
    Ok(())
}
