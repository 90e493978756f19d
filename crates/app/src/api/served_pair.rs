//! The certificate that the API serves, and its successors: a pair of one's own is renewed in place, by certbot for
//! instance, and a daemon runs for months.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::api_certificate;
use crate::config::Api;
use crate::failure::Failure;

/// Looks at both files before each handshake, and reads them when one is another than before. What cannot be served is
/// warned of, and the pair before it goes on being served.
pub(super) struct ServedPair {
    api: Api,
    current: Mutex<Current>,
}

struct Current {
    pair: Arc<CertifiedKey>,
    /// The files when they were last read.
    seen: Seen,
    /// The last warning, which is not repeated with every handshake.
    warned: Option<String>,
}

/// Both files.
type Seen = [Option<Mark>; 2];

/// By what a file is known to be another: which one it is (also behind a symbolic link), how long, and changed when.
/// Unlike the time of its content, that of its inode changes with its mode too.
type Mark = (u64, u64, u64, i64, i64);

impl ServedPair {
    /// # Errors
    /// The pair that `api` names cannot be served.
    pub(super) fn new(api: &Api) -> Result<Self, Failure> {
        let seen = seen(api);
        let pair = Arc::new(api_certificate::load(api)?);
        Ok(Self { api: api.clone(), current: Mutex::new(Current { pair, seen, warned: None }) })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at before they are read: what is written meanwhile is seen the next time.
        let seen = seen(&self.api);
        if seen == current.seen {
            return current.pair.clone();
        }
        match api_certificate::load(&self.api) {
            Ok(pair) => {
                tracing::info!(certificate = %self.api.certificate.display(), "the API serves a new certificate");
                *current = Current { pair: Arc::new(pair), seen, warned: None };
            }
            Err(failure) => {
                // What the machine refuses now it may grant the next time, with the files as they are.
                if !matches!(failure, Failure::Machine { .. }) {
                    current.seen = seen;
                }
                let text = failure.render();
                if current.warned.as_ref() != Some(&text) {
                    tracing::warn!(
                        "the API goes on serving the certificate that it has, until the new one can be: {text}"
                    );
                    current.warned = Some(text);
                }
            }
        }
        current.pair.clone()
    }
}

impl ResolvesServerCert for ServedPair {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// Without what it holds.
impl fmt::Debug for ServedPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ServedPair").field("api", &self.api).finish_non_exhaustive()
    }
}

fn seen(api: &Api) -> Seen {
    [&api.certificate, &api.key].map(|path| mark(path))
}

/// `None` for a file that is not there, or cannot be looked at.
fn mark(path: &Path) -> Option<Mark> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.size(), file.ctime(), file.ctime_nsec()))
}
