//! Whatever a text says, it is taken or refused.

use fastrand::Rng;

use super::{
    super::{Signers, SignersError, verify},
    NAMESPACE, PLAN, ed25519, now, p256, public, signed, signers,
    token::{PRESENT, Token},
};

const TIMES: usize = 20_000;

/// What is likely to matter to a reader of either text.
const PIECES: [&str; 20] = [
    "\"",
    ",",
    "=",
    " ",
    "\t",
    "\n",
    "\r\n",
    "#",
    "*",
    "!",
    "@",
    "\\",
    "\0",
    "Z",
    "\u{456}",
    "\u{202e}",
    "cert-authority",
    "ssh-rsa ",
    "-----END SSH SIGNATURE-----",
    "AAAA",
];

/// The text with up to four changes.
fn mutated(rng: &mut Rng, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..rng.usize(1..5) {
        let at = rng.usize(..=chars.len());
        let until = rng.usize(at..=chars.len().min(at + 40));
        let piece: Vec<char> = match rng.u8(..4) {
            0 => Vec::new(),
            1 => rng.choice(PIECES).unwrap().chars().collect(),
            2 => vec![rng.char(..)],
            // What stands there once more.
            _ => chars[at..until].repeat(2),
        };
        chars.splice(at..until, piece);
    }
    chars.into_iter().collect()
}

#[test]
fn any_text_is_signers_or_is_refused() {
    let text = format!(
        "# who\nalice,al namespaces=\"{NAMESPACE}\",valid-before=\"20270101Z\" {} laptop\n\
         bob@corp namespaces=\"git,{NAMESPACE}\" {}\n\
         carol valid-after=\"202601011200Z\",namespaces=\"{NAMESPACE}\" {}\n",
        public(&ed25519(1)),
        public(&p256(2)),
        Token::ed25519(3, "ssh:").public(),
    );
    assert_eq!(Signers::parse(&text).unwrap().len(), 3);
    let mut rng = Rng::with_seed(20);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..TIMES {
        let text = mutated(&mut rng, &text);
        match Signers::parse(&text) {
            Ok(signers) => {
                taken += 1;
                let json = serde_json::to_string(&signers).unwrap();
                assert_eq!(serde_json::from_str::<Signers>(&json).unwrap(), signers, "{text}");
                assert_eq!(signers.shrunk_by(&signers), signers, "{text}");
            }
            Err(SignersError::Lines(lines)) => {
                refused += 1;
                assert!(
                    lines
                        .iter()
                        .all(|line| (1..=text.lines().count()).contains(&(line.line as usize)))
                );
                assert!(lines.is_sorted_by_key(|line| line.line) && !lines.is_empty(), "{text}");
            }
            Err(other) => panic!("{other}: {text}"),
        }
    }
    assert!(taken > TIMES / 100 && refused > TIMES / 2, "{taken} {refused}");
}

#[test]
fn any_text_is_a_signature_or_is_refused() {
    let key = ed25519(1);
    let token = Token::p256(2, "ssh:");
    let line = super::line("carol", &token.public());
    let plain = signers(&[("alice", &key)]);
    let tokens = Signers::parse(&line).unwrap();
    let texts = [(signed(PLAN, &key), plain), (token.approval(PLAN, PRESENT, 7), tokens)];
    let mut rng = Rng::with_seed(21);
    let mut refused = 0;
    for at in 0..TIMES {
        let (sound, signers) = &texts[at % 2];
        let text = mutated(&mut rng, sound);
        match verify(PLAN, &text, signers, now()) {
            // The lines may be broken elsewhere, and that is all.
            Ok(_) => assert_eq!(unbroken(&text), unbroken(sound)),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > TIMES / 2, "{refused}");
}

fn unbroken(text: &str) -> String {
    text.replace(['\r', '\n'], "")
}
