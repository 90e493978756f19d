//! A new key for an account (RFC 8555 §7.3.5), and the end of an account (§7.3.6).

use serde::Serialize;

use crate::account::{Account, AccountState, to_payload};
use crate::account_key::{AccountKey, Jwk};
use crate::directory::offered;
use crate::error::{Error, ErrorKind, Operation};
use crate::exchange::Post;
use crate::fetched::Fetched;
use crate::jws::Jws;

impl Account {
    /// Makes `new` the account's key. From then on the old one is good for nothing.
    ///
    /// Never sent twice after a lost answer ([`Error::is_effect_unknown`]): [`Client::find_account`] with the new key tells
    /// whether it was heard. So the new key must be stored before, and the old one kept until the answer is there.
    ///
    /// [`Client::find_account`]: crate::Client::find_account
    pub async fn change_key(&self, new: AccountKey) -> Result<Account, Error> {
        let directory = self.client().directory().await?;
        let url = offered("keyChange", directory.key_change.as_ref(), Operation::KeyChange)?;
        let change = KeyChange { account: self.url().as_str(), old_key: self.key().jwk() };
        let inner = Jws::key_change(&new, url.as_url().as_str(), &to_payload(Operation::KeyChange, &change)?)
            .and_then(|jws| jws.to_json())
            .map_err(|error| {
                Error::new(ErrorKind::Key, Operation::KeyChange, "the new key cannot sign").at(url).with_source(error)
            })?;
        self.client().post(self.act(Operation::KeyChange, url, inner)).await?;
        Ok(self.client().account(new, self.url().clone()))
    }

    /// Gives the account up, for good: its pending orders end, and no key opens it again. Doing it twice is refused by the
    /// CA, as for any account that is not valid.
    pub async fn deactivate(&self) -> Result<Fetched<AccountState>, Error> {
        #[derive(Serialize)]
        struct Update {
            status: &'static str,
        }
        let payload = to_payload(Operation::Account, &Update { status: "deactivated" })?;
        let post = Post { payload, ..self.read(Operation::Account, self.url()) };
        let answer = self.client().post(post).await?;
        answer.fetched(answer.json()?)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyChange<'a> {
    account: &'a str,
    old_key: Jwk,
}
