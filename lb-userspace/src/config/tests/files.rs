//! Reading: whatever the path leads to, without waiting.

use std::{fs, os::unix::fs::symlink};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::CONTRACT;
use crate::config::{Code, limits::MAX_FILE_BYTES, load};

fn code(path: &std::path::Path) -> Code {
    load(path).unwrap_err().code()
}

#[test]
fn regular_file_is_read_also_through_a_symbolic_link() {
    let directory = tempfile::tempdir().unwrap();
    let (file, link) = (directory.path().join("config.yaml"), directory.path().join("link"));
    fs::write(&file, CONTRACT).unwrap();
    symlink(&file, &link).unwrap();
    let loaded = load(&file).unwrap();
    assert_eq!(loaded.text, CONTRACT);
    assert_eq!(loaded.path, file);
    assert_eq!(load(&link).unwrap().parsed, loaded.parsed);
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(code(&pipe), Code::FileNotRegular);
    assert_eq!(code(directory.path()), Code::FileNotRegular);
    assert_eq!(code("/dev/zero".as_ref()), Code::FileNotRegular);
    let link = directory.path().join("link");
    symlink("/dev/zero", &link).unwrap();
    assert_eq!(code(&link), Code::FileNotRegular);
}

#[test]
fn file_that_is_not_there_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.yaml");
    let errors = load(&missing).unwrap_err();
    assert_eq!(errors.code(), Code::FileUnreadable);
    assert!(errors.to_string().contains("No such file"), "{errors}");
    let circle = directory.path().join("circle");
    symlink(&circle, &circle).unwrap();
    assert_eq!(code(&circle), Code::FileUnreadable);
}

#[test]
fn file_that_is_no_text_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    for (bytes, line) in [(&b"a: b\nc: \xff\n"[..], 2), (b"a\0", 1), (b"\xff\xfea\0", 1)] {
        fs::write(&file, bytes).unwrap();
        let errors = load(&file).unwrap_err();
        assert_eq!(errors.code(), Code::FileNotText);
        assert_eq!(errors.iter().next().unwrap().place.unwrap().line, line);
        assert!(errors.render(false, 80).contains("HF1004"));
    }
}

#[test]
fn huge_file_is_refused_without_being_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    // Sparse: takes no room on the disk.
    fs::File::create(&file).unwrap().set_len(1 << 30).unwrap();
    let errors = load(&file).unwrap_err();
    assert_eq!(errors.code(), Code::FileTooLarge);
    assert!(errors.to_string().contains(&MAX_FILE_BYTES.to_string()), "{errors}");
}
