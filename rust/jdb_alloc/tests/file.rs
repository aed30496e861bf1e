//! File, Limits, probe, errors, pages; growth of buffers; Bytes.

mod rig;

use jdb_alloc::{
    AlignedBuf, Cause, Chunk, Direct, DirectState, Durability, Error, File, FileReport, Limits, Misaligned, Mode, Pool,
    Source, Tail, pages, probe,
};
use rig::{PAGE, TestFile, is_filled, page_byte};

// ---- Files -----------------------------------------------------------------------------------------------------------------

#[test]
fn file_reads_and_writes_any_range() {
    let test = TestFile::with_pages(4);
    let file = File::options().write(true).durability(Durability::Data).tail(Tail::Buffered).open(test.path()).unwrap();
    let report = file.write_at(&[0xaa; 1000], 5000).unwrap();
    assert_eq!((report.done_size(), report.text()), (1000, ""));
    assert!(report.request_count() >= 1 && report.copied_size() <= report.direct_size());
    let mut frame = Pool::new(PAGE, 1).unwrap().try_get().unwrap();
    let report = file.read_at(&mut frame, 4096).unwrap();
    assert_eq!((report.done_size(), frame.len(), report.is_eof()), (4096, 4096, false));
    assert!(is_filled(&frame[904..1904], 0xaa) && is_filled(&frame[..904], page_byte(1)));
    let mut slice = [0; 33];
    assert_eq!(file.read_slice_at(&mut slice, 5990).unwrap().done_size(), 33);
    assert!(is_filled(&slice[..10], 0xaa) && is_filled(&slice[10..], page_byte(1)));
    let mut chunk = AlignedBuf::with_cap(PAGE).unwrap().into_chunks(PAGE).next().unwrap();
    let report = file.read_at(&mut chunk, 4 * PAGE as u64 - 10).unwrap();
    assert!(report.is_eof() && chunk.len() == 10);
    file.sync(Durability::All).unwrap();
    file.close().unwrap();
    jdb_alloc::sync_directory(test.path().parent().unwrap()).unwrap();
}

#[test]
fn files_limits_and_errors_go_to_other_threads() {
    fn is_send_and_sync<T: Send + Sync + 'static>() {}
    is_send_and_sync::<(File, FileReport, Limits, Misaligned, Error, AlignedBuf, Chunk)>();
}

#[test]
fn tail_and_durability_of_every_kind() {
    for tail in [Tail::Buffered, Tail::ReadModifyWrite] {
        for durability in [Durability::None, Durability::Data, Durability::All] {
            let test = TestFile::with_pages(1);
            let file = File::options().write(true).tail(tail).durability(durability).open(test.path()).unwrap();
            file.write_at(&[0xaa; 1000], PAGE as u64 - 100).unwrap();
            file.sync(durability).unwrap();
            let (bytes, end) = (test.bytes(), PAGE + 900);
            assert!(is_filled(&bytes[..PAGE - 100], 1) && is_filled(&bytes[PAGE - 100..end], 0xaa));
            let align = match (tail, file.write_mode()) {
                (Tail::ReadModifyWrite, Mode::Direct) => file.limits().unwrap().write_align(),
                _ => 1,
            };
            assert_eq!(bytes.len(), end.next_multiple_of(align), "{tail:?} {durability:?}");
            assert!(is_filled(&bytes[end..], 0));
        }
    }
}

#[test]
fn file_reports_its_mode() {
    let test = TestFile::with_pages(4);
    let Some(_) = test.open_direct() else { return };
    let file = File::options().write(true).open(test.path()).unwrap();
    assert_eq!(file.size().unwrap(), 4 * PAGE as u64);
    assert!(!file.reason().is_empty() && format!("{file:?}").contains("read_mode"));
    assert!(file.read_mode() <= Mode::Unknown && file.write_mode() <= Mode::Buffered);
    let mut buf = AlignedBuf::with_cap(PAGE).unwrap();
    let report = file.read_at(&mut buf, 0).unwrap();
    assert_eq!(
        (report.mode(), report.direct_size(), report.buffered_size()),
        (Mode::Direct, PAGE as u64, 0),
        "{report:?}"
    );
    let buffered = File::options().direct(Direct::Off).open(test.path()).unwrap();
    assert!(buffered.read_mode() >= Mode::Uncached);
    file.write_zeros(0, PAGE as u64).unwrap();
    file.set_size(100).unwrap();
    assert_eq!(test.bytes(), [0; 100]);
}

