//! A page cache over compio: a pool of frames, a latch for each page, dirty pages written back without a copy.
//!
//!     cargo run --release --example page_cache --features compio
//!
//! What a storage engine would recognise:
//! - a page that is not here is read into a frame of the pool; when all are lent, the task waits for one, and nobody polls;
//! - writers change a page in place; a dirty page is frozen to be written, so readers go on while it goes to disk;
//! - an evicted page gives its frame back by dropping it: a reader that still holds it keeps it alive.
//!
//! Tasks add to counters in random pages; at the end every counter is read from disk and compared.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::rc::Rc;

use compio::fs::{File, OpenOptions};
use compio::io::{AsyncReadAt, AsyncWriteAt};
use compio::runtime::Runtime;
use jdb_alloc::{Frame, Pool, SharedFrame};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PAGE: usize = 4096;
const PAGE_COUNT: u64 = 256;
const FRAME_COUNT: u32 = 8;
const TASK_COUNT: u64 = 16;
const ADD_COUNT: u64 = 500;

/// A page in memory. `None` in between: whoever took it out puts it back before the latch goes.
enum Content {
    /// To change; what is on disk is older.
    Dirty(Frame),
    /// As on disk, or on its way there.
    Clean(SharedFrame),
}

/// A page's latch and content.
#[derive(Default)]
struct Page {
    latch: Latch,
    content: RefCell<Option<Content>>,
}

struct Cache {
    file: File,
    pool: Pool,
    pages: RefCell<HashMap<u64, Rc<Page>>>,
    /// Pages in the order they came, the next to be evicted in front.
    order: RefCell<VecDeque<u64>>,
    counts: RefCell<Counts>,
}

#[derive(Default, Debug)]
struct Counts {
    reads: u64,
    writes: u64,
    hits: u64,
    /// Tasks that wait for a frame now.
    waiting: u64,
}

impl Cache {
    fn new(file: File) -> Result<Rc<Cache>> {
        let pool = Pool::new(PAGE, FRAME_COUNT)?;
        let (pages, order, counts) = Default::default();
        Ok(Rc::new(Cache { file, pool, pages, order, counts }))
    }

    /// Runs `change` on a page under its latch.
    async fn change<R>(&self, number: u64, change: impl FnOnce(&mut Frame) -> R) -> Result<R> {
        let page = Rc::clone(self.pages.borrow_mut().entry(number).or_default());
        let guard = page.latch.lock().await;
        let content = page.content.borrow_mut().take();
        let mut frame = match content {
            Some(Content::Dirty(frame)) => self.hit(frame),
            // A reader may hold the page still: then it is copied, as it may not change under its eyes.
            Some(Content::Clean(shared)) => match shared.try_thaw() {
                Ok(frame) => self.hit(frame),
                Err(shared) => self.copy(&shared).await?,
            },
            None => self.read(number).await?,
        };
        let result = change(&mut frame);
        *page.content.borrow_mut() = Some(Content::Dirty(frame));
        drop(guard);
        // Who waits found every page in use; this one is no more, and perhaps nobody else comes.
        if self.counts.borrow().waiting > 0 {
            self.evict().await?;
        }
        Ok(result)
    }

    fn hit(&self, frame: Frame) -> Frame {
        self.counts.borrow_mut().hits += 1;
        frame
    }

    /// A frame, when one is free: pages that nobody uses are evicted, and the task waits for those that are in use.
    async fn free_frame(&self) -> Result<Frame> {
        loop {
            match self.pool.try_get() {
                Ok(frame) => return Ok(frame),
                Err(error) if !error.is_empty_pool() => return Err(error.into()),
                Err(_) if self.evict().await? => {}
                Err(_) => return self.wait_for_frame().await,
            }
        }
    }

    async fn wait_for_frame(&self) -> Result<Frame> {
        self.counts.borrow_mut().waiting += 1;
        let frame = self.pool.get().await;
        self.counts.borrow_mut().waiting -= 1;
        Ok(frame?)
    }

    async fn copy(&self, from: &SharedFrame) -> Result<Frame> {
        let mut frame = self.free_frame().await?;
        frame.extend(from)?;
        Ok(frame)
    }

    async fn read(&self, number: u64) -> Result<Frame> {
        let frame = self.free_frame().await?;
        let (result, frame) = self.file.read_at(frame, number * PAGE as u64).await.into();
        assert_eq!(result?, PAGE, "the file has every page");
        self.counts.borrow_mut().reads += 1;
        self.order.borrow_mut().push_back(number);
        Ok(frame)
    }

