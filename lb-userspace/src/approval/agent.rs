//! Asks an ssh-agent (RFC-to-be draft-miller-ssh-agent): which keys it has,
//! and for signatures.
//!
//! Two questions are all we have. The libraries for it bring the crate `rsa`,
//! which leaks keys through time (RUSTSEC-2023-0071).

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use super::wire::{Reader, put_string};

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// OpenSSH's own limit for a message, bytes.
const LONGEST: u32 = 256 * 1024;

/// Long enough for somebody to find and touch a token, or to confirm.
const PATIENCE: Duration = Duration::from_mins(2);

pub struct Agent {
    stream: UnixStream,
}

impl Agent {
    pub fn connect(socket: &Path) -> io::Result<Self> {
        Self::over(UnixStream::connect(socket)?)
    }

    pub fn over(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream })
    }

    /// The public keys it has, encoded. Certificates are among them.
    pub fn identities(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let answer = self.ask(&[REQUEST_IDENTITIES])?;
        match answer.split_first() {
            Some((&IDENTITIES_ANSWER, body)) => keys(body).ok_or_else(garbled),
            _ => Err(garbled()),
        }
    }

    /// A signature, encoded; or `None` if it does not sign: locked, not
    /// confirmed, no token, or the key is gone.
    pub fn sign(&mut self, key: &[u8], data: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut question = vec![SIGN_REQUEST];
        put_string(&mut question, key);
        put_string(&mut question, data);
        // Flags, which are about RSA only.
        question.extend(0_u32.to_be_bytes());
        let answer = self.ask(&question)?;
        let Some((&SIGN_RESPONSE, body)) = answer.split_first() else {
            return Ok(None);
        };
        let mut reader = Reader::new(body);
        let signature = reader.string().ok_or_else(garbled)?;
        reader.end().ok_or_else(garbled)?;
        Ok(Some(signature.to_vec()))
    }

    fn ask(&mut self, question: &[u8]) -> io::Result<Vec<u8>> {
        let mut message = Vec::with_capacity(question.len() + 4);
        put_string(&mut message, question);
        self.stream.write_all(&message)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > LONGEST {
            return Err(garbled());
        }
        let mut answer = vec![0; length as usize];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

fn keys(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut reader = Reader::new(body);
    let count = reader.number()?;
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.push(reader.string()?.to_vec());
        // The comment.
        reader.string()?;
    }
    reader.end()?;
    Some(keys)
}

fn garbled() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}
