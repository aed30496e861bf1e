//! Allocating and freeing beside the peers, and the crossing into C.
//!
//!     cargo bench -p jdb_alloc-bench --bench memory

use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};

use aligned_vec::{AVec, ConstAlign};
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use jdb_alloc::{AlignedBuf, Arena, Frame, Pool};
use jdb_alloc_bench::{PeerBuf, across_threads, floor};
use mimalloc::MiMalloc;
use snmalloc_rs::SnMalloc;
use tikv_jemallocator::Jemalloc;

const KIB: usize = 1024;

/// A row for jdb_alloc, one for what the original does, one for each peer.
macro_rules! rows {
    ($group:expr, $own:expr, $peer:ident, $size:expr) => {{
        $group.bench_function("jdb_alloc", |bench| bench.iter(|| black_box($own)));
        $group.bench_function("std::alloc, as the original", |bench| {
            bench.iter(|| black_box(PeerBuf::$peer(&System, $size)))
        });
        $group.bench_function("mimalloc", |bench| bench.iter(|| black_box(PeerBuf::$peer(&MiMalloc, $size))));
        $group.bench_function("snmalloc", |bench| bench.iter(|| black_box(PeerBuf::$peer(&SnMalloc, $size))));
        $group.bench_function("jemalloc", |bench| bench.iter(|| black_box(PeerBuf::$peer(&Jemalloc, $size))));
    }};
}

fn quick<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(1)).sample_size(30);
    group
}

/// As the loops of `floor.c`: what is made is seen by nobody but through its address, and dropped.
fn timed<T>(rounds: u64, make: impl Fn() -> T, address_of: impl Fn(&T) -> *const u8) -> Duration {
    let begin = Instant::now();
    for _ in 0..rounds {
        black_box(address_of(&make()));
    }
    begin.elapsed()
}

fn crossing(criterion: &mut Criterion) {
    let mut group = quick(criterion, "crossing");
    group.bench_function("a call of a C function that does nothing", |bench| bench.iter(jdb_alloc::library_version));
    group.bench_function("4 KiB allocated and freed, C", |bench| {
        bench.iter_custom(|rounds| floor::buf(rounds, 4 * KIB))
    });
    group.bench_function("4 KiB allocated and freed, Rust", |bench| {
        bench.iter_custom(|rounds| timed(rounds, || AlignedBuf::with_cap(4 * KIB).unwrap(), AlignedBuf::as_ptr))
    });
    group.bench_function("zeroed page, C", |bench| bench.iter_custom(floor::page));
    group.bench_function("zeroed page, Rust", |bench| {
        bench.iter_custom(|rounds| timed(rounds, || AlignedBuf::page().unwrap(), AlignedBuf::as_ptr))
    });
    let arena = || Arena::new(4 * KIB, 1024).unwrap();
    let counted = Pool::over(&arena()).unwrap();
    let permanent = Pool::builder(&arena()).permanent(true).build().unwrap();
    group.bench_function("frame got and put, C", |bench| bench.iter_custom(floor::frame));
    group.bench_function("frame got and put, Rust, permanent pool", |bench| {
        bench.iter_custom(|rounds| timed(rounds, || permanent.try_get().unwrap(), Frame::as_ptr))
    });
    group.bench_function("frame got and put, Rust, counted pool", |bench| {
        bench.iter_custom(|rounds| timed(rounds, || counted.try_get().unwrap(), Frame::as_ptr))
    });
}

fn make_and_drop(criterion: &mut Criterion) {
    for size in [4 * KIB, 16 * KIB, 64 * KIB] {
        let mut group = quick(criterion, &format!("{} KiB allocated and freed", size / KIB));
        rows!(group, AlignedBuf::with_cap(size).unwrap(), new, size);
        group.bench_function("aligned-vec", |bench| {
            bench.iter(|| black_box(AVec::<u8, ConstAlign<4096>>::with_capacity(4096, size)));
        });
    }
}

fn zeroed(criterion: &mut Criterion) {
    for size in [4 * KIB, 64 * KIB] {
        let mut group = quick(criterion, &format!("{} KiB zeroed and freed", size / KIB));
        rows!(group, AlignedBuf::zeroed(size).unwrap(), zeroed, size);
    }
}

fn cross_thread(criterion: &mut Criterion) {
    let mut group = quick(criterion, "4 KiB allocated here, freed by another thread");
    let size = 4 * KIB;
    group.bench_function("jdb_alloc", |bench| {
        bench.iter_custom(|rounds| across_threads(rounds, || AlignedBuf::with_cap(size).unwrap()));
    });
    group.bench_function("std::alloc, as the original", |bench| {
        bench.iter_custom(|rounds| across_threads(rounds, || PeerBuf::new(&System, size)));
    });
    group.bench_function("mimalloc", |bench| {
        bench.iter_custom(|rounds| across_threads(rounds, || PeerBuf::new(&MiMalloc, size)));
    });
    group.bench_function("snmalloc", |bench| {
        bench.iter_custom(|rounds| across_threads(rounds, || PeerBuf::new(&SnMalloc, size)));
    });
    group.bench_function("jemalloc", |bench| {
        bench.iter_custom(|rounds| across_threads(rounds, || PeerBuf::new(&Jemalloc, size)));
    });
}

criterion_group!(benches, crossing, make_and_drop, zeroed, cross_thread);
criterion_main!(benches);
