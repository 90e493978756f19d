//! Accounts (RFC 8555 §7.1.2, §7.3).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::account_key::AccountKey;
use crate::client::Client;
use crate::contact::Contact;
use crate::error::{Error, ErrorKind, Operation};
use crate::exchange::{Post, Repeat};
use crate::external_account::ExternalAccountBinding;
use crate::fetched::Fetched;
use crate::jws::Jws;
use crate::lenient;
use crate::problem::ProblemType;
use crate::resource_url::ResourceUrl;
use crate::transport::{Answer, JSON_LIMIT};

/// An account at one CA: its URL and its key. Cheap to clone.
#[derive(Clone)]
pub struct Account {
    inner: Arc<Inner>,
}

impl Account {
    /// The account's URL: its name at the CA. To be stored with the key.
    pub fn url(&self) -> &ResourceUrl {
        &self.inner.url
    }

    /// The account's key.
    pub fn key(&self) -> &AccountKey {
        &self.inner.key
    }

    /// The CA of this account.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// The account as the CA knows it.
    pub async fn fetch(&self) -> Result<Fetched<AccountState>, Error> {
        let answer = self.client().post(self.read(Operation::Account, self.url())).await?;
        answer.fetched(answer.json()?)
    }

    /// Replaces all contacts (RFC 8555 §7.3.2). Doing it twice is doing it once, so it is repeated like a read.
    pub async fn update_contact(&self, contacts: &[Contact]) -> Result<Fetched<AccountState>, Error> {
        #[derive(Serialize)]
        struct Update<'a> {
            contact: &'a [Contact],
        }
        let payload = to_payload(Operation::Account, &Update { contact: contacts })?;
        let post = Post { payload, ..self.read(Operation::Account, self.url()) };
        let answer = self.client().post(post).await?;
        answer.fetched(answer.json()?)
    }

    /// A POST-as-GET signed by this account.
    pub(crate) fn read<'a>(&'a self, operation: Operation, url: &'a ResourceUrl) -> Post<'a> {
        Post::read(operation, url, self.key(), self.url())
    }

    /// A request signed by this account which must not be sent twice.
    pub(crate) fn act<'a>(&'a self, operation: Operation, url: &'a ResourceUrl, payload: String) -> Post<'a> {
        Post { payload, repeat: Repeat::OnlyIfRefused, ..self.read(operation, url) }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Account({:?})", self.inner.url)
    }
}

impl Client {
    /// Registers the key, or finds the account that it already has: safe to repeat.
    pub async fn new_account(&self, key: AccountKey, new: &NewAccount) -> Result<RegisteredAccount, Error> {
        let url = self.directory().await?.new_account.clone();
        let binding = match &new.external_account {
            Some(binding) => {
                let jws = Jws::external_account(binding, url.as_url().as_str(), &key);
                Some(jws.map_err(|error| unsignable(&url).with_source(error))?)
            }
            None => None,
        };
        let payload = NewAccountPayload {
            terms_of_service_agreed: new.terms_of_service_agreed.then_some(true),
            contact: &new.contacts,
            external_account_binding: binding,
            only_return_existing: None,
        };
        self.post_new_account(key, &url, &payload).await
    }

    /// The account of this key, or `None` when the CA does not know the key (RFC 8555 §7.3.1).
    pub async fn find_account(&self, key: AccountKey) -> Result<Option<RegisteredAccount>, Error> {
        let url = self.directory().await?.new_account.clone();
        let payload = NewAccountPayload { only_return_existing: Some(true), ..NewAccountPayload::default() };
        match self.post_new_account(key, &url, &payload).await {
            Ok(account) => Ok(Some(account)),
            Err(error) if error.problem_type() == Some(&ProblemType::AccountDoesNotExist) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An account whose URL is known; asks nobody.
    pub fn account(&self, key: AccountKey, url: ResourceUrl) -> Account {
        Account { inner: Arc::new(Inner { client: self.clone(), key, url }) }
    }

    async fn post_new_account(
        &self,
        key: AccountKey,
        url: &ResourceUrl,
        payload: &NewAccountPayload<'_>,
    ) -> Result<RegisteredAccount, Error> {
        let answer = self
            .post(Post {
                operation: Operation::NewAccount,
                url,
                key: &key,
                account_url: None,
                payload: to_payload(Operation::NewAccount, payload)?,
                accept: "application/json",
                limit: JSON_LIMIT,
                // The same key always gives the same account (RFC 8555 §7.3).
                repeat: Repeat::Always,
            })
            .await?;
        let url = account_url(&answer)?;
        let state = answer.json()?;
        let is_new = answer.status == http::StatusCode::CREATED;
        Ok(RegisteredAccount { account: self.account(key, url), state, is_new })
    }
}

/// What a new account is to be.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    /// Where the CA may write; may be empty.
    pub contacts: Vec<Contact>,
    /// The holder agrees to [`DirectoryMeta::terms_of_service`](crate::DirectoryMeta::terms_of_service).
    pub terms_of_service_agreed: bool,
    /// For CAs that demand it.
    pub external_account: Option<ExternalAccountBinding>,
}

/// What newAccount answered.
#[derive(Clone, Debug)]
pub struct RegisteredAccount {
    /// The account, ready for use.
    pub account: Account,
    /// What the CA knows about it.
    pub state: AccountState,
    /// False when the key already had the account; what was asked for then changed nothing.
    pub is_new: bool,
}

/// An account as the CA shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AccountState {
    /// Whether it may still be used.
    pub status: AccountStatus,
    /// Contact URLs. Let's Encrypt keeps none.
    #[serde(default, deserialize_with = "lenient::list")]
    pub contact: Vec<String>,
    /// Where its orders are listed. Let's Encrypt does not serve it.
    #[serde(default, deserialize_with = "lenient::string")]
    pub orders: Option<String>,
}

/// RFC 8555 §7.1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// Given up by its holder, for good.
    Deactivated,
    /// Taken away by the CA.
    Revoked,
    /// In use.
    Valid,
}

struct Inner {
    client: Client,
    key: AccountKey,
    url: ResourceUrl,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct NewAccountPayload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    terms_of_service_agreed: Option<bool>,
    #[serde(skip_serializing_if = "<[Contact]>::is_empty")]
    contact: &'a [Contact],
    #[serde(skip_serializing_if = "Option::is_none")]
    external_account_binding: Option<Jws>,
    #[serde(skip_serializing_if = "Option::is_none")]
    only_return_existing: Option<bool>,
}

pub(crate) fn to_payload(operation: Operation, payload: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(payload).map_err(|error| {
        Error::new(ErrorKind::Configuration, operation, "the request cannot be written as JSON").with_source(error)
    })
}

fn account_url(answer: &Answer) -> Result<ResourceUrl, Error> {
    match answer.location() {
        Ok(Some(url)) => Ok(url),
        Ok(None) => Err(answer.malformed("the answer has no Location header, so the account has no name")),
        Err(error) => Err(answer.malformed(format!("the account's URL cannot be used: {error}"))),
    }
}

fn unsignable(url: &ResourceUrl) -> Error {
    Error::new(ErrorKind::Key, Operation::NewAccount, "the external account binding cannot be signed").at(url)
}
