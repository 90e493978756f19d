//! ACME client: RFC 8555, ARI (RFC 9773), profiles.

#![forbid(unsafe_code)]
