//! The traits of the runtimes, for the types that own their memory ([`AlignedBuf`](crate::AlignedBuf),
//! [`Chunk`](crate::Chunk), [`Frame`](crate::Frame)), for [`SharedFrame`](crate::SharedFrame) to write from, and for the
//! original's [`RawIoBuf`](crate::RawIoBuf).
//!
//! The contract: a read fills the capacity from the start and sets the length to the bytes read (with tokio-uring, whose
//! buffers only grow, to at least that); a write takes the length. Address and capacity do not change while a runtime owns
//! the buffer.

#[cfg(feature = "bytes")]
mod bytes;
#[cfg(feature = "compio")]
mod compio;
#[cfg(feature = "compio-07")]
mod compio_07;
#[cfg(all(feature = "compio-driver", target_os = "linux"))]
mod compio_driver;
#[cfg(all(feature = "monoio", target_os = "linux"))]
mod monoio;
#[cfg(all(feature = "tokio-uring", target_os = "linux"))]
mod tokio_uring;

#[cfg(all(feature = "compio-driver", target_os = "linux"))]
#[cfg_attr(docsrs, doc(cfg(feature = "compio-driver")))]
pub use compio_driver::PageAllocator;
