//! monoio: the real runtime, on io_uring, on a real file opened with O_DIRECT.
#![cfg(all(feature = "monoio", target_os = "linux"))]

mod rig;

use std::io::Write;
use std::time::Duration;

use jdb_alloc::{AlignedBuf, Pool};
use monoio::fs::File;
use monoio::{FusionDriver, IoUringDriver, RuntimeBuilder};
use rig::{PAGE, TestFile, filled, has_io_uring, is_filled, page_byte};

fn run<F: Future>(future: F) -> F::Output {
    RuntimeBuilder::<IoUringDriver>::new().enable_timer().build().unwrap().block_on(future)
}

#[test]
fn frames_through_the_runtime() {
    let test = TestFile::with_pages(16);
    let Some(direct) = test.open_direct().filter(|_| has_io_uring()) else { return };
    let pool = Pool::new(PAGE, 2).unwrap();
    run(async {
        let file = File::from_std(direct).unwrap();
        for page in 0..16 {
            let (read, frame) = file.read_at(pool.get().await.unwrap(), (page * PAGE) as u64).await;
            assert!(read.unwrap() == PAGE && frame.len() == PAGE && is_filled(&frame, page_byte(page)));
        }
        let shared = filled(pool.get().await.unwrap(), 0xaa).freeze();
        let (written, _) = file.write_all_at(shared.clone(), PAGE as u64).await;
        written.unwrap();
        assert!(is_filled(&shared, 0xaa));
        drop(shared);
        let (read, buf) = file.read_exact_at(AlignedBuf::with_cap(2 * PAGE).unwrap(), 0).await;
        read.unwrap();
        assert!(buf.len() == 2 * PAGE && is_filled(&buf[PAGE..], 0xaa));
        file.close().await.unwrap();
    });
    assert_eq!(pool.stats().unwrap().lent_count, 0);
}

#[test]
fn frames_through_the_epoll_runtime() {
    let pool = Pool::new(PAGE, 1).unwrap();
    let frame = RuntimeBuilder::<FusionDriver>::new().build().unwrap().block_on(async { pool.get().await.unwrap() });
    assert_eq!(frame.index(), 0);
}

/// If dropping the future gave the frame back at once, the next owner's bytes would be overwritten by the read.
#[test]
fn dropped_read_keeps_its_frame_until_the_completion() {
    if !has_io_uring() {
        return;
    }
    let pool = Pool::new(PAGE, 1).unwrap();
    run(async {
        let (reader, mut writer) = rig::pipe();
        let pipe = File::from_std(std::fs::File::from(reader)).unwrap();
        let read = pipe.read_at(pool.try_get().unwrap(), 0);
        assert!(monoio::time::timeout(Duration::from_millis(5), read).await.is_err(), "the pipe is empty");
        let stolen = pool.try_get().map(|frame| filled(frame, 0xee));
        writer.write_all(&[0x11; PAGE]).unwrap();
        monoio::time::sleep(Duration::from_millis(5)).await;
        if let Ok(frame) = stolen {
            assert!(is_filled(&frame, 0xee), "corrupted: a dropped read wrote into a frame of somebody else");
        }
        assert_eq!(pool.get().await.unwrap().index(), 0, "it comes back with the completion");
    });
    assert_eq!(pool.stats().unwrap().lent_count, 0);
}
