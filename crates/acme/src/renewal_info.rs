//! ACME Renewal Information (RFC 9773): when the CA would like a certificate renewed.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::certificate_id::CertificateId;
use crate::client::Client;
use crate::directory;
use crate::error::{Error, Operation};
use crate::fetched::Fetched;
use crate::lenient;
use crate::transport::Answer;

impl Client {
    /// Asks when to renew. [`Fetched::retry_after`] says when to ask again, neither before nor much later (RFC 9773
    /// §4.3.2). Not to be asked about an expired or replaced certificate.
    ///
    /// A CA without ARI gives [`ErrorKind::NotOffered`](crate::ErrorKind::NotOffered).
    pub async fn renewal_info(&self, certificate: &CertificateId) -> Result<Fetched<RenewalInfo>, Error> {
        let directory = self.directory().await?;
        let base = directory::offered("renewalInfo", directory.renewal_info.as_ref(), Operation::RenewalInfo)?;
        // The base URL, a slash, the identifier (RFC 9773 §4.1), which is base64url and a dot.
        let url = base.with_segment(certificate.as_str());
        let answer = self.get(Operation::RenewalInfo, &url).await?;
        answer.fetched(RenewalInfo::read(&answer)?)
    }
}

/// The CA's suggestion. `start` is before `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RenewalInfo {
    /// The window's first moment; in the past when the CA wants renewal now.
    pub start: Timestamp,
    /// The window's end, not part of it.
    pub end: Timestamp,
    /// A page that tells people why, during an incident.
    pub explanation: Option<Url>,
}

impl RenewalInfo {
    pub(crate) fn read(answer: &Answer) -> Result<Self, Error> {
        let wire: Wire = answer.json()?;
        let Window { start, end } = wire.suggested_window;
        if end <= start {
            return Err(answer.malformed(format!("the suggested window ends ({end}) before it starts ({start})")));
        }
        Ok(Self { start, end, explanation: lenient::web_page(wire.explanation.as_ref()) })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    suggested_window: Window,
    #[serde(rename = "explanationURL")]
    explanation: Option<Value>,
}

#[derive(Deserialize)]
struct Window {
    start: Timestamp,
    end: Timestamp,
}
