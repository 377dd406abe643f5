//! Names of people: principals.

/// A name that stands for one person: no pattern, nothing that a shell or a
/// list would split.
pub fn is_plain(name: &str) -> bool {
    !local(name).is_empty()
        && name.len() <= LONGEST
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"@.-_+/:=%".contains(&byte))
}

/// Bytes.
pub const LONGEST: usize = 256;

/// What OpenSSH would read as a pattern.
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '!'])
}

/// Whether two names may be one person's: equal but for upper and lower case,
/// or one is `NAME` and the other `NAME@somewhere`.
pub fn may_be_one(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
        || (is_bare(left) || is_bare(right)) && local(left).eq_ignore_ascii_case(local(right))
}

/// Without `@`.
pub fn is_bare(name: &str) -> bool {
    !name.contains('@')
}

/// What stands before the `@`.
pub fn local(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}
