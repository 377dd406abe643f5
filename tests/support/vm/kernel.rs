//! Kernels that `cargo xtask test` unpacked from Debian's packages.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

/// A kernel to boot.
#[derive(Clone, Debug)]
pub struct Kernel {
    directory: PathBuf,
}

impl Kernel {
    /// All there are; `HOLDFAST_VM_DIR` says where, else they are in the
    /// workspace's `target/vm`. None at all is an error.
    pub fn all() -> Result<Vec<Self>> {
        let folder = env::var_os("HOLDFAST_VM_DIR").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/vm"),
            PathBuf::from,
        );
        let how = || format!("no kernels in {}: run `cargo xtask test`", folder.display());
        let mut kernels = Vec::new();
        for entry in fs::read_dir(&folder).with_context(how)? {
            let directory = entry?.path();
            if directory.join("vmlinuz").is_file() {
                kernels.push(Self { directory });
            }
        }
        ensure!(!kernels.is_empty(), how());
        kernels.sort_by_key(|kernel| version(&kernel.release()));
        Ok(kernels)
    }

    pub fn oldest() -> Result<Self> {
        Ok(Self::all()?.remove(0))
    }

    pub fn newest() -> Result<Self> {
        Self::all()?.pop().context("no kernel")
    }

    /// `6.1.0-56-cloud-amd64`.
    #[must_use]
    pub fn release(&self) -> String {
        let name = self.directory.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    #[must_use]
    pub fn vmlinuz(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// What it loads, in this order: `00-virtio.ko`, `01-…`.
    pub fn modules(&self) -> Result<Vec<PathBuf>> {
        let folder = self.directory.join("modules");
        let found = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        let mut modules = found.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
        modules.sort();
        Ok(modules)
    }
}

/// The numbers of a release: 6, 12, 117, 12 of `6.12.117+deb12-cloud-amd64`.
fn version(release: &str) -> Vec<u64> {
    let numbers = release.split(|separator: char| !separator.is_ascii_digit());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn releases_are_ordered_by_number_and_not_by_letter() {
        assert!(version("6.1.0-56-cloud-amd64") < version("6.12.117+deb12-cloud-amd64"));
        assert!(version("6.12.117+deb12-cloud-amd64") > version("6.2.0-cloud-amd64"));
        assert!(version("5.10.0-40-cloud-amd64") < version("6.1.0-9-cloud-amd64"));
    }
}
