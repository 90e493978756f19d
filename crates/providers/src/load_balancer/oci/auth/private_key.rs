//! RSA private keys as people and platforms write them: PKCS#1 or PKCS#8, with or without a pass phrase.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::signature::RsaKeyPair;
use certferry_core::printable;
use md5::{Digest, Md5};
use pem::Pem;
use pkcs8::EncryptedPrivateKeyInfoRef;
use zeroize::Zeroizing;

use super::files::Refusal;

/// The first private key in a PEM text; text around it (newer console downloads end in a line `OCI_API_KEY`) is no matter.
/// The pass phrase is for a key that is encrypted, and not looked at otherwise.
pub(super) fn parse(bytes: &[u8], pass_phrase: Option<&str>) -> Result<RsaKeyPair, KeyProblem> {
    let blocks = pem::parse_many(bytes).map_err(|error| KeyProblem::NotPem(printable::pem_fault(&error)))?;
    let block = blocks.into_iter().find(|block| block.tag().ends_with("PRIVATE KEY")).ok_or(KeyProblem::Absent)?;
    match (block.tag(), block.headers().get("DEK-Info").map(str::to_owned)) {
        ("ENCRYPTED PRIVATE KEY", _) => {
            let pass_phrase = pass_phrase.ok_or(KeyProblem::NoPassPhrase)?;
            let der = Zeroizing::new(block.into_contents());
            // The names of the algorithms are part of what is parsed.
            let info = EncryptedPrivateKeyInfoRef::try_from(der.as_slice())
                .map_err(|error| KeyProblem::UnknownEncryption(format!("something else than PBES2 ({error})")))?;
            let document = info.decrypt(pass_phrase).map_err(of_pkcs8)?;
            RsaKeyPair::from_pkcs8(document.as_bytes()).map_err(|error| KeyProblem::NotRsa(error.to_string()))
        }
        ("RSA PRIVATE KEY", Some(encryption)) => {
            let pass_phrase = pass_phrase.ok_or(KeyProblem::NoPassPhrase)?;
            let der = decrypt_pkcs1(block, &encryption, pass_phrase)?;
            // The padding of a wrong pass phrase's rubbish is right once in 256 times: this is the check then.
            RsaKeyPair::from_der(&der).map_err(|_| KeyProblem::WrongPassPhrase)
        }
        ("RSA PRIVATE KEY", None) => plain(block, RsaKeyPair::from_der),
        ("PRIVATE KEY", _) => plain(block, RsaKeyPair::from_pkcs8),
        (other, _) => Err(KeyProblem::NotRsa(format!("it is a {}", printable::line(other, SHOWN_CHARACTERS)))),
    }
}

