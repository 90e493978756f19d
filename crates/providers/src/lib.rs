//! Everything that talks to somebody else's API.

#![forbid(unsafe_code)]
