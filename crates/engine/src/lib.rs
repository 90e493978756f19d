//! Makes observed equal desired.

#![forbid(unsafe_code)]
