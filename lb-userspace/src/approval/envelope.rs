//! What a signature consists of: OpenSSH's PROTOCOL.sshsig.
//!
//! ssh-key 0.6 reads envelopes too, but takes text before one and does not
//! compare the lengths inside with what is there, and it writes one for a FIDO
//! key with ECDSA wrong. So the envelope is read and written here; keys and
//! cryptography are left to it.

use super::{
    error::{ApprovalError, Malformed},
    key::KeyType,
    wire::{Reader, put_string},
};

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;

/// The parts as they stand there; none is believed yet.
pub struct Envelope<'a> {
    /// The public key, encoded.
    pub key: &'a [u8],
    pub namespace: &'a [u8],
    /// The name of the algorithm that the message was hashed with first.
    pub hash: &'a [u8],
    pub signature: &'a [u8],
}

impl<'a> Envelope<'a> {
    pub fn decode(blob: &'a [u8]) -> Result<Self, ApprovalError> {
        let mut reader = Reader::new(blob);
        if reader.bytes(MAGIC.len()) != Some(MAGIC) {
            return Err(Malformed::Layout.into());
        }
        match reader.number() {
            Some(VERSION) => {}
            Some(other) => return Err(Malformed::Version(other).into()),
            None => return Err(Malformed::Layout.into()),
        }
        Ok(Self::parts(reader).ok_or(Malformed::Layout)??)
    }

    fn parts(mut reader: Reader<'a>) -> Option<Result<Self, Malformed>> {
        let key = reader.string()?;
        let namespace = reader.string()?;
        // Not signed as it stands here, but as the empty string: anybody
        // could write something into it.
        if !reader.string()?.is_empty() {
            return Some(Err(Malformed::Reserved));
        }
        let hash = reader.string()?;
        let signature = reader.string()?;
        reader.end()?;
        Some(Ok(Self {
            key,
            namespace,
            hash,
            signature,
        }))
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_be_bytes());
        put_string(&mut out, self.key);
        put_string(&mut out, self.namespace);
        put_string(&mut out, b"");
        put_string(&mut out, self.hash);
        put_string(&mut out, self.signature);
        out
    }
}

/// The signature in an envelope, taken apart.
pub struct Raw<'a> {
    pub algorithm: &'a [u8],
    /// Of `algorithm`, without what the token adds.
    pub data: &'a [u8],
    /// Of a FIDO key only.
    pub token: Option<Token>,
}

/// What a FIDO token says with its signature, and signs as well (OpenSSH's
/// PROTOCOL.u2f).
#[derive(Clone, Copy)]
pub struct Token {
    pub flags: u8,
    pub counter: u32,
}

impl Token {
    /// Somebody touched the token for this signature.
    const USER_PRESENT: u8 = 0x01;

    pub const fn user_was_present(self) -> bool {
        self.flags & Self::USER_PRESENT != 0
    }
}

impl<'a> Raw<'a> {
    /// As it is encoded for a key of this type.
    pub fn decode(bytes: &'a [u8], key_type: KeyType) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let algorithm = reader.string()?;
        let data = reader.string()?;
        let token = if key_type.is_token() {
            Some(Token {
                flags: reader.byte()?,
                counter: reader.number()?,
            })
        } else {
            None
        };
        reader.end()?;
        Some(Self { algorithm, data, token })
    }

    /// Data and token as ssh-key keeps them.
    pub fn joined(&self) -> Vec<u8> {
        let mut bytes = self.data.to_vec();
        if let Some(token) = self.token {
            bytes.push(token.flags);
            bytes.extend(token.counter.to_be_bytes());
        }
        bytes
    }
}
