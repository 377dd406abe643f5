//! The command line, run in this process against a fake daemon on a socket.

mod json;
mod parse;
mod run;
mod text;
mod ways;

use std::sync::Arc;

use clap::Parser;
use tempfile::TempDir;

use super::{
    args::Cli,
    conclude, execute,
    terminal::{Stream, Terminal},
};
use crate::api::{fake::Fake, held, socket};

/// What a command left behind.
#[derive(Debug)]
struct Ran {
    exit: u8,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).expect("stdout holds one document")
    }
}

/// A fake daemon, and a directory for its socket and for files.
struct Bench {
    directory: TempDir,
    fake: Arc<Fake>,
}

impl Bench {
    /// Must be called in a runtime, which ends the daemon with itself.
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = socket::bind(&directory.path().join("s")).expect("a socket");
        let fake = Arc::new(Fake::default());
        tokio::spawn(held::serve(listener, Arc::clone(&fake), std::future::pending()));
        Self { directory, fake }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Writes a file; its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("it can be written");
        path
    }

    async fn run(&self, args: &[&str]) -> Ran {
        let socket = self.path("s");
        let args = ["holdfast", "--socket", &socket]
            .into_iter()
            .chain(args.iter().copied());
        let cli = Cli::try_parse_from(args).expect("it parses");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut terminal = Terminal {
            out: unseen(&mut out),
            err: unseen(&mut err),
            format: cli.globals.format(),
            width: 100,
        };
        let ended = execute(&cli, &mut terminal).await;
        let exit = conclude(ended, &cli.command, &mut terminal);
        let text = |bytes| String::from_utf8(bytes).expect("it is text");
        Ran {
            exit,
            out: text(out),
            err: text(err),
        }
    }
}

const fn unseen(to: &mut Vec<u8>) -> Stream<'_> {
    Stream {
        to,
        is_seen: false,
        color: false,
    }
}

/// A configuration in which every rule holds.
const CONFIG: &str = "\
apiVersion: holdfast/v1
environment: lab
node: { interfaces: [{ name: lb0, mode: native }], encapSource: { v4: 10.255.0.0/16 }, hashKeyFile: /var/lib/holdfast/hash.key }
pools: [{ name: web, encap: ipip, table: minmove, backends: [{ name: be1, address: 10.0.1.11, weight: 100 }] }]
vips: [{ name: web4, address: 203.0.113.10, port: 443, protocol: tcp, pool: web }]
";
