//! One error type: what the original crate had, and every cause of the C library.

use std::alloc::{Layout, LayoutError};
use std::ffi::{CStr, c_int};
use std::{fmt, io};

use crate::FileReport;
use crate::ffi;

/// Why a call failed. `Display` says the reason and what to do; [`io::Error`] is made from it with `?`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A size or an alignment that cannot be allocated.
    InvalidLayout(LayoutError),
    /// No memory, or the limit of [`pages::set_limit`](crate::pages::set_limit) would be passed.
    AllocFailed,
    /// More bytes than the capacity: the bytes wanted, and the capacity.
    Overflow(usize, usize),
    /// What the library refused, by cause.
    Refused(Cause),
    /// A file operation that failed; the report says what was tried, what came back, and what to do.
    File(Cause, Box<FileReport>),
}

/// `Result` with the [`Error`] of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// One cause of the library's table, or an errno of the system.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cause {
    number: c_int,
    origin: Origin,
}

/// What failed: one errno means different things at different calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    Library,
    #[cfg(all(feature = "uring", target_os = "linux"))]
    Registration,
    #[cfg(all(feature = "uring", target_os = "linux"))]
    Operation,
}

impl Cause {
    /// `number`: negative, as the C library returns it.
    pub(crate) fn new(number: c_int) -> Cause {
        Cause { number, origin: Origin::Library }
    }

    #[cfg(all(feature = "uring", target_os = "linux"))]
    pub(crate) fn of(number: c_int, origin: Origin) -> Cause {
        Cause { number, origin }
    }

    /// Reason and remedy, where the C library knows the number.
    fn words(self) -> Option<(&'static str, Option<&'static str>)> {
        match self.origin {
            Origin::Library => {
                let text = ffi::strerror(self.number);
                if text.starts_with("unknown error") {
                    return None;
                }
                let parts = text.split_once([':', ';']);
                Some(parts.map_or((text, None), |(reason, remedy)| (reason, Some(remedy.trim()))))
            }
            #[cfg(all(feature = "uring", target_os = "linux"))]
            origin => crate::ring::explain(self.number, origin).map(|(reason, remedy)| (reason, Some(remedy))),
        }
    }

    /// The errno, positive.
    pub fn errno(self) -> i32 {
        -self.number
    }

    /// Why: in the words of the C library where it knows the number, else of the system.
    pub fn reason(self) -> String {
        match self.words() {
            Some((reason, _)) => reason.to_owned(),
            None => io::Error::from_raw_os_error(self.errno()).to_string(),
        }
    }

    /// What to do, where the C library knows it.
    pub fn remedy(self) -> Option<&'static str> {
        self.words()?.1
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.reason())?;
        self.remedy().map_or(Ok(()), |remedy| write!(out, ": {remedy}"))
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Cause({}: {self})", self.errno())
    }
}

impl Error {
    /// The errno that stands for this error, positive.
    pub fn errno(&self) -> i32 {
        match self {
            Error::InvalidLayout(_) => ffi::EOVERFLOW,
            Error::AllocFailed => ffi::ENOMEM,
            Error::Overflow(..) => ffi::ENOBUFS,
            Error::Refused(cause) | Error::File(cause, _) => cause.errno(),
        }
    }

    /// The cause: reason and remedy.
    pub fn cause(&self) -> Cause {
        match self {
            Error::Refused(cause) | Error::File(cause, _) => *cause,
            _ => Cause::new(-self.errno()),
        }
    }

    /// Every frame of the pool is lent: put one back or wait.
    pub fn is_empty_pool(&self) -> bool {
        self.errno() == ffi::EAGAIN
    }

    /// The deadline passed.
    pub fn is_timeout(&self) -> bool {
        self.errno() == ffi::ETIMEDOUT
    }

    /// The memory is pinned, or registered with a ring.
    pub fn is_busy(&self) -> bool {
        self.errno() == ffi::EBUSY
    }

    /// From what a C function returned, which is negative.
    pub(crate) fn from_code(code: c_int) -> Error {
        match -code {
            ffi::ENOMEM => Error::AllocFailed,
            ffi::EOVERFLOW => Error::InvalidLayout(too_large()),
            _ => Error::Refused(Cause::new(code)),
        }
    }
}

/// The error that std gives for a size above `isize::MAX`.
fn too_large() -> LayoutError {
    Layout::from_size_align(usize::MAX, crate::ALIGNMENT).expect_err("no layout is that large")
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InvalidLayout(error) => write!(out, "invalid layout: {error}"),
            Error::AllocFailed => write!(out, "alloc failed: {}", self.cause()),
            Error::Overflow(wanted, capacity) => write!(out, "overflow: {wanted}/{capacity}"),
            Error::Refused(cause) => write!(out, "{cause}"),
            Error::File(cause, report) if report.text().is_empty() => write!(out, "{cause}"),
            Error::File(_, report) => out.write_str(report.text()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::InvalidLayout(error) => Some(error),
            _ => None,
        }
    }
}

impl From<LayoutError> for Error {
    fn from(error: LayoutError) -> Error {
        Error::InvalidLayout(error)
    }
}

impl From<Error> for io::Error {
    /// The kind is that of the errno; the message stays this error's.
    fn from(error: Error) -> io::Error {
        let kind = io::Error::from_raw_os_error(error.errno()).kind();
        io::Error::new(kind, error)
    }
}

/// A text of the C library, which is ASCII.
pub(crate) fn text_of(bytes: &CStr) -> &str {
    bytes.to_str().unwrap_or("?")
}
