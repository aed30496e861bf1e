//! `Bytes` without a copy.

use bytes::Bytes;

use crate::{AlignedBuf, Chunk, Frame, SharedFrame};

macro_rules! impl_bytes {
    ($($type:ident: $what:literal),*) => {$(
        #[cfg_attr(docsrs, doc(cfg(feature = "bytes")))]
        impl From<$type> for Bytes {
            #[doc = $what]
            fn from(owner: $type) -> Bytes {
                Bytes::from_owner(owner)
            }
        }
    )*};
}

impl_bytes!(
    AlignedBuf: "The data, not copied; the buffer is freed with the last of the `Bytes`.",
    Chunk: "The data, not copied; the part is freed with the last of the `Bytes`.",
    Frame: "The data, not copied; the frame goes back to its pool with the last of the `Bytes`.",
    SharedFrame: "The data, not copied; this share of the frame ends with the last of the `Bytes`."
);
