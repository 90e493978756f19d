//! The wall clock of the lab's services.

use jiff::{Timestamp, tz::TimeZone};

/// The time now. A real service has its own clock, which no client can set; so has this one.
#[expect(clippy::disallowed_methods, reason = "the lab plays a remote service: its clock is not the program's clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// RFC 3339 in UTC with milliseconds, the form in which the service writes every time.
pub(crate) fn written(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
