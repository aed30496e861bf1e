//! A page is read directly into a frame, and shared.

use std::error::Error;

use compio::{fs::OpenOptions, io::AsyncReadAt, runtime::Runtime};
use jdb_alloc::Pool;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let pool = Pool::new(4096, 256)?;
    Runtime::new()?.block_on(async {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(&path).await?;
        let frame = pool.get().await?; // waits when all are lent, first come, first served
        let (result, frame) = file.read_at(frame, 0).await.into();
        println!("{} bytes read, {} in the frame", result?, frame.len());
        let page = frame.freeze(); // cloneable: readable while a clone is written to disk
        println!("{}", String::from_utf8_lossy(&page));
        Ok(())
    })
}
