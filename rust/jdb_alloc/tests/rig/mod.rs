//! What the tests share: files with written extents, and frames whose content is known.
#![allow(dead_code, unreachable_pub)] // each test takes what it needs

use std::fs::{File, OpenOptions};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use jdb_alloc::Frame;

pub const PAGE: usize = 4096;

/// A file that is removed at the end.
pub struct TestFile {
    path: PathBuf,
}

impl TestFile {
    /// Page i is filled with byte i + 1. Written and synced, so that direct reads meet real extents.
    pub fn with_pages(count: usize) -> TestFile {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("pages-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let bytes: Vec<u8> = (0..count * PAGE).map(|at| page_byte(at / PAGE)).collect();
        std::fs::write(&path, bytes).unwrap();
        File::open(&path).unwrap().sync_all().unwrap();
        TestFile { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Open for reading and writing with O_DIRECT; `None`, with the reason printed, where the file system refuses.
    pub fn open_direct(&self) -> Option<File> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(&self.path);
        if file.is_err() {
            println!("skipped: no O_DIRECT under {}", env!("CARGO_TARGET_TMPDIR"));
        }
        file.ok()
    }

    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

pub fn page_byte(page: usize) -> u8 {
    page as u8 + 1
}

pub fn is_filled(bytes: &[u8], value: u8) -> bool {
    bytes.iter().all(|byte| *byte == value)
}

pub fn filled(mut frame: Frame, value: u8) -> Frame {
    frame.clear();
    frame.resize(frame.cap(), value).unwrap();
    frame
}

/// The ends of a pipe, to read and to write. std has it since Rust 1.87.
pub fn pipe() -> (OwnedFd, File) {
    let mut ends = [-1; 2];
    // SAFETY: room for two descriptors, which are new.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    }
}

/// Whether this system makes rings; prints why not.
pub fn has_io_uring() -> bool {
    // SAFETY: an invalid size: ENOSYS or EPERM say that there is no io_uring, EINVAL that there is.
    let result = unsafe { libc::syscall(libc::SYS_io_uring_setup, 0, std::ptr::null_mut::<u8>()) };
    let error = std::io::Error::last_os_error();
    let there = result >= 0 || !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM));
    if !there {
        println!("skipped: no io_uring here ({error})");
    }
    there
}
