//! compio: its traits, and the real runtime on a real file opened with O_DIRECT.
#![cfg(all(feature = "compio", target_os = "linux"))]

mod rig;

use std::time::Duration;

use compio::buf::{IoBuf, IoBufMut, IoVectoredBuf, SetLen};
use compio::fs::{File, OpenOptions};
use compio::io::{AsyncReadAt, AsyncReadAtExt, AsyncWriteAt, AsyncWriteAtExt};
use compio::runtime::Runtime;
use jdb_alloc::{AlignedBuf, PAGE_SIZE, Pool};
use rig::{PAGE, TestFile, filled, has_io_uring, is_filled, page_byte};

async fn open(test: &TestFile) -> File {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(test.path()).await.unwrap()
}

#[test]
fn traits_of_every_type() {
    let mut buf = AlignedBuf::with_cap(100).unwrap();
    buf.extend(b"io test").unwrap();
    assert_eq!((buf.as_init(), IoBuf::buf_len(&buf), buf.buf_ptr()), (&b"io test"[..], 7, buf.as_ptr()));
    assert_eq!((buf.as_uninit().len(), buf.buf_capacity()), (PAGE_SIZE, PAGE_SIZE));
    // SAFETY: seven bytes are initialised.
    unsafe { SetLen::set_len(&mut buf, 3) };
    assert_eq!(&buf[..], b"io ");

    let pool = Pool::new(PAGE, 1).unwrap();
    let mut frame = pool.try_get().unwrap();
    assert_eq!((frame.as_uninit().len(), IoBuf::buf_len(&frame)), (PAGE, 0));
    frame.extend_from_slice(b"frame").unwrap();
    assert!(IoBufMut::reserve(&mut frame, PAGE).unwrap_err().is_not_supported());
    let shared = frame.freeze();
    assert_eq!(shared.clone().slice(1..3).as_init(), b"ra");

    // SAFETY: the buffer outlives the view.
    let mut raw = unsafe { buf.as_raw() };
    assert_eq!((raw.as_init(), IoBuf::buf_len(&raw)), (&b"io "[..], 3));
    assert_eq!(raw.as_uninit().len(), PAGE_SIZE);
    assert_eq!(vec![buf].total_len(), 3);
}

/// The README's program is the example, which is built with the tests.
#[test]
fn program_of_the_readme_is_the_example() {
    let program = format!("```rust,ignore\n{}```", include_str!("../examples/compio.rs"));
    assert!(include_str!("../README.md").contains(&program));
}

#[test]
fn reserve_grows_the_buffer() {
    let mut buf = AlignedBuf::with_cap(PAGE_SIZE).unwrap();
    buf.extend_from_slice(&[1; PAGE_SIZE]).unwrap();
    buf.extend_from_slice(&[2; 3 * PAGE_SIZE]).unwrap();
    assert!(buf.len() == 4 * PAGE_SIZE && buf.cap() >= 4 * PAGE_SIZE && buf[PAGE_SIZE - 1] == 1 && buf[PAGE_SIZE] == 2);
    IoBufMut::reserve_exact(&mut buf, 1 << 20).unwrap();
    assert!(buf.cap() - buf.len() >= 1 << 20);
}

