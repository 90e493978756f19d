//! Keys in every form that files hold, and the account folder.

use std::fs;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    EcdsaKeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use certferry_acme::AccountKey;
use certferry_core::KeyType;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use serde_json::{Value, json};

use super::private_key::PrivateKey;
use super::*;

/// An account key as certbot's library josepy writes it, and the public half for a verifier.
struct Sample {
    jwk: Value,
    key_type: KeyType,
}

/// Keys made by josepy 2.2 (RSA by cryptography, EC with and without a zero byte in front of `d`), never used anywhere.
fn samples() -> Vec<Sample> {
    let files = [
        (include_str!("tests/rsa-2048.json"), KeyType::Rsa2048),
        (include_str!("tests/rsa-3072.json"), KeyType::Rsa3072),
        (include_str!("tests/rsa-4096.json"), KeyType::Rsa4096),
        (include_str!("tests/p-256.json"), KeyType::EcdsaP256),
        (include_str!("tests/p-256-zero.json"), KeyType::EcdsaP256),
        (include_str!("tests/p-384.json"), KeyType::EcdsaP384),
    ];
    files.into_iter().map(|(text, key_type)| Sample { jwk: serde_json::from_str(text).unwrap(), key_type }).collect()
}

/// The public key of a JWK as a verifier takes it, by this test alone.
fn verifies(jwk: &Value, message: &[u8], signature: &[u8]) -> bool {
    let number = |name: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()
    };
    if jwk["kty"] == "RSA" {
        let public = aws_lc_rs::rsa::PublicKeyComponents { n: number("n"), e: number("e") };
        return public.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok();
    }
    let point = [vec![4], number("x"), number("y")].concat();
    let algorithm: &'static dyn VerificationAlgorithm =
        if jwk["crv"] == "P-256" { &ECDSA_P256_SHA256_ASN1 } else { &ECDSA_P384_SHA384_ASN1 };
    UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
}

