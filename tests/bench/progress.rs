//! What is going on, on standard error: a bar on a terminal, lines elsewhere.

use std::{
    cell::RefCell,
    io::{self, IsTerminal as _},
};

use indicatif::{ProgressBar, ProgressStyle};

pub struct Progress {
    draws: bool,
    bar: RefCell<Option<ProgressBar>>,
}

impl Progress {
    pub fn new() -> Self {
        Self {
            draws: io::stderr().is_terminal(),
            bar: RefCell::new(None),
        }
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        match &*self.bar.borrow() {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// A part of so many steps.
    pub fn begin(&self, part: &str, steps: usize) {
        if !self.draws {
            self.say(&format!("{part}: {steps} steps"));
            return;
        }
        let style = ProgressStyle::with_template("{prefix:>10} [{bar:30}] {pos}/{len} {elapsed} · {wide_msg}");
        let bar = ProgressBar::new(steps as u64).with_prefix(part.to_owned());
        bar.set_style(
            style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        );
        self.bar.replace(Some(bar));
    }

    pub fn step(&self, what: &str) {
        if let Some(bar) = &*self.bar.borrow() {
            bar.set_message(what.to_owned());
            bar.inc(1);
        }
    }

    pub fn end(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
