//! Sealing: AES-256-GCM with a random nonce per value (NIST SP 800-38D §8.2.2). What a value belongs to is authenticated
//! with it, so that a sealed key copied to another row does not open there.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use certferry_core::recorded::VersionId;
use certferry_core::{IssuerName, Secret};
use zeroize::Zeroizing;

use crate::key_file::MasterKey;

/// The master key, ready for use. aws-lc wipes its copy when it is dropped.
pub(crate) struct Seal(RandomizedNonceKey);

impl Seal {
    pub(crate) fn new(key: &MasterKey) -> Result<Self, SealError> {
        RandomizedNonceKey::new(&AES_256_GCM, key.expose()).map(Self).map_err(|_| SealError::NotSealed)
    }

    /// Gives format byte, nonce, ciphertext and tag.
    pub(crate) fn seal(&self, owner: &Owner<'_>, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut text = secret.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(owner.associated_data()), &mut text)
            .map_err(|_| SealError::NotSealed)?;
        Ok([&[FORMAT], nonce.as_ref().as_slice(), &text].concat())
    }

    pub(crate) fn open(&self, owner: &Owner<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (format, rest) = sealed.split_first().ok_or(SealError::NotOpened)?;
        if *format != FORMAT {
            return Err(SealError::NotOpened);
        }
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::NotOpened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::NotOpened)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .0
            .open_in_place(nonce, Aad::from(owner.associated_data()), &mut text)
            .map_err(|_| SealError::NotOpened)?
            .len();
        text.truncate(length);
        Ok(text)
    }

    /// Opens a value that was text.
    pub(crate) fn open_text(&self, owner: &Owner<'_>, sealed: &[u8]) -> Result<Secret<String>, SealError> {
        let bytes = self.open(owner, sealed)?;
        str::from_utf8(&bytes).map(|text| Secret::new(text.to_owned())).map_err(|_| SealError::NotOpened)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seal(…)")
    }
}

/// The row that a sealed value belongs to.
pub(crate) enum Owner<'a> {
    /// An account's key.
    Account { issuer: &'a IssuerName, directory_url: &'a str },
    /// The value by which the right master key is known.
    Check,
    /// The key that an account is about to get.
    NextAccountKey { issuer: &'a IssuerName, directory_url: &'a str },
    /// A version's private key.
    Version(VersionId),
}

impl Owner<'_> {
    /// A JSON array: no two owners have the same one, whatever their texts hold.
    fn associated_data(&self) -> String {
        match self {
            Self::Account { issuer, directory_url } => serde_json::json!(["accounts", issuer.as_str(), directory_url]),
            Self::Check => serde_json::json!(["meta", "seal_check"]),
            Self::NextAccountKey { issuer, directory_url } => {
                serde_json::json!(["next account keys", issuer.as_str(), directory_url])
            }
            Self::Version(id) => serde_json::json!(["versions", id.0]),
        }
        .to_string()
    }
}

/// Why a value was not sealed or opened. AEADs tell nothing finer, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealError {
    /// Another master key, another row, or changed bytes.
    NotOpened,
    /// The cryptographic library refused, for want of randomness or memory.
    NotSealed,
}

const FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(byte: u8) -> Seal {
        Seal::new(&Secret::new([byte; 32])).unwrap()
    }

    #[test]
    fn a_value_opens_under_its_key_and_owner_only() {
        let owner = Owner::Version(VersionId(7));
        let sealed = seal(1).seal(&owner, b"the key").unwrap();
        assert_eq!(seal(1).open(&owner, &sealed).unwrap().as_slice(), b"the key");
        assert_eq!(seal(2).open(&owner, &sealed), Err(SealError::NotOpened));
        assert_eq!(seal(1).open(&Owner::Version(VersionId(8)), &sealed), Err(SealError::NotOpened));
        assert_eq!(seal(1).open(&Owner::Check, &sealed), Err(SealError::NotOpened));
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let sealed = seal(1).seal(&Owner::Check, b"the key").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(seal(1).open(&Owner::Check, &changed), Err(SealError::NotOpened), "byte {index}");
            assert_eq!(seal(1).open(&Owner::Check, &sealed[..index]), Err(SealError::NotOpened), "cut at {index}");
        }
    }

    #[test]
    fn the_same_value_never_seals_to_the_same_bytes() {
        let [one, two] = [0, 1].map(|_| seal(1).seal(&Owner::Check, b"the key").unwrap());
        assert_ne!(one, two);
    }

    #[test]
    fn owners_cannot_be_confused_by_their_texts() {
        let (issuer, other): (IssuerName, IssuerName) = ("a".parse().unwrap(), "ab".parse().unwrap());
        let one = Owner::Account { issuer: &issuer, directory_url: "bc" }.associated_data();
        let two = Owner::Account { issuer: &other, directory_url: "c" }.associated_data();
        assert_ne!(one, two);
        assert_eq!(format!("{:?}", seal(1)), "Seal(…)");
    }
}