/// Signs with the PKCS#8 that came out.
fn sign(key: &PrivateKey, message: &[u8]) -> Vec<u8> {
    let der = pem::parse(key.pem.expose()).unwrap().into_contents();
    let random = SystemRandom::new();
    let elliptic = match key.key_type {
        KeyType::EcdsaP256 => Some(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyType::EcdsaP384 => Some(&ECDSA_P384_SHA384_ASN1_SIGNING),
        _ => None,
    };
    if let Some(algorithm) = elliptic {
        return EcdsaKeyPair::from_pkcs8(algorithm, &der).unwrap().sign(&random, message).unwrap().as_ref().to_vec();
    }
    let pair = RsaKeyPair::from_pkcs8(&der).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
    signature
}

#[test]
fn an_account_key_signs_for_the_public_key_in_its_jwk() {
    for Sample { jwk, key_type } in samples() {
        let key = jwk::private_key(&jwk.to_string()).unwrap_or_else(|error| panic!("{key_type}: {error}"));
        assert_eq!(key.key_type, key_type);
        assert!(verifies(&jwk, b"to be signed", &sign(&key, b"to be signed")), "{key_type}");
        assert!(!verifies(&jwk, b"something else", &sign(&key, b"to be signed")), "{key_type}");
        let der = pem::parse(key.pem.expose()).unwrap().into_contents();
        AccountKey::from_pkcs8(&der).unwrap_or_else(|error| panic!("{key_type}: the ACME client refuses it: {error}"));
    }
}

#[test]
fn a_wrong_account_key_is_refused_without_being_shown() {
    let all = samples();
    let changed = |sample: &Sample, field: &str, to: Value| {
        let mut jwk = sample.jwk.clone();
        jwk[field] = to;
        jwk.to_string()
    };
    let (rsa, p256, p384) = (&all[0], &all[3], &all[5]);
    for (json, piece) in [
        ("{".to_owned(), "line 1"),
        ("[]".to_owned(), "JWK"),
        (json!({ "kty": "oct", "k": "c2VjcmV0" }).to_string(), "RSA or EC"),
        (changed(p256, "d", json!("!!!")), "RSA or EC"),
        (changed(p256, "d", json!(7)), "RSA or EC"),
        (changed(p256, "crv", json!("P-521")), "other than P-256"),
        (changed(p256, "crv", json!("P-384")), "do not belong together"),
        (changed(p256, "d", all[4].jwk["d"].clone()), "do not belong together"),
        (changed(p256, "x", p384.jwk["x"].clone()), "longer than"),
        (changed(rsa, "d", all[1].jwk["d"].clone()), "do not belong together"),
        (changed(rsa, "n", json!("")), "do not belong together"),
    ] {
        let said = jwk::private_key(&json).unwrap_err();
        assert!(said.contains(piece), "{said}");
        for secret in ["c2VjcmV0", p256.jwk["d"].as_str().unwrap(), rsa.jwk["p"].as_str().unwrap()] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

/// The same key as PKCS#8, PKCS#1 or SEC 1.
fn forms(pkcs8: &str) -> Vec<String> {
    let der = pem::parse(pkcs8).unwrap().into_contents();
    let block = |tag: &str, der: &[u8]| pem::encode(&pem::Pem::new(tag, der));
    let mut forms = vec![pkcs8.to_owned()];
    for algorithm in [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING] {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(algorithm, &der) {
            let sec1: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
            let sec1 = block("EC PRIVATE KEY", sec1.as_ref());
            // id-prime256v1, as openssl puts it in front.
            let curve = block("EC PARAMETERS", &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
            forms.extend([sec1.clone(), format!("{curve}{sec1}")]);
        }
    }
    if RsaKeyPair::from_pkcs8(&der).is_ok() {
        // The PKCS#8 of an RSA key ends in an OCTET STRING that holds the PKCS#1 (RFC 5958 §2).
        let start = der.windows(2).skip(1).position(|pair| pair == [0x30, 0x82]).unwrap() + 1;
        forms.push(block("RSA PRIVATE KEY", &der[start..]));
    }
    forms
}

#[test]
fn a_certificates_key_is_read_in_every_form() {
    for Sample { jwk, key_type } in samples() {
        let expected = jwk::private_key(&jwk.to_string()).unwrap();
        let forms = forms(expected.pem.expose());
        assert_eq!(forms.len(), if jwk["kty"] == "RSA" { 2 } else { 3 });
        for form in forms {
            let key = PrivateKey::from_pem(&form).unwrap_or_else(|error| panic!("{key_type}: {error}"));
            assert_eq!((key.key_type, &key.public_key_info), (key_type, &expected.public_key_info));
            assert!(verifies(&jwk, b"x", &sign(&key, b"x")), "{key_type}");
            // What is stored is what the engine reads, and the public key is the one that a certificate would hold.
            let pair = KeyPair::from_pem(key.pem.expose()).unwrap();
            assert_eq!(pair.subject_public_key_info(), key.public_key_info);
        }
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    let encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n\
                     -----END RSA PRIVATE KEY-----\n";
    for (text, piece) in [
        (String::new(), "exactly one"),
        ("hello".to_owned(), "exactly one"),
        (format!("{key}{key}"), "exactly one"),
        (key.replace("PRIVATE KEY", "PUBLIC KEY"), "`PUBLIC KEY`"),
        (key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "encrypted"),
        (encrypted.to_owned(), "encrypted"),
        (ed25519, "no key of a known type"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned(), "no key of a known type"),
    ] {
        let said = PrivateKey::from_pem(&text).unwrap_err();
        assert!(said.contains(piece), "{said}");
    }
}

/// A lineage in `folder`, its `fullchain.pem` by `key`.
fn write_lineage(folder: &Path, name: &str, key: &KeyPair, written_key: &KeyPair) {
    let live = folder.join("live").join(name);
    fs::create_dir_all(&live).unwrap();
    fs::create_dir_all(folder.join("renewal")).unwrap();
    let certificate =
        CertificateParams::new(vec![format!("{name}.some-domain.com")]).unwrap().self_signed(key).unwrap();
    fs::write(live.join("fullchain.pem"), certificate.pem()).unwrap();
    fs::write(live.join("privkey.pem"), written_key.serialize_pem()).unwrap();
    let conf = "[renewalparams]\naccount = a1\nserver = https://ca.some-domain.com/dir\nrequired_profile = short\n";
    fs::write(folder.join(format!("renewal/{name}.conf")), conf).unwrap();
}

#[test]
fn what_cannot_be_used_names_its_file_and_stops_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(Folder::read(folder).unwrap_err().to_string().contains("/etc/letsencrypt"));
    let (one, two) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    write_lineage(folder, "good", &one, &one);
    write_lineage(folder, "mixed", &one, &two);
    write_lineage(folder, "gone", &one, &one);
    fs::remove_dir_all(folder.join("live/gone")).unwrap();
    write_lineage(folder, "torn", &one, &one);
    fs::write(folder.join("renewal/torn.conf"), "[renewalparams]\naccount = 'a1\n").unwrap();
    // A copy without links: what archive has newest counts.
    write_lineage(folder, "copied", &one, &one);
    fs::create_dir_all(folder.join("archive/copied")).unwrap();
    for (file, copy) in [("fullchain", "fullchain10"), ("privkey", "privkey10"), ("cert", "fullchain9")] {
        let from = folder.join(format!("live/copied/{file}.pem"));
        let to = folder.join(format!("archive/copied/{copy}.pem"));
        match from.exists() {
            true => fs::rename(from, to).unwrap(),
            false => fs::write(to, "an older one").unwrap(),
        }
    }
    let account = folder.join("accounts/ca.some-domain.com:443/dir");
    fs::create_dir_all(account.join("a1")).unwrap();
    fs::write(account.join("a1/private_key.json"), samples()[3].jwk.to_string()).unwrap();
    fs::write(account.join("a1/regr.json"), r#"{"body": {}, "uri": "https://ca.some-domain.com/account/1"}"#).unwrap();
    fs::create_dir_all(account.join("a2")).unwrap();
    fs::write(account.join("a2/private_key.json"), "{}").unwrap();
    std::os::unix::fs::symlink(folder.join("accounts"), account.join("round")).unwrap();

    let all = Folder::read(folder).unwrap();
    assert_eq!(all.lineages.iter().map(|lineage| lineage.name.as_str()).collect::<Vec<_>>(), ["copied", "good"]);
    assert_eq!(all.lineages[0].pair.from, folder.join("archive/copied").display().to_string());
    let good = &all.lineages[1];
    assert_eq!((good.account.as_deref(), good.profile.as_deref()), (Some("a1"), Some("short")));
    let first = &all.accounts[0];
    assert_eq!((first.id.as_str(), first.url.as_str()), ("a1", "https://ca.some-domain.com/account/1"));
    assert_eq!(first.server_path, server_path(&good.server));
    let told: Vec<String> = all.unusable.iter().map(ToString::to_string).collect();
    for pieces in [
        ["live/mixed/fullchain.pem", "does not belong to the private key in"],
        ["renewal/gone.conf", "has no certificate"],
        ["renewal/torn.conf", "line 2: a quoted value does not end"],
        ["a2/private_key.json", "JWK"],
    ] {
        assert!(told.iter().any(|line| pieces.iter().all(|piece| line.contains(piece))), "{pieces:?} in {told:#?}");
    }
}

#[test]
fn a_directorys_folder_is_its_url_without_the_scheme() {
    for (directory, expected) in [
        ("https://acme-v02.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org/directory"),
        ("https://ca.some-domain.com:443/dir/", "ca.some-domain.com/dir"),
        ("https://127.0.0.1:14000/dir", "127.0.0.1:14000/dir"),
    ] {
        assert_eq!(server_path(&directory.parse().unwrap()), expected);
    }
}