#[test]
fn file_errors_say_what_to_do() {
    let error = File::open("no-such-file").unwrap_err();
    assert_eq!(error.errno(), libc::ENOENT);
    assert!(error.to_string().contains("no-such-file") || error.to_string().contains("open"), "{error}");
    let io: std::io::Error = error.into();
    assert_eq!(io.kind(), std::io::ErrorKind::NotFound);
    let Error::File(cause, report) = File::options().direct(Direct::Require).open("/proc/self/maps").unwrap_err()
    else {
        panic!("an error of a file")
    };
    assert!(cause.errno() != 0 && !report.text().is_empty(), "{report:?}");
    let test = TestFile::with_pages(1);
    let exists = File::options().write(true).create_new(true).open(test.path()).unwrap_err();
    assert_eq!(exists.errno(), libc::EEXIST);
    let read_only = File::open(test.path()).unwrap();
    assert_eq!(read_only.write_at(b"x", 0).unwrap_err().errno(), libc::EBADF);
    assert_eq!(read_only.write_at(b"x", u64::MAX).unwrap_err().errno(), libc::EOVERFLOW);
    assert_eq!(File::open("a\0b").unwrap_err().errno(), libc::EINVAL);
}

#[test]
fn unaligned_requests_are_refused_on_demand() {
    let test = TestFile::with_pages(2);
    let Some(_) = test.open_direct() else { return };
    let file = File::options().write(true).no_copy(true).accept_unknown(true).open(test.path()).unwrap();
    let error = file.write_at(&[1; 100], 7).unwrap_err();
    assert_eq!(error.errno(), libc::EINVAL);
    assert!(error.to_string().contains('7') || error.to_string().contains("100"), "{error}");
    let limits = file.limits().unwrap();
    let atomic = file.write_atomic_at(&[0; 4096], 0);
    match limits.atomic_sizes() {
        None => assert_eq!(atomic.unwrap_err().errno(), libc::ENOTSUP),
        Some((least, most)) => assert!(least <= most && least.is_power_of_two()),
    }
}

/// A file in memory that refuses to grow, with EPERM, once it is sealed: the one error that a test can cause without root.
#[cfg(target_os = "linux")]
struct SealedFile(std::fs::File);

#[cfg(target_os = "linux")]
impl SealedFile {
    fn new() -> SealedFile {
        use std::os::fd::FromRawFd;
        // SAFETY: a string, and a new descriptor.
        SealedFile(unsafe {
            let fd = libc::memfd_create(c"sealed".as_ptr(), libc::MFD_ALLOW_SEALING | libc::MFD_CLOEXEC);
            assert!(fd >= 0, "{}", std::io::Error::last_os_error());
            std::fs::File::from_raw_fd(fd)
        })
    }

    fn open(&self, durability: Durability) -> File {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        File::options().write(true).direct(Direct::Off).durability(durability).open(path).unwrap()
    }

