//! Where the daemon's log goes: text or JSON on stderr, or fields to journald.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    field::MakeExt as _,
    fmt::{self, format},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// journald where stderr leads there, else text
    #[default]
    Auto,
    /// One line each on stderr
    Text,
    /// One JSON object each on stderr
    Json,
    /// Fields to journald
    Journald,
}

/// systemd says so by naming the device and inode of stderr (systemd.exec(5)).
fn leads_to_journald() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

impl LogFormat {
    /// From now on everything is logged so; `HOLDFAST_LOG` says how much.
    pub fn install(self) {
        let filter = EnvFilter::try_from_env("HOLDFAST_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let layer = match self {
            Self::Auto if leads_to_journald() => journald(),
            Self::Journald => journald(),
            Self::Json => fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(std::io::stderr)
                .boxed(),
            Self::Auto | Self::Text => text(),
        };
        tracing_subscriber::registry().with(filter).with(layer).init();
    }
}

type Boxed = Box<
    dyn tracing_subscriber::Layer<tracing_subscriber::layer::Layered<EnvFilter, tracing_subscriber::Registry>>
        + Send
        + Sync,
>;

/// Names of fields are those of the journal: `HOLDFAST_EVENT`, `MESSAGE_ID`.
fn journald() -> Boxed {
    match tracing_journald::layer() {
        Ok(layer) => layer.with_field_prefix(None).boxed(),
        // Nobody listens there: stderr is better than nothing.
        Err(_) => text(),
    }
}

/// For people: without the id, and the event's name without its prefix.
fn text() -> Boxed {
    let fields = format::debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{value:?}"),
        "message_id" => Ok(()),
        name => write!(writer, "{}={value:?}", name.strip_prefix("holdfast.").unwrap_or(name)),
    });
    fmt::layer()
        .fmt_fields(fields.delimited(" "))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .boxed()
}
