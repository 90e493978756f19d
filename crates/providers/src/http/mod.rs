//! HTTP plumbing that every provider shares: one way to build a client (roots, limits, no redirects), one way to read an
//! answer (size capped), one back-off.

mod answer;
mod base_url;
mod client;
mod retry;

pub use answer::{Answer, Lost, exchange};
pub use base_url::{BaseUrl, BaseUrlError};
pub use client::{ClientError, ClientOptions};
pub use retry::{Backoff, jitter, retry_after};