fn plain(
    block: Pem,
    read: impl FnOnce(&[u8]) -> Result<RsaKeyPair, aws_lc_rs::error::KeyRejected>,
) -> Result<RsaKeyPair, KeyProblem> {
    let der = Zeroizing::new(block.into_contents());
    read(&der).map_err(|error| KeyProblem::NotRsa(error.to_string()))
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyProblem {
    /// The text holds no private key.
    Absent,
    /// It is encrypted, and no pass phrase is given.
    NoPassPhrase,
    /// It is not PEM.
    NotPem(String),
    /// It is no RSA key that can sign.
    NotRsa(String),
    /// It is encrypted in a way that is too old, or not known.
    UnknownEncryption(String),
    /// The pass phrase is for something else.
    WrongPassPhrase,
}

impl KeyProblem {
    /// For people; `pass_phrase` says where one is looked for.
    pub(super) fn refusal(self, pass_phrase: &str) -> Refusal {
        let new_key = "download a key pair from the console: user settings, API keys";
        match self {
            Self::Absent => Refusal::new("it holds no private key", new_key),
            Self::NoPassPhrase => {
                Refusal::new("its private key is encrypted", format!("give its pass phrase: {pass_phrase}"))
            }
            Self::NotPem(said) => Refusal::new(format!("it is not PEM: {said}"), new_key),
            Self::NotRsa(said) => Refusal::new(format!("it holds no RSA key that can sign: {said}"), new_key),
            Self::UnknownEncryption(how) => Refusal::new(
                format!("its private key is encrypted by {how}, which is not supported"),
                "write it anew: `openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -in OLD -out NEW`",
            ),
            Self::WrongPassPhrase => {
                Refusal::new("the pass phrase does not open it", format!("correct the pass phrase: {pass_phrase}"))
            }
        }
    }
}

fn of_pkcs8(error: pkcs8::Error) -> KeyProblem {
    use pkcs8::pkcs5::Error as Encryption;

    match error {
        pkcs8::Error::EncryptedPrivateKey(Encryption::NoPbes1CryptSupport) => {
            KeyProblem::UnknownEncryption("PKCS#5 PBES1".to_owned())
        }
        pkcs8::Error::EncryptedPrivateKey(
            Encryption::UnsupportedAlgorithm { oid } | Encryption::AlgorithmParametersInvalid { oid },
        ) => KeyProblem::UnknownEncryption(format!("algorithm {oid}")),
        // What a wrong pass phrase leaves is rubbish: wrong padding, or no ASN.1.
        pkcs8::Error::EncryptedPrivateKey(_) | pkcs8::Error::Asn1(_) => KeyProblem::WrongPassPhrase,
        other => KeyProblem::NotRsa(other.to_string()),
    }
}

/// OpenSSL's own encryption of PEM (`DEK-Info: AES-256-CBC,<IV in hex>`), which `openssl genrsa -aes128` wrote before
/// version 3: the key is EVP_BytesToKey of pass phrase and IV with MD5
/// (<https://docs.openssl.org/3.0/man3/PEM_read_bio_PrivateKey/#pem-encryption-format>).
fn decrypt_pkcs1(block: Pem, encryption: &str, pass_phrase: &str) -> Result<Zeroizing<Vec<u8>>, KeyProblem> {
    let unknown = || {
        let name = encryption.split(',').next().unwrap_or_default();
        KeyProblem::UnknownEncryption(printable::line(name, SHOWN_CHARACTERS))
    };
    let (name, iv) = encryption.split_once(',').ok_or_else(unknown)?;
    let (algorithm, length): (&'static Algorithm, usize) = match name.trim() {
        "AES-128-CBC" => (&AES_128, 16),
        "AES-192-CBC" => (&AES_192, 24),
        "AES-256-CBC" => (&AES_256, 32),
        _ => return Err(unknown()),
    };
    let iv = hex(iv.trim()).ok_or_else(unknown)?;
    let key = bytes_to_key(pass_phrase.as_bytes(), &iv[..8], length);
    let mut der = Zeroizing::new(block.into_contents());
    let plain = UnboundCipherKey::new(algorithm, &key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .and_then(|key| key.decrypt(&mut der, DecryptionContext::Iv128(FixedLength::from(iv))).map(|plain| plain.len()))
        .map_err(|_| KeyProblem::WrongPassPhrase)?;
    der.truncate(plain);
    Ok(der)
}

fn bytes_to_key(pass_phrase: &[u8], salt: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length + 16));
    let mut last = Zeroizing::new(Vec::new());
    while key.len() < length {
        let digest = Md5::new().chain_update(last.as_slice()).chain_update(pass_phrase).chain_update(salt).finalize();
        *last = digest.to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}

fn hex(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if text.len() != 2 * bytes.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(0..) {
        *byte = u8::from_str_radix(text.get(2 * pair..2 * pair + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Of a word in a file that may be damaged.
const SHOWN_CHARACTERS: usize = 40;

/// Keys for tests.
#[cfg(test)]
pub(super) mod samples {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::RsaKeyPair;

    /// One key, encrypted by OpenSSL 3.0.19 in several ways with [`PASS_PHRASE`]; it is used for nothing else.
    pub(in super::super) const ENCRYPTED: &str = include_str!("samples/pkcs8_aes256.pem");
    pub(in super::super) const PASS_PHRASE: &str = "correct horse";

    /// A new key without encryption.
    pub(in super::super) fn pkcs8() -> String {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        pem::encode(&Pem::new("PRIVATE KEY", der.as_ref().to_vec()))
    }

    use pem::Pem;
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::KeyPair;
    use proptest::prelude::*;

    use super::samples::{ENCRYPTED, PASS_PHRASE, pkcs8};
    use super::*;

    #[test]
    fn a_damaged_key_is_not_quoted() {
        for broken in [pkcs8().replace("-----END ", "-----END"), ENCRYPTED.replacen("-----\n", "-----\n-----END ", 1)] {
            let Err(problem) = parse(broken.as_bytes(), None) else { panic!("it is broken") };
            let said = problem.refusal("x").problem;
            assert!(said.split(' ').all(|word| word.len() < 40), "{said}");
        }
    }

    #[test]
    fn every_usual_encryption_opens_with_its_pass_phrase_to_the_same_key() {
        let expected = parse(ENCRYPTED.as_bytes(), Some(PASS_PHRASE)).unwrap();
        for (name, pem) in [
            ("PKCS#8, scrypt", include_str!("samples/pkcs8_scrypt.pem")),
            ("PKCS#1, AES-128", include_str!("samples/pkcs1_aes128.pem")),
            ("PKCS#1, AES-192", include_str!("samples/pkcs1_aes192.pem")),
            ("PKCS#1, AES-256", include_str!("samples/pkcs1_aes256.pem")),
        ] {
            let pair = parse(format!("{pem}OCI_API_KEY\n").as_bytes(), Some(PASS_PHRASE)).unwrap();
            assert_eq!(pair.public_key().as_ref(), expected.public_key().as_ref(), "{name}");
            assert_eq!(parse(pem.as_bytes(), None).unwrap_err(), KeyProblem::NoPassPhrase, "{name}");
            for wrong in ["", "wrong", "correct horse "] {
                assert_eq!(parse(pem.as_bytes(), Some(wrong)).unwrap_err(), KeyProblem::WrongPassPhrase, "{name}");
            }
        }
    }

    #[test]
    fn encryption_that_is_not_supported_is_named_with_the_command_that_writes_the_key_anew() {
        for (pem, named) in [
            (include_str!("samples/pkcs8_pbes1.pem"), "something else than PBES2"),
            (include_str!("samples/pkcs8_3des.pem"), "1.2.840.113549.3.7"),
            (include_str!("samples/pkcs1_3des.pem"), "DES-EDE3-CBC"),
        ] {
            let refusal = parse(pem.as_bytes(), Some(PASS_PHRASE)).unwrap_err().refusal("");
            assert!(refusal.problem.contains(named), "{refusal:?}");
            assert!(refusal.hint.contains("openssl pkcs8 -topk8"), "{refusal:?}");
        }
    }

    #[test]
    fn pkcs1_and_pkcs8_are_read_whatever_stands_around_them() {
        let pem = pkcs8();
        parse(pem.as_bytes(), None).unwrap();
        parse(pem.as_bytes(), Some("not needed")).unwrap();
        let contents = pem::parse(&pem).unwrap().into_contents();
        // The RSAPrivateKey inside PKCS#8: the last OCTET STRING, whose length stands in the two bytes before it.
        let pkcs1 = pem::encode(&Pem::new("RSA PRIVATE KEY", &contents[26..]));
        parse(format!("a key\n{pkcs1}OCI_API_KEY").as_bytes(), None).unwrap();
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!(parse(b"", None).unwrap_err(), KeyProblem::Absent);
        for (tag, text) in [("PRIVATE KEY", "AAAA"), ("EC PRIVATE KEY", "AAAA"), ("RSA PRIVATE KEY", "AAAA")] {
            let pem = format!("-----BEGIN {tag}-----\n{text}\n-----END {tag}-----\n");
            assert!(matches!(parse(pem.as_bytes(), None), Err(KeyProblem::NotRsa(_))), "{pem}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(header in "[ -~]{0,60}", body in "[A-Za-z0-9+/]{0,64}") {
            let pem = format!(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: {header}\n\n{body}\n-----END RSA PRIVATE \
                 KEY-----\n"
            );
            prop_assert!(parse(pem.as_bytes(), Some("x")).is_err());
        }
    }
}
