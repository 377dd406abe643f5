//! Where the running kernel has the members of its structs: as much of BTF as that takes
//! (Documentation/bpf/btf.rst). A reader of bytes; it trusts none of them.

use std::collections::HashMap;

/// `BTF_MAGIC`, and what a header has at least.
const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;
/// Bytes of every type, and of one member of a struct.
const TYPE: usize = 12;
const MEMBER: usize = 12;
/// Kinds that are looked into or through.
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const TYPE_TAG: u32 = 18;
/// Structs in structs that are followed: the kernel's are a few deep.
const DEPTH: u32 = 16;

/// The kernel's own types.
pub struct Btf<'a> {
    strings: &'a [u8],
    types: &'a [u8],
    /// Where in `types` each is, by its number; 0 is `void`.
    at: Vec<usize>,
    /// Structs by name: there may be several of one name.
    structs: HashMap<&'a [u8], Vec<usize>>,
}

/// One type.
#[derive(Clone, Copy)]
struct Kind {
    name: u32,
    sort: u32,
    members: u32,
    /// Offsets of members have a size of a bit field above them.
    flagged: bool,
    /// Size, or number of another type.
    other: u32,
}

impl<'a> Btf<'a> {
    /// `None`: these are not types, or of a form that is not known.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < HEADER || bytes[..2] != MAGIC.to_ne_bytes() {
            return None;
        }
        let header = word(bytes, 4)? as usize;
        let part = |offset, len| {
            let from = header.checked_add(word(bytes, offset)? as usize)?;
            bytes.get(from..from.checked_add(word(bytes, len)? as usize)?)
        };
        let mut btf = Self {
            types: part(8, 12)?,
            strings: part(16, 20)?,
            at: vec![0],
            structs: HashMap::new(),
        };
        let mut at = 0;
        while at < btf.types.len() {
            let kind = btf.kind_at(at)?;
            if kind.sort == STRUCT {
                btf.structs.entry(btf.string(kind.name)?).or_default().push(at);
            }
            btf.at.push(at);
            at = at.checked_add(TYPE + after(&kind)?)?;
        }
        Some(btf)
    }

    /// Bytes from the start of `struct name` to its member; members of structs and unions without
    /// a name are its own.
    #[must_use]
    pub fn offset(&self, name: &str, member: &str) -> Option<u32> {
        let structs = self.structs.get(name.as_bytes())?;
        structs
            .iter()
            .find_map(|&at| self.bits(at, member.as_bytes(), DEPTH))
            .map(|bits| bits / 8)
    }

    fn bits(&self, at: usize, member: &[u8], depth: u32) -> Option<u32> {
        let kind = self.kind_at(at)?;
        if depth == 0 || ![STRUCT, UNION].contains(&kind.sort) {
            return None;
        }
        (0..kind.members as usize).find_map(|nth| {
            let from = at + TYPE + nth * MEMBER;
            let name = self.string(word(self.types, from)?)?;
            let offset = word(self.types, from + 8)?;
            let offset = if kind.flagged { offset & 0x00ff_ffff } else { offset };
            if name == member {
                Some(offset)
            } else if name.is_empty() {
                let inner = self.through(word(self.types, from + 4)?)?;
                self.bits(inner, member, depth - 1)?.checked_add(offset)
            } else {
                None
            }
        })
    }

    /// What a type is under its qualifiers and other names.
    fn through(&self, number: u32) -> Option<usize> {
        let mut number = number;
        for _ in 0..DEPTH {
            let at = *self.at.get(number as usize).filter(|_| number != 0)?;
            let kind = self.kind_at(at)?;
            if ![TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG].contains(&kind.sort) {
                return Some(at);
            }
            number = kind.other;
        }
        None
    }

    fn kind_at(&self, at: usize) -> Option<Kind> {
        let info = word(self.types, at + 4)?;
        Some(Kind {
            name: word(self.types, at)?,
            sort: info >> 24 & 0x1f,
            members: info & 0xffff,
            flagged: info >> 31 == 1,
            other: word(self.types, at + 8)?,
        })
    }

    fn string(&self, offset: u32) -> Option<&'a [u8]> {
        let rest = self.strings.get(offset as usize..)?;
        rest.split(|&byte| byte == 0).next()
    }
}

/// Bytes that follow a type, by its kind; `None`: a kind that is not known.
const fn after(kind: &Kind) -> Option<usize> {
    let members = kind.members as usize;
    match kind.sort {
        // Pointers, forward declarations, qualifiers, functions, floats, type tags.
        2 | 7 | TYPEDEF..=12 | 16 | TYPE_TAG => Some(0),
        // Integers, variables, tags of declarations.
        1 | 14 | 17 => Some(4),
        // Arrays.
        3 => Some(12),
        // Structs, unions, sections, 64-bit enumerations.
        STRUCT | UNION | 15 | 19 => Some(12 * members),
        // Enumerations, prototypes.
        6 | 13 => Some(8 * members),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests;
