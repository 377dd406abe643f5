//! With OpenSSH itself: it takes what we sign, and we take what it signs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use super::{
    super::{Signers, sign, verify},
    NAMESPACE, PLAN, line, now, unasked,
};

/// A directory, and OpenSSH's commands in it.
pub struct OpenSsh {
    dir: TempDir,
}

impl OpenSsh {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command with nothing to ask anybody with.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_remove("DISPLAY")
            .env_remove("SSH_AUTH_SOCK")
            .env("SSH_ASKPASS_REQUIRE", "never")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, program: &str, arguments: &[&str], input: Option<&Path>) -> Output {
        let mut command = self.command(program, arguments);
        if let Some(path) = input {
            command.stdin(File::open(path).unwrap());
        }
        command
            .output()
            .unwrap_or_else(|error| panic!("{program}, of Debian's openssh-client: {error}"))
    }

    /// Makes a key.
    pub fn keygen(&self, name: &str, options: &[&str]) -> PathBuf {
        let arguments = [&["-q", "-C", "", "-f", name], options].concat();
        succeeded(&self.run("ssh-keygen", &arguments, None));
        self.path(name)
    }

    pub fn fingerprint(&self, name: &str) -> String {
        let output = self.run("ssh-keygen", &["-l", "-f", &format!("{name}.pub")], None);
        let words = succeeded(&output);
        words.split(' ').nth(1).unwrap().to_owned()
    }

    pub fn public(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.trim_end().to_owned()
    }

    /// What `ssh-keygen -Y sign` makes of the plan.
    fn sign(&self, name: &str, options: &[&str]) -> String {
        let plan = self.path("plan");
        fs::write(&plan, PLAN).unwrap();
        let arguments = [&["-Y", "sign", "-q", "-f", name, "-n", NAMESPACE], options].concat();
        succeeded(&self.run("ssh-keygen", &arguments, Some(&plan)))
    }

    /// Whether `ssh-keygen -Y verify` takes a signature of `message`, as
    /// that of alice, with the same file of signers as we.
    fn takes(&self, signature: &str, message: &[u8], signers: &str) -> bool {
        for (name, content) in [
            ("sig", signature.as_bytes()),
            ("message", message),
            ("signers", signers.as_bytes()),
        ] {
            fs::write(self.path(name), content).unwrap();
        }
        let arguments = [
            "-Y",
            "verify",
            "-f",
            "signers",
            "-I",
            "alice@corp",
            "-n",
            NAMESPACE,
            "-s",
            "sig",
        ];
        let output = self.run("ssh-keygen", &arguments, Some(&self.path("message")));
        output.status.success()
    }
}

pub fn succeeded(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

const TYPES: [(&str, &str); 2] = [("ed25519", "256"), ("ecdsa", "256")];

#[test]
fn openssh_takes_what_we_sign() {
    for (key_type, bits) in TYPES {
        let openssh = OpenSsh::new();
        let key = openssh.keygen("key", &["-t", key_type, "-b", bits, "-N", ""]);
        let signed = sign::with_file(PLAN, &key, unasked).unwrap();
        let signers = line("alice@corp", &openssh.public("key"));
        assert!(openssh.takes(&signed.armored, PLAN, &signers), "{key_type}");
        assert!(!openssh.takes(&signed.armored, &PLAN[1..], &signers), "{key_type}");
        assert_eq!(signed.fingerprint, openssh.fingerprint("key"));
    }
}

#[test]
fn we_take_what_openssh_signs() {
    for (key_type, bits) in TYPES {
        let openssh = OpenSsh::new();
        openssh.keygen("key", &["-t", key_type, "-b", bits, "-N", ""]);
        let text = line("alice@corp", &openssh.public("key"));
        let signers = Signers::parse(&text).unwrap();
        for options in [&[][..], &["-O", "hashalg=sha256"]] {
            let signature = openssh.sign("key", options);
            let taken = verify(PLAN, &signature, &signers, now()).unwrap();
            assert_eq!(taken.principals, ["alice@corp"]);
            assert_eq!(taken.fingerprint, openssh.fingerprint("key"));
            assert!(verify(&PLAN[1..], &signature, &signers, now()).is_err());
            assert!(openssh.takes(&signature, PLAN, &text));
        }
    }
}

#[test]
fn we_sign_byte_for_byte_as_openssh() {
    let openssh = OpenSsh::new();
    // Signatures of Ed25519 have no chance in them.
    let key = openssh.keygen("key", &["-t", "ed25519", "-N", ""]);
    let ours = sign::with_file(PLAN, &key, unasked).unwrap().armored;
    assert_eq!(ours, openssh.sign("key", &[]));
}

#[test]
fn openssh_reads_times_as_we_do() {
    let openssh = OpenSsh::new();
    let key = openssh.keygen("key", &["-t", "ed25519", "-N", ""]);
    let signature = sign::with_file(PLAN, &key, unasked).unwrap().armored;
    let key = openssh.public("key");
    let today = jiff::Timestamp::now();
    for (options, valid) in [
        ("valid-after=\"20200101Z\"", true),
        ("valid-before=\"20200101Z\"", false),
        ("valid-after=\"21000101000000Z\"", false),
        ("valid-before=\"210001010000Z\"", true),
    ] {
        let text = format!("alice@corp namespaces=\"git,{NAMESPACE}\",{options} {key}\n");
        assert_eq!(openssh.takes(&signature, PLAN, &text), valid, "{options}");
        let signers = Signers::parse(&text).unwrap();
        assert_eq!(verify(PLAN, &signature, &signers, today).is_ok(), valid, "{options}");
    }
}
