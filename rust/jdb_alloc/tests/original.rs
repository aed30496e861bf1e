//! Every public item of jdb_alloc 0.1, with its semantics.

use std::collections::HashSet;
use std::ptr::NonNull;

use jdb_alloc::{ALIGNMENT, AlignedBuf, Error, PAGE_SIZE, RawIoBuf, Result};

fn buf_of(data: &[u8]) -> AlignedBuf {
    let mut buf = AlignedBuf::with_cap(data.len()).expect("memory");
    buf.extend(data).expect("room");
    buf
}

fn is_send_and_sync<T: Send + Sync + 'static>(_: Option<T>) -> bool {
    true
}

/// The tests that FROM_0.1.md names, in backticks in the last column of its tables.
#[test]
fn list_of_items_names_tests_that_are_there() {
    let sources = concat!(include_str!("original.rs"), include_str!("compio_07.rs"));
    let is_item = |line: &&str| line.starts_with("| `");
    let rows: Vec<&str> = include_str!("../FROM_0.1.md").lines().filter(is_item).collect();
    assert_eq!(rows.len(), 34);
    for row in rows {
        let tests = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}() {{")), "{name} is not there");
        }
    }
}

// ---- Constants and errors -----------------------------------------------------------------------------------------

#[test]
fn page_size_and_alignment_are_4096() {
    assert_eq!((PAGE_SIZE, ALIGNMENT), (4096, 4096));
}

#[test]
fn error_has_the_three_variants() {
    let layout = std::alloc::Layout::from_size_align(1, 3).unwrap_err();
    assert!(Error::from(layout).to_string().starts_with("invalid layout: "));
    assert!(Error::AllocFailed.to_string().starts_with("alloc failed"));
    assert_eq!(Error::Overflow(7, 5).to_string(), "overflow: 7/5");
    let _: Result<()> = Ok(());
}

#[test]
fn error_goes_through_question_mark() {
    fn io() -> std::io::Result<AlignedBuf> {
        Ok(AlignedBuf::with_cap(usize::MAX)?)
    }
    fn any() -> std::result::Result<AlignedBuf, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AlignedBuf::with_cap(usize::MAX)?)
    }
    let error = io().unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    assert!(matches!(inner, Some(Error::InvalidLayout(_))), "{error:?}");
    assert!(any().is_err());
}

// ---- AlignedBuf: constructors ---------------------------------------------------------------------------------------

#[test]
fn with_cap_is_aligned_and_empty() {
    for cap in [0, 1, 4095, 4096, 4097, 5000, 1 << 20] {
        let buf = AlignedBuf::with_cap(cap).unwrap();
        assert!(buf.is_empty() && buf.cap() >= cap.max(PAGE_SIZE));
        assert_eq!((buf.as_ptr() as usize % ALIGNMENT, buf.cap() % ALIGNMENT), (0, 0), "{cap}");
    }
    assert_eq!(AlignedBuf::with_cap(4 * PAGE_SIZE).unwrap().cap(), 4 * PAGE_SIZE);
}

#[test]
fn with_cap_of_too_much_is_an_error() {
    assert!(matches!(AlignedBuf::with_cap(usize::MAX), Err(Error::InvalidLayout(_))));
    assert!(matches!(AlignedBuf::with_cap(isize::MAX as usize - 8191), Err(Error::AllocFailed)));
}

#[test]
fn zeroed_is_zero_up_to_the_capacity() {
    drop(buf_of(&[0xee; 3 * PAGE_SIZE])); // memory that is not fresh
    for size in [1, 100, PAGE_SIZE, 3 * PAGE_SIZE, 8 * PAGE_SIZE] {
        let mut buf = AlignedBuf::zeroed(size).unwrap();
        assert_eq!(buf.len(), size);
        // SAFETY: all of it is zero.
        unsafe { buf.set_len(buf.cap()) };
        assert!(buf.iter().all(|byte| *byte == 0), "{size}");
    }
}

#[test]
fn page_is_one_zero_page() {
    drop(buf_of(&[0xee; PAGE_SIZE]));
    let buf = AlignedBuf::page().unwrap();
    assert_eq!((buf.len(), buf.cap(), buf.as_ptr() as usize % ALIGNMENT), (PAGE_SIZE, PAGE_SIZE, 0));
    assert!(buf.iter().all(|byte| *byte == 0));
}

#[test]
fn page_uninit_is_one_empty_page() {
    let buf = AlignedBuf::page_uninit().unwrap();
    assert_eq!((buf.len(), buf.cap()), (0, PAGE_SIZE));
}