    fn first_page(&self) -> Vec<u8> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; PAGE];
        self.0.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    fn seal(&self) {
        use std::os::fd::AsRawFd;
        // SAFETY: plain numbers.
        assert_eq!(unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_GROW) }, 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn file_keeps_its_first_error_until_it_is_cleared() {
    let sealed = SealedFile::new();
    let file = sealed.open(Durability::Data);
    assert!(!file.write_at(&[1; PAGE], 0).unwrap().is_earlier_error() && file.error().is_none());
    sealed.seal();
    let Error::File(cause, report) = file.write_at(&[2; PAGE], PAGE as u64).unwrap_err() else { panic!("of a file") };
    assert_eq!((cause.errno(), report.done_size(), report.is_earlier_error()), (libc::EPERM, 0, false), "{report:?}");
    assert_eq!(file.error(), Some(cause));

    // A durable write that could be made, and a sync, return it without doing anything.
    let Error::File(again, report) = file.write_at(&[3; PAGE], 0).unwrap_err() else { panic!("of a file") };
    assert_eq!((again, report.done_size(), report.is_earlier_error()), (cause, 0, true), "{report:?}");
    assert_eq!(file.sync(Durability::Data).unwrap_err().errno(), libc::EPERM);
    assert!(is_filled(&sealed.first_page(), 1));

    file.clear_error();
    assert!(file.error().is_none());
    file.write_at(&[3; PAGE], 0).unwrap();
    file.sync(Durability::All).unwrap();
    assert!(is_filled(&sealed.first_page(), 3));
    file.close().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn close_returns_the_error_that_was_not_cleared() {
    let sealed = SealedFile::new();
    let file = sealed.open(Durability::None);
    sealed.seal();
    assert_eq!(file.write_at(b"x", 0).unwrap_err().errno(), libc::EPERM);
    assert_eq!(file.close().unwrap_err().errno(), libc::EPERM);
}

#[test]
fn new_files_have_their_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let test = TestFile::with_pages(1);
    std::fs::remove_file(test.path()).unwrap();
    let file = File::options().write(true).create(true).truncate(true).permissions(0o600).open(test.path()).unwrap();
    file.write_at(b"abc", 0).unwrap();
    assert_eq!(std::fs::metadata(test.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(test.bytes(), b"abc");
}

// ---- Limits ------------------------------------------------------------------------------------------------------------------

#[test]
fn limits_say_what_is_wrong_and_what_is_right() {
    let test = TestFile::with_pages(2);
    let mut limits = probe(test.path()).unwrap();
    limits.override_aligns(512, 4096, 512).unwrap();
    assert_eq!((limits.memory_align(), limits.write_align(), limits.read_align()), (512, 4096, 512));
    assert_eq!(limits.sources(), (Source::Override, Source::Override, Source::Override));
    let memory = AlignedBuf::page().unwrap();
    limits.check_read(memory.as_ptr(), 512, 1024).unwrap();
    let wrong = limits.check_write(memory[1..].as_ptr(), 1000, 4096).unwrap_err();
    assert!(wrong.address().is_some() && wrong.offset().is_none());
    let length = wrong.length().unwrap();
    assert_eq!((length.value, length.align, length.below, length.above), (1000, 4096, 0, 4096));
    assert!(wrong.to_string().contains("length 1000"), "{wrong}");
    limits.pretend(65536).unwrap();
    assert_eq!((limits.write_align(), limits.sources().1), (65536, Source::Pretended));
    assert!(limits.pretend(1000).is_err() && limits.override_aligns(3, 0, 0).is_err());
}

#[test]
fn limits_of_an_open_file() {
    let test = TestFile::with_pages(2);
    let Some(direct) = test.open_direct() else { return };
    let limits = Limits::of(&direct).unwrap();
    assert_eq!((limits.state(), limits.read_state()), (DirectState::Direct, DirectState::Direct), "{limits}");
    assert!(limits.write_state() != DirectState::Refused && !limits.reason().is_empty());
    assert!(
        limits.recommended_read_size() >= limits.read_align()
            && limits.recommended_write_size() >= limits.write_align()
    );
    assert!(format!("{limits:?}").contains("memory"));
    assert!(Limits::of(rig::pipe().0).is_err());
}

#[test]
fn plan_of_a_read_is_its_aligned_envelope() {
    let mut limits = probe(TestFile::with_pages(1).path()).unwrap();
    limits.override_aligns(512, 512, 512).unwrap();
    let plan = limits.plan_read(1000, 100).unwrap();
    assert_eq!((plan.offset, plan.size, plan.prefix, plan.wanted_size), (512, 1024, 488, 100));
    assert!(limits.plan_read(u64::MAX, 1).is_err());
}

// ---- Errors --------------------------------------------------------------------------------------------------------------------

#[test]
fn causes_have_reason_and_remedy() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let _held = pool.try_get().unwrap();
    let error = pool.try_get().unwrap_err();
    let cause: Cause = error.cause();
    assert_eq!((error.errno(), cause.errno()), (libc::EAGAIN, libc::EAGAIN));
    assert!(cause.reason().contains("lent") && cause.remedy().unwrap().contains("put"), "{cause:?}");
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::WouldBlock);
    let system = File::open("no-such-file").unwrap_err().cause();
    assert!(system.remedy().is_none() && !system.reason().is_empty());
    assert_eq!(jdb_alloc::library_version().0, 0);
}

// ---- Growth of buffers ---------------------------------------------------------------------------------------------------------

#[test]
fn reserve_keeps_the_data() {
    let mut buf = AlignedBuf::with_cap(PAGE).unwrap();
    for round in 0..100u8 {
        buf.reserve(1000).unwrap();
        buf.extend(&[round; 1000]).unwrap();
    }
    assert!((0..100).all(|round| is_filled(&buf[round * 1000..][..1000], round as u8)));
    buf.truncate(10);
    buf.shrink().unwrap();
    assert_eq!((buf.cap(), buf[9]), (PAGE, 0));
}

#[test]
fn buffer_with_a_maximum_never_moves() {
    let mut buf = AlignedBuf::with_max(PAGE, 64 * PAGE).unwrap();
    let ptr = buf.as_ptr();
    buf.reserve(64 * PAGE).unwrap();
    assert_eq!(buf.as_ptr(), ptr);
    assert!(matches!(buf.reserve(64 * PAGE + 1), Err(Error::Overflow(..))));
    assert_eq!(AlignedBuf::with_max(2 * PAGE, PAGE).unwrap_err().errno(), libc::EINVAL);
}

#[test]
fn pinned_buffer_does_not_move() {
    let mut buf = AlignedBuf::with_cap(PAGE).unwrap();
    let pin = buf.pin().unwrap();
    let ptr = buf.as_ptr();
    match buf.reserve(1 << 30) {
        Ok(()) => assert_eq!(buf.as_ptr(), ptr, "grown in place"),
        Err(error) => assert!(error.is_busy() && buf.cap() == PAGE, "{error:?}"),
    }
    drop(pin);
    buf.reserve(1 << 20).unwrap();
}

