//! Random reads of 4 KiB by compio, 32 at once, from a file opened with O_DIRECT: frames of a pool beside aligned vectors.
//!
//!     cargo bench -p jdb_alloc-bench --bench reads

use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use aligned_vec::{AVec, ConstAlign};
use compio::buf::{IoBuf, IoBufMut, SetLen};
use compio::fs::{File, OpenOptions};
use compio::io::AsyncReadAt;
use compio::runtime::Runtime;
use criterion::{Criterion, criterion_group, criterion_main};
use jdb_alloc::Pool;

const PAGE: usize = 4096;
const PAGES: u64 = 65536;
const DEPTH: u64 = 32;

/// What a program writes today.
struct VecBuf(AVec<u8, ConstAlign<4096>>);

impl VecBuf {
    fn new() -> VecBuf {
        VecBuf(AVec::with_capacity(4096, PAGE))
    }
}

impl IoBuf for VecBuf {
    fn as_init(&self) -> &[u8] {
        &self.0
    }
}

impl IoBufMut for VecBuf {
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the capacity is allocated.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.capacity()) }
    }
}

impl SetLen for VecBuf {
    unsafe fn set_len(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.0.set_len(len) }
    }
}

fn data_file() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("reads.dat");
    if std::fs::metadata(&path).map(|facts| facts.len()).unwrap_or(0) != PAGES * PAGE as u64 {
        std::fs::write(&path, vec![7; PAGES as usize * PAGE]).unwrap();
    }
    path
}

/// `rounds` reads, `DEPTH` tasks that each read one page after the other into what `make` gives.
async fn read_all<B, M, F>(file: Rc<File>, rounds: u64, make: M) -> Duration
where
    B: IoBufMut,
    M: Fn() -> F + Clone + 'static,
    F: Future<Output = B>,
{
    let begin = Instant::now();
    let tasks = (0..DEPTH).map(|task| {
        let (file, make) = (Rc::clone(&file), make.clone());
        async move {
            let mut state = task * 0x9e37_79b9 + 1;
            for _ in 0..rounds.div_ceil(DEPTH) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let (read, buf) = file.read_at(make().await, state % PAGES * PAGE as u64).await.into();
                assert_eq!((read.unwrap(), buf.buf_len()), (PAGE, PAGE));
            }
        }
    });
    futures_util::future::join_all(tasks).await;
    begin.elapsed()
}

fn reads(criterion: &mut Criterion) {
    let path = data_file();
    let runtime = Runtime::new().unwrap();
    let open = async { OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path).await };
    let Ok(file) = runtime.block_on(open).map(Rc::new) else {
        println!("skipped: no O_DIRECT under {}", path.display());
        return;
    };
    let pool = Pool::new(PAGE, DEPTH as u32).unwrap();
    let mut group = criterion.benchmark_group("4 KiB random read, 32 at once");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3)).sample_size(20);
    group.bench_function("frames of a pool", |bench| {
        bench.iter_custom(|rounds| {
            let pool = pool.clone();
            runtime.block_on(read_all(Rc::clone(&file), rounds, move || {
                let get = pool.get();
                async move { get.await.unwrap() }
            }))
        });
    });
    group.bench_function("aligned-vec, one for each read", |bench| {
        bench.iter_custom(|rounds| runtime.block_on(read_all(Rc::clone(&file), rounds, || async { VecBuf::new() })));
    });
    group.finish();
}

criterion_group!(benches, reads);
criterion_main!(benches);