#[test]
fn drop_gives_the_memory_back() {
    let lent = || jdb_alloc::pages::stats().lent_bytes;
    let bufs: Vec<_> = (0..64).map(|_| AlignedBuf::with_cap(1 << 20).unwrap()).collect();
    let with = lent();
    drop(bufs);
    assert!(lent() + (32 << 20) < with, "of 64 MiB most are back, whatever other tests do meanwhile");
}

#[test]
fn drop_by_another_thread() {
    let buf = buf_of(b"made here");
    std::thread::spawn(move || assert_eq!(&buf[..], b"made here")).join().unwrap();
}

// ---- AlignedBuf: views and parts --------------------------------------------------------------------------------------

#[test]
fn slice_into_raws_covers_whole_chunks() {
    let buf = AlignedBuf::zeroed(8 * PAGE_SIZE).unwrap();
    // SAFETY: the buffer outlives the views.
    let raws: Vec<_> = unsafe { buf.slice_into_raws(3 * PAGE_SIZE).collect() };
    assert_eq!(raws.len(), 2, "the remainder of two pages is left out");
    for (index, raw) in raws.iter().enumerate() {
        assert_eq!(raw.as_ptr() as usize, buf.as_ptr() as usize + index * 3 * PAGE_SIZE);
        assert_eq!((raw.len(), raw.cap()), (0, 3 * PAGE_SIZE));
    }
}

#[test]
fn slice_into_raws_refuses_a_chunk_that_is_no_multiple() {
    for chunk in [0, 1, 4095, 6000] {
        let buf = AlignedBuf::page().unwrap();
        // SAFETY: nothing is done with the views.
        let refused = std::panic::catch_unwind(|| unsafe { buf.slice_into_raws(chunk).count() });
        assert!(refused.is_err(), "{chunk}");
    }
}

#[test]
fn as_raw_and_as_raw_view_are_the_whole_buffer() {
    let mut buf = buf_of(b"five5");
    let ptr = buf.as_mut_ptr();
    // SAFETY: the buffer outlives the views.
    for raw in unsafe { [buf.as_raw(), buf.as_raw_view()] } {
        assert_eq!((raw.as_mut_ptr(), raw.len(), raw.cap()), (ptr, 5, PAGE_SIZE));
        assert_eq!(raw.as_slice(), b"five5");
    }
}

#[test]
fn into_raw_parts_and_from_raw_parts_are_inverse() {
    let buf = buf_of(b"parts");
    let ptr = buf.as_ptr();
    let (part, len, cap) = buf.into_raw_parts();
    assert_eq!((part.as_ptr().cast_const(), len, cap), (ptr, 5, PAGE_SIZE));
    // SAFETY: as they came.
    let again = unsafe { AlignedBuf::from_raw_parts(part, len, cap) };
    assert_eq!(&again[..], b"parts");
}

// ---- AlignedBuf: content -----------------------------------------------------------------------------------------------

#[test]
fn len_cap_is_empty_as_ptr_as_mut_ptr() {
    let mut buf = AlignedBuf::with_cap(PAGE_SIZE).unwrap();
    assert!(buf.is_empty());
    buf.extend(b"data").unwrap();
    assert_eq!((buf.len(), buf.cap(), buf.is_empty()), (4, PAGE_SIZE, false));
    assert_eq!(buf.as_ptr(), buf.as_mut_ptr().cast_const());
}

#[test]
fn clear_and_truncate_only_shorten() {
    let mut buf = AlignedBuf::zeroed(100).unwrap();
    buf.truncate(50);
    assert_eq!(buf.len(), 50);
    buf.truncate(200);
    assert_eq!(buf.len(), 50);
    buf.clear();
    assert_eq!((buf.len(), buf.cap()), (0, PAGE_SIZE));
}

#[test]
fn set_len_within_the_capacity() {
    let mut buf = AlignedBuf::zeroed(PAGE_SIZE).unwrap();
    // SAFETY: zeroed.
    unsafe { buf.set_len(100) };
    assert_eq!(buf.len(), 100);
    let over = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // SAFETY: it panics in every build.
        unsafe { buf.set_len(PAGE_SIZE + 1) }
    }));
    assert!(over.is_err() && buf.len() == 100);
}

#[test]
fn try_clone_and_clone_copy() {
    let buf = buf_of(b"test data");
    for copy in [buf.try_clone().unwrap(), buf.clone()] {
        assert_eq!((&copy[..], copy.cap()), (&buf[..], buf.cap()));
        assert_ne!(copy.as_ptr(), buf.as_ptr());
    }
}