#[test]
fn aligned_to_more_than_a_page() {
    let buf = AlignedBuf::with_cap_aligned(100, 1 << 16).unwrap();
    assert_eq!((buf.as_ptr() as usize % (1 << 16), buf.cap()), (0, 1 << 16));
    assert_eq!(AlignedBuf::with_cap_aligned(1, 5000).unwrap_err().errno(), libc::EINVAL);
}

#[test]
fn tail_is_kept_for_the_next_write() {
    let mut buf = AlignedBuf::with_cap(2 * PAGE).unwrap();
    buf.resize(PAGE + 7, 1).unwrap();
    let data = buf.len();
    buf.pad_to(PAGE).unwrap();
    assert_eq!((buf.len(), buf[data]), (2 * PAGE, 0));
    assert_eq!(buf.refit_tail(data, PAGE).unwrap(), 7);
    assert_eq!(&buf[..], [1; 7]);
    assert!(matches!(buf.refit_tail(8, PAGE), Err(Error::Overflow(8, 7))));
    assert_eq!(buf.refit_tail(7, 3).unwrap_err().errno(), libc::EINVAL);
    assert!(buf.pad_to(3 * PAGE).is_err() && buf.resize(2 * PAGE + 1, 0).is_err() && buf.len() == 7);
}

#[test]
fn chunks_share_one_buffer() {
    let buf = AlignedBuf::with_cap(5 * PAGE).unwrap();
    let base = buf.as_ptr() as usize;
    let chunks: Vec<_> = buf.into_chunks(2 * PAGE).collect();
    assert_eq!(chunks.iter().map(|chunk| chunk.cap()).collect::<Vec<_>>(), [2 * PAGE, 2 * PAGE, PAGE]);
    let threads: Vec<_> = chunks
        .into_iter()
        .enumerate()
        .map(|(index, mut chunk)| {
            std::thread::spawn(move || {
                assert_eq!((chunk.as_ptr() as usize, chunk.len()), (base + index * 2 * PAGE, 0));
                chunk.resize(chunk.cap(), index as u8).unwrap();
                assert!(is_filled(&chunk, index as u8));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

// ---- Pages of the process ------------------------------------------------------------------------------------------------------

#[test]
fn pages_are_counted_limited_and_given_back() {
    let buf = AlignedBuf::zeroed(64 << 20).unwrap();
    let stats = pages::stats();
    assert!(
        stats.lent_bytes >= 64 << 20 && stats.mapped_bytes >= 64 << 20 && stats.reserved_bytes >= stats.mapped_bytes
    );
    assert!(stats.bookkeeping_bytes > 0 && stats.limit_bytes == 0);
    pages::set_limit(Some(stats.lent_bytes + (1 << 30))).unwrap();
    assert!(matches!(AlignedBuf::with_cap(4 << 30), Err(Error::AllocFailed)));
    pages::set_limit(None).unwrap();
    drop(AlignedBuf::with_cap(4 << 30).unwrap());
    let options = pages::PageOptions { delay: Some(std::time::Duration::from_secs(2)), ..Default::default() };
    pages::set_options(options).unwrap();
    pages::set_options(pages::PageOptions::default()).unwrap();
    drop(buf);
    pages::flush_thread();
    pages::trim();
    // Tests beside this one free memory too, which may stay cached.
    assert!(pages::resident_bytes().unwrap() < 1 << 30);
}

// ---- Bytes ---------------------------------------------------------------------------------------------------------------------

#[cfg(feature = "bytes")]
#[test]
fn bytes_of_a_frame_are_its_memory() {
    use bytes::Bytes;
    let pool = Pool::new(PAGE, 2).unwrap();
    let shared = rig::filled(pool.try_get().unwrap(), 5).freeze();
    let bytes = Bytes::from(shared.clone());
    assert_eq!((bytes.as_ptr(), bytes.len()), (shared.as_ptr(), PAGE));
    let value = bytes.slice(100..200);
    drop((bytes, shared));
    assert!(is_filled(&value, 5) && pool.stats().unwrap().lent_count == 1);
    drop(value);
    assert_eq!(pool.stats().unwrap().lent_count, 0);
    let value = Bytes::from(rig::filled(Pool::new(PAGE, 1).unwrap().try_get().unwrap(), 6)).slice(4000..);
    assert!(is_filled(&value, 6), "it outlives the handles of pool and arena");
    let mut buf = AlignedBuf::with_cap(PAGE).unwrap();
    buf.extend(b"value").unwrap();
    let ptr = buf.as_ptr();
    assert_eq!(Bytes::from(buf).as_ptr(), ptr);
    assert_eq!(Bytes::from(pool.try_get().unwrap()).len(), 0);
    assert_eq!(Bytes::from(AlignedBuf::page().unwrap().into_chunks(PAGE).next().unwrap()).len(), 0);
}
