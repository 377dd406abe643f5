//! Whether the configuration file means what is served.

use crate::{
    config::{self, ConfigErrors, Parsed},
    digest::Digest,
    serving::{Served, Serving},
};

/// What the configuration file was found to mean.
pub(crate) struct FileJudged {
    /// Of the text, and of the generation it was compared with.
    key: (Digest, Digest),
    out_of_sync: Option<String>,
}

impl FileJudged {
    /// `parsed` is what `text`, the content of the file `name`, means.
    pub(crate) fn of(name: &str, text: &str, parsed: Result<&Parsed, &ConfigErrors>, served: &Served) -> Self {
        let out_of_sync = match parsed {
            Err(errors) => Some(format!("{name}: {errors}")),
            Ok(parsed) if parsed.config == served.state.state.content.config => None,
            Ok(_) => Some(format!("{name} means something else than is served")),
        };
        Self {
            key: (Digest::of(text.as_bytes()), served.digest),
            out_of_sync,
        }
    }
}

impl Serving {
    /// Why the configuration file does not mean what is served; `None`: it
    /// does. A text that was judged is not judged again: that of a thousand
    /// pools takes seconds.
    pub(super) fn out_of_sync(&mut self) -> Option<String> {
        let served = self.served.as_ref()?;
        let text = match config::read(&self.config_file) {
            Ok(text) => text,
            Err(errors) => return Some(format!("{}: {errors}", self.config_file.display())),
        };
        let key = (Digest::of(text.as_bytes()), served.digest);
        if let Some(known) = self.file_judged.as_ref().filter(|known| known.key == key) {
            return known.out_of_sync.clone();
        }
        let name = self.config_file.display().to_string();
        let judged = FileJudged::of(&name, &text, config::parse(&name, &text).as_ref(), served);
        self.file_judged.insert(judged).out_of_sync.clone()
    }
}
