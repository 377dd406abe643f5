//! Rules about how a pool is checked.

use std::{collections::HashMap, path::Path};

use serde_saphyr::Spanned;

use super::{Judge, Seen};
use crate::config::{
    Check, Damping, Health, Milliseconds, Percent, Pool, Statuses, Velocity,
    file::{FileDamping, FileExec, FileHealth, FileHttp, FilePool, FileVelocity, FileVip, Number, Text},
    limits::{
        DEFAULT_FALL, DEFAULT_INTERVAL, DEFAULT_RISE, DEFAULT_TIMEOUT, MAX_ARGUMENTS, MAX_BACKENDS_IN_POOL,
        MAX_CHECK_TEXT, MAX_CHECKS, MAX_INTERVAL, MAX_PENALTY, MAX_PORT, MAX_SLOW_START, MIN_HALF_LIFE, MIN_INTERVAL,
        MIN_PORT, MIN_TIMEOUT, MIN_WINDOW,
    },
    place::Place,
    problem::Problem,
};

/// What a pool says about health, beside its backends.
pub struct JudgedHealth {
    pub health: Option<Health>,
    pub panic_threshold: Percent,
    pub fallback_pool: Option<String>,
}

/// Names of the VIPs that use each pool, also by falling back on it, and their
/// ports as they are written.
pub struct Users<'f>(HashMap<&'f str, Vec<(&'f str, i128)>>);

impl<'f> Users<'f> {
    pub fn of(vips: &'f [FileVip], pools: &'f [FilePool]) -> Self {
        let mut users: HashMap<&str, Vec<(&str, i128)>> = HashMap::new();
        for vip in vips {
            if let Number::Whole(port) = vip.port.value {
                users
                    .entry(vip.pool.value.as_str())
                    .or_default()
                    .push((vip.name.value.as_str(), port));
            }
        }
        let direct = users.clone();
        for pool in pools {
            if let (Some(fallback), Some(vips)) = (&pool.fallback_pool, direct.get(pool.name.value.as_str())) {
                users.entry(fallback.value.as_str()).or_default().extend(vips);
            }
        }
        Self(users)
    }

    /// Their one port, or why there is none.
    fn port(&self, pool: &str) -> Result<u16, Problem> {
        let vips = self.0.get(pool).map_or(&[][..], Vec::as_slice);
        let all_same = vips.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let port = vips.first().and_then(|(_, port)| u16::try_from(*port).ok());
        port.filter(|port| all_same && *port >= MIN_PORT)
            .ok_or_else(|| Problem::CheckPort {
                pool: pool.to_owned(),
                vips: vips
                    .iter()
                    .take(8)
                    .map(|(name, port)| format!("{name} ({port})"))
                    .collect(),
            })
    }
}

pub fn of_pool(judge: &mut Judge, file: &FilePool, users: &Users<'_>) -> Option<JudgedHealth> {
    let health = match &file.health {
        Some(written) => health(judge, file, written, users).map(Some),
        None => Some(None),
    };
    let panic_threshold = judge.percent_or_zero(file.panic_threshold.as_ref());
    if file.health.is_none() {
        let panic = file.panic_threshold.as_ref().map(|text| ("panicThreshold", text));
        let fallback = file.fallback_pool.as_ref().map(|text| ("fallbackPool", text));
        for (key, text) in panic.into_iter().chain(fallback) {
            judge.refuse(Problem::NeedsHealth(key), Place::of(text));
        }
    }
    Some(JudgedHealth {
        health: health?,
        panic_threshold: panic_threshold?,
        fallback_pool: file.fallback_pool.as_ref().map(|text| text.value.clone()),
    })
}

/// A pool falls back on another one, and nobody on it in turn: a second
/// fallback would never be asked.
pub fn fallbacks(judge: &mut Judge, files: &[FilePool]) {
    let mut places = Seen::new();
    for file in files {
        places.earlier(file.name.value.as_str(), Place::of(&file.name));
    }
    let next: HashMap<&str, &Text> = files
        .iter()
        .filter_map(|file| Some((file.name.value.as_str(), file.fallback_pool.as_ref()?)))
        .collect();
    for file in files {
        let Some(fallback) = &file.fallback_pool else {
            continue;
        };
        let problem = if !places.0.contains_key(fallback.value.as_str()) {
            Problem::UnknownPool {
                pool: fallback.value.clone(),
                known: files.iter().take(64).map(|file| file.name.value.clone()).collect(),
            }
        } else if fallback.value == file.name.value {
            Problem::FallbackItself(file.name.value.clone())
        } else if let Some(further) = next.get(fallback.value.as_str()) {
            Problem::FallbackChain {
                pool: file.name.value.clone(),
                fallback: fallback.value.clone(),
                further: further.value.clone(),
            }
        } else {
            continue;
        };
        judge.refuse(problem, Place::of(fallback));
    }
}

fn health(judge: &mut Judge, pool: &FilePool, written: &Spanned<FileHealth>, users: &Users<'_>) -> Option<Health> {
    let file = &written.value;
    let check = check(judge, pool, written, users);
    let via = judge.word_or_default("via", file.via.as_ref());
    let interval = judge.span(
        "interval",
        file.interval.as_ref(),
        MIN_INTERVAL,
        MAX_INTERVAL,
        DEFAULT_INTERVAL,
    );
    let shorter = interval.map_or(DEFAULT_TIMEOUT, |interval| interval.min(DEFAULT_TIMEOUT));
    let timeout = judge.span("timeout", file.timeout.as_ref(), MIN_TIMEOUT, MAX_INTERVAL, shorter);
    let rise = number_or(judge, "rise", file.rise.as_ref(), (1, MAX_CHECKS), DEFAULT_RISE);
    let fall = number_or(judge, "fall", file.fall.as_ref(), (1, MAX_CHECKS), DEFAULT_FALL);
    let initial = judge.word_or_default("initial", file.initial.as_ref());
    let none = Milliseconds::default();
    let slow_start = judge.span("slowStart", file.slow_start.as_ref(), none, MAX_SLOW_START, none);
    let floor = judge.percent_or_zero(file.floor.as_ref());
    let velocity = match &file.velocity {
        Some(file) => velocity(judge, file).map(Some),
        None => Some(None),
    };
    let damping = match &file.damping {
        Some(file) => damping(judge, file),
        None => Some(Damping::default()),
    };
    if let (Some(text), Some(interval), Some(timeout)) = (&file.timeout, interval, timeout)
        && timeout > interval
    {
        judge.refuse(Problem::TimeoutOrder { timeout, interval }, Place::of(text));
        return None;
    }
    Some(Health {
        check: check?,
        via: via?,
        interval: interval?,
        timeout: timeout?,
        rise: rise?,
        fall: fall?,
        initial: initial?,
        slow_start: slow_start?,
        floor: floor?,
        velocity: velocity?,
        damping: damping?,
    })
}

/// The one check there is.
fn check(judge: &mut Judge, pool: &FilePool, written: &Spanned<FileHealth>, users: &Users<'_>) -> Option<Check> {
    let file = &written.value;
    let kinds = [
        ("tcp", file.tcp.is_some()),
        ("http", file.http.is_some()),
        ("icmp", file.icmp.is_some()),
        ("udp", file.udp.is_some()),
        ("dns", file.dns.is_some()),
        ("exec", file.exec.is_some()),
    ];
    let there: Vec<&str> = kinds
        .iter()
        .filter(|(_, there)| *there)
        .map(|(kind, _)| *kind)
        .collect();
    if there.len() != 1 {
        judge.refuse(Problem::CheckKinds(there), Place::of(written));
        return None;
    }
    let name = &pool.name.value;
    if let Some(tcp) = &file.tcp {
        let port = port(judge, name, tcp.value.port.as_ref(), Place::of(tcp), users)?;
        return Some(Check::Tcp { port });
    }
    if let Some(http) = &file.http {
        let port = port(judge, name, http.value.port.as_ref(), Place::of(http), users);
        return self::http(judge, &http.value, port);
    }
    if let Some(udp) = &file.udp {
        let port = port(judge, name, udp.value.port.as_ref(), Place::of(udp), users);
        let any = |_: char| true;
        let send = check_text(judge, "send", &udp.value.send, "1024 bytes at most", any);
        let expect = match &udp.value.expect {
            Some(text) => check_text(judge, "expect", text, "1024 bytes at most", any),
            None => Some(String::new()),
        };
        return Some(Check::Udp {
            port: port?,
            send: send?,
            expect: expect?,
        });
    }
    if let Some(dns) = &file.dns {
        let port = port(judge, name, dns.value.port.as_ref(), Place::of(dns), users);
        let name = dns_name(judge, &dns.value.name);
        let record = judge.word_or_default("record", dns.value.record.as_ref());
        return Some(Check::Dns {
            port: port?,
            name: name?,
            record: record?,
        });
    }
    match &file.exec {
        Some(exec) => self::exec(judge, &exec.value),
        None => Some(Check::Icmp {}),
    }
}

fn http(judge: &mut Judge, file: &FileHttp, port: Option<u16>) -> Option<Check> {
    let printable = |c: char| c.is_ascii_graphic();
    let path = match &file.path {
        Some(text) if !text.value.starts_with('/') => {
            refuse_text(judge, "path", text, "a path that begins with /");
            None
        }
        Some(text) => check_text(judge, "path", text, "printable ASCII, 1024 bytes at most", printable),
        None => Some("/".to_owned()),
    };
    let host = match &file.host {
        Some(text) if text.value.is_empty() => {
            refuse_text(judge, "host", text, "a host name");
            None
        }
        Some(text) => check_text(judge, "host", text, "a host name", printable).map(Some),
        None => Some(None),
    };
    let tls = judge.word_or_default("tls", file.tls.as_ref());
    let status = match &file.status {
        Some(text) => {
            let status = text.value.parse::<Statuses>().ok();
            if status.is_none() {
                refuse_text(judge, "status", text, "a status of 100 to 599, or a range: \"200-399\"");
            }
            status
        }
        None => Some(Statuses::default()),
    };
    Some(Check::Http {
        port: port?,
        path: path?,
        host: host?,
        tls: tls?,
        status: status?,
    })
}

fn exec(judge: &mut Judge, file: &FileExec) -> Option<Check> {
    let command = &file.command.value;
    judge.at_most("words of a command", MAX_ARGUMENTS, command, |word| word);
    let Some(program) = command.first() else {
        let what = "health.exec.command".to_owned();
        judge.refuse(Problem::NoneGiven(what, "program"), Place::of(&file.command));
        return None;
    };
    if !Path::new(&program.value).is_absolute() {
        judge.refuse(Problem::PathInvalid(program.value.clone()), Place::of(program));
        return None;
    }
    let words = command
        .iter()
        .map(|word| check_text(judge, "command", word, "1024 bytes at most, without NUL", |c| c != '\0'));
    let words: Vec<Option<String>> = words.collect();
    Some(Check::Exec {
        command: words.into_iter().collect::<Option<_>>()?,
    })
}

fn dns_name(judge: &mut Judge, text: &Text) -> Option<String> {
    let name = text.value.trim_end_matches('.');
    let labels = name.split('.').all(|label| (1..=63).contains(&label.len()));
    if !labels || name.len() > 253 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        refuse_text(judge, "name", text, "a domain name (RFC 1035 §2.3.4)");
        return None;
    }
    Some(name.to_owned())
}