#[test]
fn extend_appends_or_changes_nothing() {
    let mut buf = AlignedBuf::with_cap(PAGE_SIZE).unwrap();
    buf.extend(b"").unwrap();
    buf.extend(b"hello").unwrap();
    buf.extend(b" world").unwrap();
    assert_eq!(&buf[..], b"hello world");
    let error = buf.extend(&[1; PAGE_SIZE]).unwrap_err();
    assert!(matches!(error, Error::Overflow(wanted, PAGE_SIZE) if wanted == PAGE_SIZE + 11), "{error:?}");
    assert_eq!(&buf[..], b"hello world");
    assert!(matches!(buf.extend(&[2; PAGE_SIZE - 10]), Err(Error::Overflow(4097, PAGE_SIZE))));
    buf.extend(&[2; PAGE_SIZE - 11]).unwrap();
    assert_eq!(buf.len(), PAGE_SIZE);
}

#[test]
fn deref_as_ref_as_mut() {
    let mut buf = buf_of(b"test");
    buf[0] = b'T';
    assert_eq!(&*buf, b"Test");
    buf.as_mut()[1] = b'E';
    let shared: &[u8] = buf.as_ref();
    assert_eq!(shared, b"TEst");
}

#[test]
fn debug_is_the_originals() {
    assert_eq!(format!("{:?}", buf_of(b"five5")), "AlignedBuf { len: 5, cap: 4096 }");
}

#[test]
fn aligned_buf_and_raw_are_send_and_sync() {
    assert!(
        is_send_and_sync(None::<AlignedBuf>) && is_send_and_sync(None::<RawIoBuf>) && is_send_and_sync(None::<Error>)
    );
}

// ---- RawIoBuf ------------------------------------------------------------------------------------------------------------

#[test]
fn raw_new_is_empty_and_const() {
    // SAFETY: never read.
    const EMPTY: RawIoBuf = unsafe { RawIoBuf::new(std::ptr::null_mut(), 0) };
    assert!(EMPTY.is_empty() && EMPTY.cap() == 0);
    let mut buf = AlignedBuf::page().unwrap();
    // SAFETY: the buffer outlives the view.
    let raw = unsafe { RawIoBuf::new(buf.as_mut_ptr(), PAGE_SIZE) };
    assert_eq!((raw.len(), raw.cap(), raw.is_empty()), (0, PAGE_SIZE, true));
}

#[test]
fn raw_from_raw_parts_and_with_len_keep_within_the_capacity() {
    let mut buf = AlignedBuf::page().unwrap();
    let ptr = NonNull::new(buf.as_mut_ptr()).unwrap();
    // SAFETY: the buffer outlives the view.
    let raw = unsafe { RawIoBuf::from_raw_parts(ptr, 7, PAGE_SIZE) };
    assert_eq!((raw.len(), raw.with_len(512).len(), raw.with_len(PAGE_SIZE + 1).len()), (7, 512, PAGE_SIZE));
}

#[test]
#[allow(deprecated)]
fn raw_from_slice_is_the_whole_slice() {
    let mut data = [0u8; 256];
    data[0] = 42;
    let raw = RawIoBuf::from_slice(&mut data);
    assert_eq!((raw.len(), raw.cap(), raw.as_slice()[0]), (256, 256, 42));
}

#[test]
fn raw_slice_reads_and_slice_data_writes() {
    let mut buf = AlignedBuf::zeroed(4 * PAGE_SIZE).unwrap();
    buf[PAGE_SIZE] = 42;
    // SAFETY: the buffer outlives the views.
    unsafe {
        let raw = buf.as_raw();
        let to_read = raw.slice(PAGE_SIZE, PAGE_SIZE);
        assert_eq!((to_read.len(), to_read.cap()), (0, PAGE_SIZE));
        assert_eq!(to_read.as_ptr() as usize, raw.as_ptr() as usize + PAGE_SIZE);
        let to_write = raw.slice_data(PAGE_SIZE, 2 * PAGE_SIZE);
        assert_eq!((to_write.len(), to_write.cap(), to_write.as_slice()[0]), (2 * PAGE_SIZE, 2 * PAGE_SIZE, 42));
        let unchecked = raw.slice_unchecked(2 * PAGE_SIZE, 100);
        assert_eq!((unchecked.len(), unchecked.cap()), (0, 100));
    }
}

#[test]
fn raw_slice_is_checked_in_every_build() {
    let mut buf = AlignedBuf::zeroed(4 * PAGE_SIZE).unwrap();
    // SAFETY: the buffer outlives the view.
    let raw = unsafe { buf.as_raw() };
    let refused = |offset, len| {
        // SAFETY: as above.
        let error = unsafe { raw.try_slice(offset, len) }.unwrap_err();
        // SAFETY: as above.
        let panics = [
            std::panic::catch_unwind(|| unsafe { raw.slice(offset, len) }).is_err(),
            std::panic::catch_unwind(|| unsafe { raw.slice_data(offset, len) }).is_err(),
        ];
        assert_eq!(panics, [true, true], "{offset} {len}");
        error.errno()
    };
    assert_eq!(refused(0, 4 * PAGE_SIZE + 1), libc::ERANGE);
    assert_eq!(refused(PAGE_SIZE, usize::MAX), libc::ERANGE, "the sum wraps");
    assert_eq!(refused(512, 512), libc::EINVAL);
    assert_eq!(refused(5 * PAGE_SIZE, 0), libc::ERANGE);
    // SAFETY: as above.
    assert_eq!(unsafe { raw.try_slice(4 * PAGE_SIZE, 0) }.unwrap().cap(), 0);
}

