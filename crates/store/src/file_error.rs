//! What the operating system refused, in the one error shape.

use std::io;

use certferry_core::{Error, ErrorKind};

/// The error of `operation` on `subject`, with a hint where the cause is plain.
pub(crate) fn file_error(operation: &str, subject: &str, error: io::Error) -> Error {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::Denied, Some("run certferry as the user who owns this file and may write to its directory"))
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            (ErrorKind::NotFound, Some("create its directory, or correct the path in the config"))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Unavailable, Some("free space on this file system"))
        }
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::Denied, Some("this file system is mounted read-only")),
        io::ErrorKind::IsADirectory => (ErrorKind::Invalid, Some("the path in the config names a directory")),
        _ => (ErrorKind::Unavailable, None),
    };
    let failed = Error::new(kind, operation, subject).said(error.to_string()).with_source(error);
    match hint {
        Some(hint) => failed.with_hint(hint),
        None => failed,
    }
}
