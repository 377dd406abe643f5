use super::*;

/// `struct file { u32 count; union { u64 first; struct { u32 a; u32 b; }; }; void *private; }`,
/// and before it another `struct file` with nothing in it.
fn types() -> Vec<u8> {
    let mut strings = vec![0_u8];
    let mut named = |name: &str| {
        let at = strings.len() as u32;
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
        at
    };
    let names = ["u32", "u64", "file", "count", "first", "a", "b", "private"].map(&mut named);
    let [u32_, u64_, file, count, first, a, b, private] = names;
    let info = |kind: u32, members: u32| kind << 24 | members;
    let words = [
        vec![file, info(STRUCT, 0), 0],
        vec![u32_, info(1, 0), 4, 32],
        vec![u64_, info(1, 0), 8, 64],
        vec![0, info(2, 0), 0],
        vec![0, info(STRUCT, 2), 8, a, 2, 0, b, 2, 32],
        vec![0, info(UNION, 2), 8, first, 3, 0, 0, 7, 0],
        vec![0, info(CONST, 0), 5],
        vec![
            file,
            info(STRUCT, 3) | 1 << 31,
            24,
            count,
            2,
            0,
            0,
            6,
            64,
            private,
            4,
            128,
        ],
    ]
    .concat();
    let types: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut bytes = [&MAGIC.to_ne_bytes()[..], &[1, 0]].concat();
    for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    [bytes, types, strings].concat()
}

#[test]
fn members_are_found_through_unnamed_structs_and_qualifiers() {
    let bytes = types();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.offset("file", "count"), Some(0));
    assert_eq!(btf.offset("file", "first"), Some(8));
    assert_eq!(btf.offset("file", "b"), Some(12));
    assert_eq!(btf.offset("file", "private"), Some(16));
    assert_eq!(btf.offset("file", "none"), None);
    assert_eq!(btf.offset("inode", "count"), None);
}

#[test]
fn bytes_that_are_cut_or_changed_anywhere_are_no_types_or_others_and_never_a_panic() {
    let bytes = types();
    for end in 0..bytes.len() {
        if let Some(btf) = Btf::parse(&bytes[..end]) {
            assert_eq!(btf.offset("file", "none"), None);
        }
        for changed in [0, 0xff, bytes[end] ^ 0x80] {
            let mut other = bytes.clone();
            other[end] = changed;
            if let Some(btf) = Btf::parse(&other) {
                assert!(btf.offset("file", "private").is_none_or(|offset| offset < 1 << 29));
            }
        }
    }
    assert!(Btf::parse(&[]).is_none());
}