    /// Takes the oldest page that nobody uses out of the cache, written back first; false when all are in use.
    async fn evict(&self) -> Result<bool> {
        let rounds = self.order.borrow().len();
        for _ in 0..rounds {
            let Some(number) = self.order.borrow_mut().pop_front() else { return Ok(false) };
            let page = self.pages.borrow().get(&number).cloned();
            let Some(page) = page else { continue };
            let Some(_guard) = page.latch.try_lock() else {
                self.order.borrow_mut().push_back(number);
                continue;
            };
            self.write_back(number, &page).await?;
            *page.content.borrow_mut() = None; // the frame goes back
            return Ok(true);
        }
        Ok(false)
    }

    /// Writes a dirty page, under its latch. The write owns one share, the cache keeps the other: no byte is copied.
    async fn write_back(&self, number: u64, page: &Page) -> Result<()> {
        let content = page.content.borrow_mut().take();
        let clean = match content {
            Some(Content::Dirty(frame)) => {
                let shared = frame.freeze();
                *page.content.borrow_mut() = Some(Content::Clean(shared.clone()));
                let (result, shared) = (&self.file).write_at(shared, number * PAGE as u64).await.into();
                assert_eq!(result?, PAGE, "a regular file takes a whole page");
                self.counts.borrow_mut().writes += 1;
                Some(Content::Clean(shared))
            }
            other => other,
        };
        *page.content.borrow_mut() = clean;
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        let pages: Vec<_> = self.pages.borrow().iter().map(|(number, page)| (*number, Rc::clone(page))).collect();
        for (number, page) in pages {
            let _guard = page.latch.lock().await;
            self.write_back(number, &page).await?;
        }
        Ok(self.file.sync_data().await?)
    }
}

/// A lock of one thread's tasks, first come, first served.
#[derive(Default)]
struct Latch {
    is_locked: std::cell::Cell<bool>,
    wakers: RefCell<VecDeque<std::task::Waker>>,
}

struct Guard<'a>(&'a Latch);

impl Latch {
    fn try_lock(&self) -> Option<Guard<'_>> {
        (!self.is_locked.replace(true)).then(|| Guard(self))
    }

    async fn lock(&self) -> Guard<'_> {
        std::future::poll_fn(|context| match self.try_lock() {
            Some(guard) => std::task::Poll::Ready(guard),
            None => {
                self.wakers.borrow_mut().push_back(context.waker().clone());
                std::task::Poll::Pending
            }
        })
        .await
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.is_locked.set(false);
        // All of them: one that is woken may be gone.
        self.0.wakers.borrow_mut().drain(..).for_each(std::task::Waker::wake);
    }
}

fn counter_of(page: &[u8]) -> u64 {
    u64::from_le_bytes(page[..8].try_into().expect("eight bytes"))
}

fn add_one(page: &mut [u8]) {
    let next = counter_of(page) + 1;
    page[..8].copy_from_slice(&next.to_le_bytes());
}

/// xorshift: the pages that a task goes to, the same in each run.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

async fn add(cache: Rc<Cache>, task: u64) -> Result<HashMap<u64, u64>> {
    let (mut state, mut added) = (task + 1, HashMap::new());
    for _ in 0..ADD_COUNT {
        let number = next_random(&mut state) % PAGE_COUNT;
        cache.change(number, |frame| add_one(frame)).await?;
        *added.entry(number).or_default() += 1;
    }
    Ok(added)
}

async fn open(path: &str) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::write(path, vec![0; PAGE * PAGE_COUNT as usize])?;
    let probe = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path);
    let flags = if probe.is_ok() { libc::O_DIRECT } else { 0 }; // some file systems refuse
    Ok(OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).await?)
}

fn verify(path: &str, expected: &HashMap<u64, u64>) -> Result<()> {
    let bytes = std::fs::read(path)?;
    for (number, page) in bytes.chunks(PAGE).enumerate() {
        let wanted = expected.get(&(number as u64)).copied().unwrap_or(0);
        assert_eq!(counter_of(page), wanted, "page {number}");
    }
    Ok(())
}

async fn run(path: &str) -> Result<()> {
    let cache = Cache::new(open(path).await?)?;
    let tasks: Vec<_> = (0..TASK_COUNT).map(|task| compio::runtime::spawn(add(Rc::clone(&cache), task))).collect();
    let mut expected = HashMap::new();
    for task in tasks {
        let added = task.await.map_err(|_| "a task panicked")??;
        added.into_iter().for_each(|(number, count)| *expected.entry(number).or_default() += count);
    }
    cache.flush().await?;
    verify(path, &expected)?;
    println!("{} additions in {PAGE_COUNT} pages, {FRAME_COUNT} frames: verified", TASK_COUNT * ADD_COUNT);
    println!("{:?}, {} waits for a frame", cache.counts.borrow(), cache.pool.stats()?.wait_count);
    Ok(())
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "page_cache.dat".to_owned());
    let result = Runtime::new()?.block_on(run(&path));
    std::fs::remove_file(&path)?;
    result
}