fn check_text(
    judge: &mut Judge,
    key: &'static str,
    text: &Text,
    wanted: &'static str,
    takes: impl Fn(char) -> bool,
) -> Option<String> {
    if text.value.len() <= MAX_CHECK_TEXT && text.value.chars().all(takes) {
        return Some(text.value.clone());
    }
    refuse_text(judge, key, text, wanted);
    None
}

fn refuse_text(judge: &mut Judge, key: &'static str, text: &Text, wanted: &'static str) {
    let written = text.value.clone();
    judge.refuse(Problem::CheckText { key, written, wanted }, Place::of(text));
}

fn port(
    judge: &mut Judge,
    pool: &str,
    written: Option<&Spanned<Number>>,
    place: Place,
    users: &Users<'_>,
) -> Option<u16> {
    match written {
        Some(written) => judge
            .number("port", written, MIN_PORT.into(), MAX_PORT.into())
            .map(|port| port as u16),
        None => match users.port(pool) {
            Ok(port) => Some(port),
            Err(problem) => {
                judge.refuse(problem, place);
                None
            }
        },
    }
}

fn number_or(
    judge: &mut Judge,
    key: &'static str,
    written: Option<&Spanned<Number>>,
    (min, max): (u32, u32),
    default: u32,
) -> Option<u32> {
    written.map_or(Some(default), |written| judge.number(key, written, min, max))
}

