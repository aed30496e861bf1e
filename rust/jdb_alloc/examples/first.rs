//! The first program of the C library's README: a record written with direct I/O, and read back into a frame.
//!
//!     cargo run --example first

use jdb_alloc::{AlignedBuf, Durability, Error, File};

fn main() -> Result<(), Error> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "hello.dat".to_owned());
    let mut buf = AlignedBuf::with_cap(64 * 1024)?; // whole pages, aligned, straight from mmap
    buf.extend(b"hello, direct I/O")?;
    buf.pad_to(4096)?; // a direct write wants whole blocks
    let file = File::options().write(true).create(true).truncate(true).durability(Durability::Data).open(&path)?;
    let report = file.write_at(&buf, 0)?;
    println!("{} bytes written, {} of them past the page cache ({})", buf.len(), report.direct_size(), file.reason());

    // The same memory, cut into owned frames of one page.
    let mut page = buf.into_chunks(4096).next().expect("one page at least");
    file.read_at(&mut page, 0)?;
    println!("{} bytes read: {}", page.len(), String::from_utf8_lossy(&page[..17]));
    file.close()
}
