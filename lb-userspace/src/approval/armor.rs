//! A signature as text: base64 between two lines.
//!
//! Stricter than `ssh-keygen`, which ignores what comes after: there is one
//! text for each signature, but for the length of the lines and the kind of
//! line ends.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::error::{ApprovalError, Malformed};

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// The longest text that is looked at, bytes. That of a FIDO key with ECDSA,
/// the longest we take, has about 500.
pub const LONGEST: usize = 64 * 1024;

/// `ssh-keygen` breaks lines here.
const COLUMNS: usize = 70;

pub fn armored(blob: &[u8]) -> String {
    let base64 = STANDARD.encode(blob);
    let mut text = format!("{BEGIN}\n");
    for (at, char) in base64.chars().enumerate() {
        if at > 0 && at % COLUMNS == 0 {
            text.push('\n');
        }
        text.push(char);
    }
    text.push('\n');
    text.push_str(END);
    text.push('\n');
    text
}

pub fn blob(text: &str) -> Result<Vec<u8>, ApprovalError> {
    if text.len() > LONGEST {
        return Err(ApprovalError::TooLong {
            bytes: text.len(),
            limit: LONGEST,
        });
    }
    let text = text.replace("\r\n", "\n");
    let mut lines = text.strip_suffix('\n').unwrap_or(&text).split('\n');
    if lines.next() != Some(BEGIN) || lines.next_back() != Some(END) {
        return Err(Malformed::Armor.into());
    }
    let mut base64 = String::with_capacity(text.len());
    for line in lines {
        if line.is_empty() {
            return Err(Malformed::Armor.into());
        }
        base64.push_str(line);
    }
    // Padding and unused bits have to be as they are written.
    STANDARD.decode(base64).map_err(|_| Malformed::Base64.into())
}