#[test]
fn frames_through_the_runtime() {
    let test = TestFile::with_pages(16);
    if test.open_direct().is_none() {
        return;
    }
    let pool = Pool::new(PAGE, 4).unwrap();
    Runtime::new().unwrap().block_on(async {
        let mut file = open(&test).await;
        for page in 0..16 {
            let (read, frame) = file.read_at(pool.get().await.unwrap(), (page * PAGE) as u64).await.into();
            assert_eq!((read.unwrap(), frame.len()), (PAGE, PAGE));
            assert!(is_filled(&frame, page_byte(page)));
        }
        // Written from one share while another reads.
        let shared = filled(pool.get().await.unwrap(), 0xaa).freeze();
        let (written, back) = file.write_at(shared.clone(), PAGE as u64).await.into();
        assert_eq!((written.unwrap(), is_filled(&shared, 0xaa)), (PAGE, true));
        drop((shared, back));
        // Several at once. compio-driver 0.12.5 reads into the initialised bytes of each alone, so they are filled before.
        let frames: Vec<_> = pool.get_many(2).await.unwrap().into_iter().map(|frame| filled(frame, 0)).collect();
        let (read, frames) = file.read_vectored_at(frames, 0).await.into();
        assert_eq!((read.unwrap(), frames[0].len(), frames[1].len()), (2 * PAGE, PAGE, PAGE));
        assert!(is_filled(&frames[0], page_byte(0)) && is_filled(&frames[1], 0xaa));
        let mut buf = AlignedBuf::with_cap(4 * PAGE).unwrap();
        buf.resize(4 * PAGE, 0xbb).unwrap();
        let (written, buf) = file.write_all_at(buf, 4 * PAGE as u64).await.into();
        written.unwrap();
        let (read, buf) = file.read_exact_at(buf, 4 * PAGE as u64).await.into();
        read.unwrap();
        assert!(is_filled(&buf, 0xbb));
    });
    assert_eq!(pool.stats().unwrap().lent_count, 0);
}

#[test]
fn get_waits_for_the_frame_of_another_task() {
    let pool = Pool::new(PAGE, 1).unwrap();
    Runtime::new().unwrap().block_on(async {
        let held = pool.get().await.unwrap();
        let late = compio::time::timeout(Duration::from_millis(10), pool.get()).await;
        assert!(late.is_err(), "the runtime's timeout cancels the wait");
        let task = compio::runtime::spawn({
            let pool = pool.clone();
            async move { pool.get().await.unwrap().index() }
        });
        compio::time::sleep(Duration::from_millis(1)).await;
        drop(held);
        assert_eq!(task.await.unwrap_or(9), 0);
    });
    assert_eq!((pool.stats().unwrap().lent_count, pool.stats().unwrap().cancel_count), (0, 1));
}

/// If dropping the future gave the frame back at once, the next owner's bytes would be overwritten by the read.
#[test]
fn dropped_read_keeps_its_frame_until_the_completion() {
    use std::io::Write;
    if !has_io_uring() {
        return;
    }
    let pool = Pool::new(PAGE, 1).unwrap();
    Runtime::new().unwrap().block_on(async {
        let (reader, mut writer) = rig::pipe();
        let pipe = compio::runtime::fd::AsyncFd::new(reader).unwrap();
        let frame = pool.try_get().unwrap();
        {
            use compio::io::AsyncRead;
            let mut pipe = &pipe;
            let read = std::pin::pin!(pipe.read(frame));
            let pending = compio::time::timeout(Duration::from_millis(5), read).await;
            assert!(pending.is_err(), "the pipe is empty");
        }
        let stolen = pool.try_get().map(|frame| filled(frame, 0xee));
        writer.write_all(&[0x11; PAGE]).unwrap();
        compio::time::sleep(Duration::from_millis(5)).await;
        if let Ok(frame) = stolen {
            assert!(is_filled(&frame, 0xee), "corrupted: a dropped read wrote into a frame of somebody else");
        }
        assert_eq!(pool.get().await.unwrap().index(), 0, "it comes back with the completion");
    });
    assert_eq!(pool.stats().unwrap().lent_count, 0);
}

#[cfg(feature = "compio-driver")]
#[test]
fn page_allocator_is_the_memory_of_the_runtimes_pool() {
    use compio::driver::ProactorBuilder;
    use compio::io::AsyncReadManagedAt;
    let test = TestFile::with_pages(4);
    if test.open_direct().is_none() {
        return;
    }
    let mut proactor = ProactorBuilder::new();
    proactor.buffer_pool_allocator::<jdb_alloc::PageAllocator>();
    let runtime = Runtime::builder().with_proactor(proactor).build().unwrap();
    let before = jdb_alloc::pages::stats().lent_bytes;
    runtime.block_on(async {
        let file = open(&test).await;
        let buf = file.read_managed_at(PAGE, PAGE as u64).await.unwrap().expect("bytes");
        assert!(buf.len() == PAGE && buf.as_ptr() as usize % PAGE == 0 && is_filled(&buf, page_byte(1)));
        assert!(jdb_alloc::pages::stats().lent_bytes > before);
    });
}
