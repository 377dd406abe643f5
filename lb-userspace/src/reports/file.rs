//! Whether the configuration file means what is served.

use std::path::{Path, PathBuf};

use crate::{
    config::{self, ConfigErrors, Parsed},
    digest::Digest,
    part::Part,
    plan::Content,
    serving::{Served, Serving},
};

/// What the configuration file was found to mean.
#[derive(Clone, Debug)]
pub(crate) struct FileJudged {
    /// Of the text (absent: it could not be read), and of the generation it
    /// was compared with.
    key: (Option<Digest>, Digest),
    out_of_sync: Option<String>,
}

impl FileJudged {
    /// `parsed` is what `text`, the content of the file `name`, means.
    pub(crate) fn of(name: &str, text: &str, parsed: Result<&Parsed, &ConfigErrors>, served: &Served) -> Self {
        Self::compare(name, text, parsed, &served.state.state.content, served.digest)
    }

    fn compare(
        name: &str,
        text: &str,
        parsed: Result<&Parsed, &ConfigErrors>,
        content: &Content,
        digest: Digest,
    ) -> Self {
        let out_of_sync = match parsed {
            Err(errors) => Some(format!("{name}: {errors}")),
            Ok(parsed) if parsed.config == content.config => None,
            Ok(_) => Some(format!("{name} means something else than is served")),
        };
        Self {
            key: (Some(Digest::of(text.as_bytes())), digest),
            out_of_sync,
        }
    }
}

/// A file to be judged, without the writer's lock: that of a thousand pools
/// takes seconds.
pub(crate) struct FileToJudge {
    path: PathBuf,
    content: Part<Content>,
    digest: Digest,
    known: Option<FileJudged>,
}

impl FileToJudge {
    /// A text that was judged is not judged again.
    pub(crate) fn judge(self) -> FileJudged {
        let Self {
            path,
            content,
            digest,
            known,
        } = self;
        let text = match config::read(&path) {
            Ok(text) => text,
            Err(errors) => {
                return FileJudged {
                    key: (None, digest),
                    out_of_sync: Some(format!("{}: {errors}", path.display())),
                };
            }
        };
        let key = (Some(Digest::of(text.as_bytes())), digest);
        if let Some(known) = known.filter(|known| known.key == key) {
            return known;
        }
        let name = name(&path);
        FileJudged::compare(&name, &text, config::parse(&name, &text).as_ref(), &content, digest)
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

impl Serving {
    /// What has to be judged for [`Self::known_out_of_sync`]; `None`: nothing
    /// is served.
    pub(crate) fn file_to_judge(&self) -> Option<FileToJudge> {
        let served = self.served.as_ref()?;
        Some(FileToJudge {
            path: self.config_file.clone(),
            content: served.state.state.content.clone(),
            digest: served.digest,
            known: self.file_judged.clone(),
        })
    }

    /// Why the configuration file did not mean what is served when it was
    /// judged last; `None`: it did.
    pub(crate) fn known_out_of_sync(&self) -> Option<String> {
        let served = self.served.as_ref()?;
        let known = self.file_judged.as_ref()?;
        if known.key.1 != served.digest {
            // A generation that came while the file was judged.
            return Some("the configuration file was not compared with this generation yet".to_owned());
        }
        known.out_of_sync.clone()
    }
}
