//! tokio-uring: the real runtime on a real file opened with O_DIRECT.
#![cfg(all(feature = "tokio-uring", target_os = "linux"))]

mod rig;

use std::io::Write;
use std::time::Duration;

use jdb_alloc::{AlignedBuf, Pool};
use rig::{PAGE, TestFile, filled, has_io_uring, is_filled, page_byte};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::buf::fixed::FixedBufRegistry;
use tokio_uring::fs::File;

#[test]
fn frames_through_the_runtime() {
    let test = TestFile::with_pages(16);
    let Some(direct) = test.open_direct().filter(|_| has_io_uring()) else { return };
    let pool = Pool::new(PAGE, 2).unwrap();
    tokio_uring::start(async {
        let file = File::from_std(direct);
        for page in 0..16 {
            let (read, frame) = file.read_at(pool.get().await.unwrap(), (page * PAGE) as u64).await;
            assert!(read.unwrap() == PAGE && frame.len() == PAGE && is_filled(&frame, page_byte(page)));
        }
        let shared = filled(pool.get().await.unwrap(), 0xaa).freeze();
        let (written, _) = file.write_at(shared.clone(), PAGE as u64).submit().await;
        assert_eq!((written.unwrap(), is_filled(&shared, 0xaa)), (PAGE, true));
        let (read, buf) = file.read_at(AlignedBuf::with_cap(2 * PAGE).unwrap(), 0).await;
        assert!(read.unwrap() == 2 * PAGE && is_filled(&buf[PAGE..], 0xaa));
        drop(shared);
        file.close().await.unwrap();
    });
    assert_eq!(pool.stats().unwrap().lent_count, 0);
}

#[test]
fn frames_in_the_runtimes_fixed_registry() {
    let test = TestFile::with_pages(4);
    let Some(direct) = test.open_direct().filter(|_| has_io_uring()) else { return };
    let pool = Pool::new(PAGE, 4).unwrap();
    tokio_uring::start(async {
        let registry = FixedBufRegistry::new(pool.try_get_many(4).unwrap());
        registry.register().unwrap();
        let file = File::from_std(direct);
        let fixed = registry.check_out(0).expect("a buffer of the registry");
        let (read, fixed) = file.read_fixed_at(fixed, 2 * PAGE as u64).await;
        assert!(read.unwrap() == PAGE && is_filled(&fixed, page_byte(2)));
        file.close().await.unwrap();
    });
}

#[test]
fn slices_of_frames() {
    let test = TestFile::with_pages(2);
    let Some(direct) = test.open_direct().filter(|_| has_io_uring()) else { return };
    let pool = Pool::new(4 * PAGE, 1).unwrap();
    tokio_uring::start(async {
        let file = File::from_std(direct);
        let part = filled(pool.get().await.unwrap(), 0xcc).slice(PAGE..2 * PAGE);
        let (read, part) = file.read_at(part, PAGE as u64).await;
        let frame = part.into_inner();
        assert!(read.unwrap() == PAGE && is_filled(&frame[PAGE..2 * PAGE], page_byte(1)));
        assert!(is_filled(&frame[..PAGE], 0xcc) && is_filled(&frame[2 * PAGE..], 0xcc));
        file.close().await.unwrap();
    });
}

/// If dropping the future gave the frame back at once, the next owner's bytes would be overwritten by the read.
#[test]
fn dropped_read_keeps_its_frame_until_the_completion() {
    if !has_io_uring() {
        return;
    }
    let pool = Pool::new(PAGE, 1).unwrap();
    tokio_uring::start(async {
        let (reader, mut writer) = rig::pipe();
        let pipe = File::from_std(std::fs::File::from(reader));
        let read = pipe.read_at(pool.try_get().unwrap(), 0);
        assert!(tokio::time::timeout(Duration::from_millis(5), read).await.is_err(), "the pipe is empty");
        let stolen = pool.try_get().map(|frame| filled(frame, 0xee));
        writer.write_all(&[0x11; PAGE]).unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        if let Ok(frame) = stolen {
            assert!(is_filled(&frame, 0xee), "corrupted: a dropped read wrote into a frame of somebody else");
            panic!("the frame was given back while the kernel had it");
        }
        assert_eq!(pool.get().await.unwrap().index(), 0, "it comes back with the completion");
    });
    assert_eq!(pool.stats().unwrap().lent_count, 0);
}
