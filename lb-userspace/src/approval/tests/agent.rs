//! Signing with an ssh-agent: OpenSSH's, and one that misbehaves.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{BadKey, SignError, Signers, agent, sign, verify, wire::put_string},
    PLAN, ed25519, fingerprint,
    interop::{OpenSsh, succeeded},
    line, now, p256, signers, token,
};

/// An ssh-agent of our own; it ends with the test.
struct Running {
    openssh: OpenSsh,
    socket: PathBuf,
    process: Child,
}

impl Running {
    fn start() -> Self {
        let openssh = OpenSsh::new();
        let socket = openssh.path("agent");
        let arguments = ["-D", "-a", socket.to_str().unwrap()];
        // Asked to confirm, it has nobody to ask.
        let process = openssh
            .command("ssh-agent", &arguments)
            .env("SSH_ASKPASS", "/bin/false")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let running = Self {
            openssh,
            socket,
            process,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(&running.socket).is_err() {
            assert!(Instant::now() < deadline, "no ssh-agent came up");
            thread::sleep(Duration::from_millis(5));
        }
        running
    }

    /// Makes a key and adds it.
    fn add(&self, name: &str, key_type: &str, bits: &str, options: &[&str]) -> String {
        self.openssh.keygen(name, &["-t", key_type, "-b", bits, "-N", ""]);
        let mut add = self.openssh.command("ssh-add", &[&["-q"], options, &[name]].concat());
        succeeded(&add.env("SSH_AUTH_SOCK", &self.socket).output().unwrap());
        self.openssh.public(name)
    }

    fn sign(&self, wanted: Option<&str>, signers: &Signers) -> Result<sign::Signed, SignError> {
        sign::with_agent(PLAN, Some(self.socket.as_os_str()), wanted, signers)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let killed = self.process.kill().and_then(|()| self.process.wait());
        assert!(killed.is_ok() || thread::panicking());
    }
}

#[test]
fn an_agent_signs_with_the_only_key_that_may_approve() {
    let agent = Running::start();
    let nobody = agent.sign(None, &Signers::default()).unwrap_err();
    assert!(matches!(nobody, SignError::NoneInAgent), "{nobody}");
    let alice = agent.add("alice", "ed25519", "256", &[]);
    let bob = agent.add("bob", "ecdsa", "256", &[]);
    for (public, name) in [(&alice, "alice"), (&bob, "bob")] {
        let signers = Signers::parse(&line(name, public)).unwrap();
        let signed = agent.sign(None, &signers).unwrap();
        assert_eq!(signed.fingerprint, agent.openssh.fingerprint(name));
        let taken = verify(PLAN, &signed.armored, &signers, now()).unwrap();
        assert_eq!(taken.principals, [name]);
    }
}

#[test]
fn of_several_keys_an_agent_signs_with_the_one_that_is_named() {
    let agent = Running::start();
    let publics = [
        agent.add("alice", "ed25519", "256", &[]),
        agent.add("bob", "ecdsa", "256", &[]),
    ];
    let signers = Signers::parse(&[line("alice", &publics[0]), line("bob", &publics[1])].concat()).unwrap();
    let several = agent.sign(None, &signers).unwrap_err();
    assert!(matches!(&several, SignError::SeveralInAgent { fingerprints } if fingerprints.len() == 2));
    for (name, public) in ["alice", "bob"].into_iter().zip(&publics) {
        let fingerprint = agent.openssh.fingerprint(name);
        for wanted in [&fingerprint, public, &format!("{public} a comment\n")] {
            let signed = agent.sign(Some(wanted), &signers).unwrap();
            assert_eq!(signed.fingerprint, fingerprint);
            assert_eq!(
                verify(PLAN, &signed.armored, &signers, now()).unwrap().principals,
                [name]
            );
        }
    }
    let other = agent.sign(Some(&fingerprint(&ed25519(1))), &signers).unwrap_err();
    assert!(matches!(other, SignError::NotInAgent { .. }), "{other}");
    let no_name = agent.sign(Some("alice"), &signers).unwrap_err();
    assert!(matches!(no_name, SignError::NotAName { .. }), "{no_name}");
}

#[test]
fn an_agent_does_not_sign_with_types_that_are_not_taken() {
    let agent = Running::start();
    agent.add("old", "rsa", "1024", &[]);
    let wanted = agent.openssh.fingerprint("old");
    let error = agent.sign(Some(&wanted), &Signers::default()).unwrap_err();
    assert!(matches!(error, SignError::BadKey(BadKey::Type)), "{error}");
    let none = agent.sign(None, &Signers::default()).unwrap_err();
    assert!(matches!(none, SignError::NoneInAgent), "{none}");
}

#[test]
fn an_agent_whose_owner_does_not_confirm_refuses() {
    let agent = Running::start();
    let public = agent.add("alice", "ed25519", "256", &["-c"]);
    let signers = Signers::parse(&line("alice", &public)).unwrap();
    let error = agent.sign(None, &signers).unwrap_err();
    assert!(matches!(error, SignError::Refused), "{error}");
    assert_eq!(error.code(), "HF2115");
}

#[test]
fn without_an_agent_nothing_is_signed() {
    let signers = signers(&[("alice", &ed25519(1))]);
    for socket in [None, Some(OsStr::new(""))] {
        let error = sign::with_agent(PLAN, socket, None, &signers).unwrap_err();
        assert!(matches!(error, SignError::NoAgent), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for socket in [dir.path().join("none"), file] {
        let error = sign::with_agent(PLAN, Some(socket.as_os_str()), None, &signers).unwrap_err();
        assert!(matches!(error, SignError::Agent { .. }), "{error}");
        assert_eq!(error.code(), "HF2113");
    }
}

/// An agent that answers each question with the next of these bodies.
fn answering(answers: &[Vec<u8>]) -> agent::Agent {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let answers = answers.to_vec();
    thread::spawn(move || {
        for answer in answers {
            let mut length = [0; 4];
            theirs.read_exact(&mut length).unwrap();
            let mut question = vec![0; u32::from_be_bytes(length) as usize];
            theirs.read_exact(&mut question).unwrap();
            theirs.write_all(&answer).unwrap();
        }
    });
    agent::Agent::over(ours).unwrap()
}

fn message(body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    put_string(&mut message, body);
    message
}

#[test]
fn an_agent_that_talks_nonsense_is_an_error() {
    let too_long = vec![0xff, 0xff, 0xff, 0xff, 12];
    let many_and_none = message(&[12, 0xff, 0xff, 0xff, 0xff]);
    let key_is_cut = message(&[12, 0, 0, 0, 1, 0, 0, 0, 9, 1]);
    let with_more = message(&[12, 0, 0, 0, 0, 1]);
    for answer in [
        message(&[]),
        message(&[5]),
        too_long,
        many_and_none,
        key_is_cut,
        with_more,
        Vec::new(),
    ] {
        assert!(answering(&[answer]).identities().is_err());
    }
    let none = message(&[12, 0, 0, 0, 0]);
    assert_eq!(answering(&[none]).identities().unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(answering(&[message(&[5])]).sign(b"key", b"data").unwrap(), None);
    for answer in [message(&[14, 0, 0, 0, 9]), message(&[14, 0, 0, 0, 0, 1])] {
        assert!(answering(&[answer]).sign(b"key", b"data").is_err());
    }
}

#[test]
fn an_agent_that_has_anothers_key_first_is_asked_for_the_right_one() {
    let blobs: Vec<Vec<u8>> = [ed25519(1), p256(1), ed25519(2)]
        .iter()
        .map(|key| key.public_key().to_bytes().unwrap())
        .chain([token::Token::p256(3, "ssh:").blob(), b"nonsense".to_vec()])
        .collect();
    let signers = signers(&[("bob", &ed25519(2)), ("zoe", &ed25519(9))]);
    let chosen = sign::choose(&blobs, None, &signers).unwrap();
    assert_eq!(chosen.fingerprint(), fingerprint(&ed25519(2)));
    let wanted = fingerprint(&p256(1));
    assert_eq!(
        sign::choose(&blobs, Some(&wanted), &signers).unwrap().fingerprint(),
        wanted
    );
}
