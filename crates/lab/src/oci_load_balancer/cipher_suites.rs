//! The predefined cipher suites, with OpenSSL's names as the service lists them
//! (<https://docs.oracle.com/iaas/Content/Balance/Tasks/managingciphersuites_topic-Predefined_Cipher_Suites.htm>).

/// The suite of a listener that names none: RSA ciphers only.
pub(super) const DEFAULT: &str = "oci-default-ssl-cipher-suite-v1";

/// Shown for listeners with hand-made settings; refused as input.
pub(super) const CUSTOMIZED: &str = "oci-customized-ssl-cipher-suite";

/// Every predefined suite's name.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PREDEFINED.iter().map(|(name, _)| *name)
}

/// The ciphers of a predefined suite.
pub(super) fn predefined(name: &str) -> Option<Vec<&'static str>> {
    let (_, parts) = PREDEFINED.iter().find(|(known, _)| *known == name)?;
    Some(parts.iter().flat_map(|part| part.iter().copied()).collect())
}

/// Whether a cipher belongs to TLS 1.3, by the form of its name.
pub(super) fn is_tls13(cipher: &str) -> bool {
    cipher.starts_with("TLS_")
}

type Ciphers = &'static [&'static str];

const PREDEFINED: &[(&str, &[Ciphers])] = &[
    (DEFAULT, &[RSA_FORWARD_SECRET]),
    ("oci-modern-ssl-cipher-suite-v1", &[ECDSA, RSA_FORWARD_SECRET, RSA_PLAIN]),
    ("oci-compatible-ssl-cipher-suite-v1", &[ECDSA, RSA_FORWARD_SECRET, RSA_PLAIN, LEGACY]),
    ("oci-wider-compatible-ssl-cipher-suite-v1", &[ECDSA, RSA_FORWARD_SECRET, RSA_PLAIN, LEGACY, OLDEST]),
    ("oci-default-http2-ssl-cipher-suite-v1", &[HTTP2]),
    ("oci-default-http2-tls-13-ssl-cipher-suite-v1", &[TLS13]),
    ("oci-default-http2-tls-12-13-ssl-cipher-suite-v1", &[TLS13, HTTP2]),
    ("oci-tls-13-recommended-ssl-cipher-suite-v1", &[TLS13]),
    ("oci-tls-12-13-wider-ssl-cipher-suite-v1", &[TLS13, ECDSA, RSA_FORWARD_SECRET, RSA_PLAIN]),
    ("oci-tls-11-12-13-wider-ssl-cipher-suite-v1", &[TLS13, ECDSA, RSA_FORWARD_SECRET, RSA_PLAIN, LEGACY]),
    ("oci-tls-12-ssl-cipher-suite-v3", &[HTTP2]),
    ("oci-tls-13-ssl-cipher-suite-v3", &[TLS13]),
    ("oci-tls-12-13-ssl-cipher-suite-v3", &[TLS13, HTTP2]),
];

const TLS13: Ciphers = &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

const RSA_FORWARD_SECRET: Ciphers = &[
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "DHE-RSA-AES128-GCM-SHA256",
    "DHE-RSA-AES128-SHA256",
    "DHE-RSA-AES256-GCM-SHA384",
    "DHE-RSA-AES256-SHA256",
];

const ECDSA: Ciphers = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
];

const HTTP2: Ciphers = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];

const RSA_PLAIN: Ciphers = &["AES128-GCM-SHA256", "AES128-SHA256", "AES256-GCM-SHA384", "AES256-SHA256"];

const LEGACY: Ciphers = &[
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "AES128-SHA",
    "AES256-SHA",
];

const OLDEST: Ciphers = &["CAMELLIA128-SHA", "CAMELLIA256-SHA", "DES-CBC3-SHA"];