#[test]
fn raw_slices_write_through() {
    let mut buf = AlignedBuf::zeroed(PAGE_SIZE).unwrap();
    // SAFETY: the buffer outlives the view.
    let mut raw = unsafe { buf.as_raw() };
    raw.as_mut_slice()[0] = 77;
    assert_eq!(buf[0], 77);
}

#[test]
fn raw_set_len_within_the_capacity() {
    let mut buf = AlignedBuf::page().unwrap();
    // SAFETY: the buffer outlives the view; its page is initialised.
    let mut raw = unsafe { RawIoBuf::new(buf.as_mut_ptr(), PAGE_SIZE) };
    // SAFETY: as above.
    unsafe { raw.set_len(512) };
    assert_eq!(raw.len(), 512);
    // SAFETY: it panics in every build.
    let over = std::panic::catch_unwind(move || unsafe { raw.set_len(PAGE_SIZE + 1) });
    assert!(over.is_err());
}

#[test]
fn raw_is_copied_by_value() {
    let mut buf = AlignedBuf::page().unwrap();
    // SAFETY: the buffer outlives the views.
    let raw = unsafe { buf.as_raw() };
    let copy = raw;
    assert_eq!((raw.as_ptr(), raw.len(), raw.cap()), (copy.as_ptr(), copy.len(), copy.cap()));
}

#[test]
fn raw_debug_is_the_originals() {
    let mut buf = buf_of(b"five5");
    let ptr = buf.as_mut_ptr();
    // SAFETY: the buffer outlives the view.
    let text = format!("{:?}", unsafe { buf.as_raw() });
    assert_eq!(text, format!("RawIoBuf {{ ptr: {ptr:?}, len: 5, cap: 4096 }}"));
}

#[test]
fn arena_pattern_gives_distinct_aligned_frames() {
    let arena = AlignedBuf::zeroed(4 * PAGE_SIZE).unwrap();
    // SAFETY: the buffer outlives the views.
    let base = unsafe { arena.as_raw_view() };
    // SAFETY: as above.
    let frames: HashSet<_> =
        (0..4).map(|i| unsafe { base.slice_unchecked(i * PAGE_SIZE, PAGE_SIZE) }.as_ptr()).collect();
    assert!(frames.len() == 4 && frames.iter().all(|frame| *frame as usize % ALIGNMENT == 0));
}

// ---- compio-buf 0.7 ------------------------------------------------------------------------------------------------------

#[cfg(feature = "compio-07")]
mod compio_07 {
    use super::*;
    use compio_buf_07::{IoBuf, IoBufMut, IoVectoredBuf, SetBufInit};

    #[test]
    fn io_buf_of_both_types() {
        let mut buf = buf_of(b"io test");
        assert_eq!((buf.as_buf_ptr(), buf.buf_len(), buf.buf_capacity()), (buf.as_ptr(), 7, PAGE_SIZE));
        // SAFETY: the buffer outlives the view.
        let raw = unsafe { buf.as_raw() };
        assert_eq!((raw.as_buf_ptr(), raw.buf_len(), raw.buf_capacity()), (buf.as_ptr(), 7, PAGE_SIZE));
    }

    #[test]
    fn io_buf_mut_of_both_types() {
        let mut buf = AlignedBuf::page().unwrap();
        // SAFETY: the buffer outlives the view.
        let mut raw = unsafe { buf.as_raw() };
        assert_eq!(buf.as_buf_mut_ptr(), buf.as_mut_ptr());
        assert_eq!(raw.as_buf_mut_ptr(), buf.as_mut_ptr());
    }

    #[test]
    fn set_buf_init_sets_the_length() {
        let mut buf = AlignedBuf::page().unwrap();
        // SAFETY: a page of zeros, which outlives the view.
        unsafe {
            let mut raw = buf.as_raw();
            raw.set_buf_init(512);
            buf.set_buf_init(256);
            assert_eq!((raw.len(), buf.len()), (512, 256));
        }
    }

    #[test]
    fn vectored_of_several() {
        let bufs = vec![buf_of(b"one"), buf_of(b"three")];
        assert_eq!((bufs.total_len(), bufs.total_capacity()), (8, 2 * PAGE_SIZE));
    }
}
