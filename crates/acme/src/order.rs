//! Orders (RFC 8555 §7.1.3, §7.4).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::{Account, to_payload};
use crate::certificate_id::CertificateId;
use crate::error::{Error, Operation};
use crate::fetched::Fetched;
use crate::identifier::Identifier;
use crate::lenient;
use crate::problem::Problem;
use crate::resource_url::ResourceUrl;
use crate::transport::Answer;

impl Account {
    /// Orders a certificate. The answer's `location` is the order's URL and always there: store it before anything
    /// else.
    ///
    /// Never sent twice after a lost answer ([`Error::is_effect_unknown`]); a CA may answer with an order that is
    /// already there, whose `replaces` and `profile` then are that order's.
    pub async fn new_order(&self, new: &NewOrder) -> Result<Fetched<Order>, Error> {
        let url = self.client().directory().await?.new_order.clone();
        let payload = to_payload(Operation::NewOrder, new)?;
        let answer = self.client().post(self.act(Operation::NewOrder, &url, payload)).await?;
        let order = read_order(&answer).map_err(Error::with_effect_unknown)?;
        if order.location.is_none() {
            let error = answer.malformed("the answer has no Location header, so the order cannot be found again");
            return Err(error.with_effect_unknown());
        }
        Ok(order)
    }

    /// The order at this URL.
    pub async fn order(&self, url: &ResourceUrl) -> Result<Fetched<Order>, Error> {
        read_order(&self.client().post(self.read(Operation::Order, url)).await?)
    }

    /// Hands in the certificate signing request (DER) at the order's [`finalize`](Order::finalize) URL.
    ///
    /// Never sent twice after a lost answer ([`Error::is_effect_unknown`]): fetch the order instead.
    pub async fn finalize(&self, finalize_url: &ResourceUrl, request_der: &[u8]) -> Result<Fetched<Order>, Error> {
        #[derive(Serialize)]
        struct Finalize {
            csr: String,
        }
        let payload = to_payload(Operation::Finalize, &Finalize { csr: URL_SAFE_NO_PAD.encode(request_der) })?;
        let answer = self.client().post(self.act(Operation::Finalize, finalize_url, payload)).await?;
        read_order(&answer).map_err(Error::with_effect_unknown)
    }
}

/// What to order.
#[derive(Clone, Debug, Serialize)]
pub struct NewOrder {
    /// What the certificate is for.
    pub identifiers: Vec<Identifier>,
    /// The certificate that this one takes over from (RFC 9773 §5); only for CAs with `renewalInfo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<CertificateId>,
    /// One of [`DirectoryMeta::profiles`](crate::DirectoryMeta::profiles).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// An order as the CA shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Order {
    /// How far it is.
    pub status: OrderStatus,
    /// When the CA gives it up.
    #[serde(default, deserialize_with = "lenient::timestamp")]
    pub expires: Option<Timestamp>,
    /// What it is for.
    #[serde(default, deserialize_with = "lenient::list")]
    pub identifiers: Vec<Identifier>,
    /// One authorization for each identifier, in no particular order; some may be valid from the start.
    #[serde(default, deserialize_with = "lenient::list")]
    pub authorizations: Vec<ResourceUrl>,
    /// Where the signing request goes once the order is ready.
    pub finalize: ResourceUrl,
    /// Where the certificate is once the order is valid.
    pub certificate: Option<ResourceUrl>,
    /// Why it is invalid; often empty, the authorizations know more.
    #[serde(default, deserialize_with = "lenient::problem")]
    pub error: Option<Problem>,
    /// The [`CertificateId`] that it replaces, as the CA wrote it.
    #[serde(default, deserialize_with = "lenient::string")]
    pub replaces: Option<String>,
    /// The profile that the CA uses.
    #[serde(default, deserialize_with = "lenient::string")]
    pub profile: Option<String>,
}

/// RFC 8555 §7.1.6, in the order in which an order lives through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Authorizations are missing.
    Pending,
    /// It waits for the signing request.
    Ready,
    /// The CA is issuing.
    Processing,
    /// The certificate is there.
    Valid,
    /// It failed or expired; only a new order helps.
    Invalid,
}

fn read_order(answer: &Answer) -> Result<Fetched<Order>, Error> {
    let order: Order = answer.json()?;
    if order.status == OrderStatus::Valid && order.certificate.is_none() {
        return Err(answer.malformed("the order is valid, but names no certificate"));
    }
    answer.fetched(order)
}
