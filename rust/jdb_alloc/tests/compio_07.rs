//! compio 0.17, the last with the traits of compio-buf 0.7: the runtime that jdb_alloc 0.1 was written for, on a real file opened
//! with O_DIRECT.
#![cfg(all(feature = "compio-07", target_os = "linux"))]

mod rig;

use std::io::Write;
use std::time::Duration;

use compio_07::buf::BufResult;
use compio_07::fs::{File, OpenOptions};
use compio_07::io::{AsyncRead, AsyncReadAt, AsyncReadAtExt, AsyncWriteAt, AsyncWriteAtExt};
use compio_07::runtime::Runtime;
use jdb_alloc::{AlignedBuf, Pool, RawIoBuf};
use rig::{PAGE, TestFile, filled, has_io_uring, is_filled, page_byte};

async fn open(test: &TestFile) -> File {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(test.path()).await.unwrap()
}

/// What programs written for 0.1 do: buffers by value, and an arena of `AlignedBuf` cut into views.
#[test]
fn buffers_and_views_through_the_runtime() {
    let test = TestFile::with_pages(8);
    if test.open_direct().is_none() {
        return;
    }
    Runtime::new().unwrap().block_on(async {
        let mut file = open(&test).await;
        let BufResult(read, buf) = file.read_at(AlignedBuf::with_cap(2 * PAGE).unwrap(), PAGE as u64).await;
        assert_eq!((read.unwrap(), buf.len()), (2 * PAGE, 2 * PAGE));
        assert!(is_filled(&buf[..PAGE], page_byte(1)) && is_filled(&buf[PAGE..], page_byte(2)));
        let BufResult(read, buf) = file.read_at(buf, 8 * PAGE as u64).await;
        assert_eq!((read.unwrap(), buf.len()), (0, 0), "the end of the file");

        let arena = AlignedBuf::zeroed(4 * PAGE).unwrap();
        // SAFETY: the arena outlives the views, and each is used by one operation at a time.
        let frames: Vec<RawIoBuf> = unsafe { arena.slice_into_raws(PAGE).collect() };
        for (page, frame) in frames.iter().enumerate() {
            let BufResult(read, view) = file.read_at(*frame, (page * PAGE) as u64).await;
            assert_eq!((read.unwrap(), view.len(), view.as_ptr()), (PAGE, PAGE, frame.as_ptr()));
        }
        // SAFETY: the reads filled it.
        let whole = unsafe { arena.as_raw_view() }.with_len(4 * PAGE);
        assert!((0..4).all(|page| is_filled(&arena[page * PAGE..(page + 1) * PAGE], page_byte(page))));
        let BufResult(written, _) = file.write_at(whole, 4 * PAGE as u64).await;
        assert_eq!(written.unwrap(), 4 * PAGE);
        // SAFETY: as above.
        let part = unsafe { whole.slice_data(3 * PAGE, PAGE) };
        let BufResult(written, _) = file.write_all_at(part, 0).await;
        written.unwrap();
        file.sync_all().await.unwrap();
    });
    let bytes = test.bytes();
    assert!((4..8).all(|page| is_filled(&bytes[page * PAGE..(page + 1) * PAGE], page_byte(page - 4))));
    assert!(is_filled(&bytes[..PAGE], page_byte(3)));
}

#[test]
fn frames_through_the_runtime() {
    let test = TestFile::with_pages(8);
    if test.open_direct().is_none() {
        return;
    }
    let pool = Pool::new(PAGE, 2).unwrap();
    Runtime::new().unwrap().block_on(async {
        let mut file = open(&test).await;
        for page in 0..8 {
            let BufResult(read, frame) = file.read_at(pool.get().await.unwrap(), (page * PAGE) as u64).await;
            assert!(read.unwrap() == PAGE && frame.len() == PAGE && is_filled(&frame, page_byte(page)));
        }
        let shared = filled(pool.get().await.unwrap(), 0xaa).freeze();
        let BufResult(written, _) = file.write_at(shared.clone(), PAGE as u64).await;
        assert_eq!((written.unwrap(), is_filled(&shared, 0xaa)), (PAGE, true));
        drop(shared);
        let BufResult(read, frame) = file.read_exact_at(pool.get().await.unwrap(), PAGE as u64).await;
        read.unwrap();
        assert!(is_filled(&frame, 0xaa));
        drop(frame);
        let BufResult(read, frames) = file.read_vectored_at(pool.get_many(2).await.unwrap(), 0).await;
        assert_eq!((read.unwrap(), frames[0].len(), frames[1].len()), (2 * PAGE, PAGE, PAGE));
        assert!(is_filled(&frames[0], page_byte(0)) && is_filled(&frames[1], 0xaa));
    });
    assert_eq!(pool.stats().unwrap().lent_count, 0);
}

/// If dropping the future gave the frame back at once, the next owner's bytes would be overwritten by the read.
#[test]
fn dropped_read_keeps_its_frame_until_the_completion() {
    if !has_io_uring() {
        return;
    }
    let pool = Pool::new(PAGE, 1).unwrap();
    Runtime::new().unwrap().block_on(async {
        let (reader, mut writer) = rig::pipe();
        let pipe = compio_07::fs::AsyncFd::new(reader).unwrap();
        {
            let mut pipe = &pipe;
            let read = std::pin::pin!(pipe.read(pool.try_get().unwrap()));
            assert!(compio_07::time::timeout(Duration::from_millis(5), read).await.is_err(), "the pipe is empty");
        }
        let stolen = pool.try_get().map(|frame| filled(frame, 0xee));
        writer.write_all(&[0x11; PAGE]).unwrap();
        compio_07::time::sleep(Duration::from_millis(5)).await;
        if let Ok(frame) = stolen {
            assert!(is_filled(&frame, 0xee), "corrupted: a dropped read wrote into a frame of somebody else");
        }
        assert_eq!(pool.get().await.unwrap().index(), 0, "it comes back with the completion");
    });
    assert_eq!(pool.stats().unwrap().lent_count, 0);
}