fn velocity(judge: &mut Judge, file: &FileVelocity) -> Option<Velocity> {
    let default = Velocity::default();
    let most = MAX_BACKENDS_IN_POOL as u32;
    let percent = number_or(judge, "percent", file.percent.as_ref(), (0, 100), default.percent);
    let count = number_or(judge, "count", file.count.as_ref(), (0, most), default.count);
    let window = judge.span("window", file.window.as_ref(), MIN_WINDOW, MAX_INTERVAL, default.window);
    Some(Velocity {
        percent: percent?,
        count: count?,
        window: window?,
    })
}

fn damping(judge: &mut Judge, written: &Spanned<FileDamping>) -> Option<Damping> {
    let (file, default) = (&written.value, Damping::default());
    let suppress = number_or(
        judge,
        "suppress",
        file.suppress.as_ref(),
        (0, MAX_PENALTY),
        default.suppress,
    );
    let reuse = number_or(judge, "reuse", file.reuse.as_ref(), (1, MAX_PENALTY), default.reuse);
    let half_life = judge.span(
        "halfLife",
        file.half_life.as_ref(),
        MIN_HALF_LIFE,
        MAX_INTERVAL,
        default.half_life,
    );
    let (suppress, reuse) = (suppress?, reuse?);
    if suppress > 0 && reuse >= suppress {
        judge.refuse(Problem::DampingOrder { reuse, suppress }, Place::of(written));
        return None;
    }
    Some(Damping {
        suppress,
        reuse,
        half_life: half_life?,
    })
}

/// The pool with what is said of its health.
pub fn into_pool(pool: Pool, judged: JudgedHealth) -> Pool {
    Pool {
        health: judged.health,
        panic_threshold: judged.panic_threshold,
        fallback_pool: judged.fallback_pool,
        ..pool
    }
}
