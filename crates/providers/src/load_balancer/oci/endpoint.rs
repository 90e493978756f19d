//! Where the service of a region lives
//! (<https://docs.oracle.com/iaas/api/#/en/loadbalancer/20170115/>; realms as Oracle's SDKs list them).

use crate::http::BaseUrl;

/// The service's address for a region (`us-ashburn-1`, a short code, or a whole domain) of a realm (`oc1`). The realm is
/// the load balancer's own, out of its OCID, so that no table of regions is needed.
pub(super) fn endpoint(region: Option<&str>, realm: &str) -> Result<BaseUrl, String> {
    let region = region.ok_or_else(|| "the profile names no region".to_owned())?;
    let letters = region.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if region.is_empty() || !letters {
        return Err(format!("`{region}` is not a region"));
    }
    let region = region.to_ascii_lowercase();
    let host = if region.contains('.') {
        format!("iaas.{region}")
    } else {
        let domain = REALMS.iter().find(|(known, _)| *known == realm);
        let (_, domain) = domain.ok_or_else(|| format!("realm `{realm}` is not known"))?;
        let long = SHORT_CODES.iter().find(|(code, _)| *code == region).map_or(region.as_str(), |(_, long)| long);
        format!("iaas.{long}.{domain}")
    };
    format!("https://{host}").parse().map_err(|error: crate::http::BaseUrlError| error.to_string())
}

const REALMS: &[(&str, &str)] = &[
    ("oc1", "oraclecloud.com"),
    ("oc2", "oraclegovcloud.com"),
    ("oc3", "oraclegovcloud.com"),
    ("oc4", "oraclegovcloud.uk"),
    ("oc8", "oraclecloud8.com"),
    ("oc9", "oraclecloud9.com"),
    ("oc10", "oraclecloud10.com"),
    ("oc14", "oraclecloud14.com"),
    ("oc15", "oraclecloud15.com"),
    ("oc19", "oraclecloud.eu"),
    ("oc20", "oraclecloud20.com"),
    ("oc21", "oraclecloud21.com"),
    ("oc23", "oraclecloud23.com"),
    ("oc24", "oraclecloud24.com"),
    ("oc26", "oraclecloud26.com"),
    ("oc29", "oraclecloud29.com"),
    ("oc35", "oraclecloud35.com"),
    ("oc42", "oraclecloud42.com"),
    ("oc51", "oraclecloud51.com"),
    ("oc52", "oraclecloud52.com"),
];

/// The codes of the first regions, which old config files still use.
const SHORT_CODES: &[(&str, &str)] =
    &[("fra", "eu-frankfurt-1"), ("iad", "us-ashburn-1"), ("lhr", "uk-london-1"), ("phx", "us-phoenix-1")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_and_realm_make_the_address() {
        for (region, realm, expected) in [
            (Some("us-ashburn-1"), "oc1", Some("https://iaas.us-ashburn-1.oraclecloud.com/")),
            (Some("FRA"), "oc1", Some("https://iaas.eu-frankfurt-1.oraclecloud.com/")),
            (Some("eu-madrid-2"), "oc19", Some("https://iaas.eu-madrid-2.oraclecloud.eu/")),
            (Some("us-gov-phoenix-1"), "oc3", Some("https://iaas.us-gov-phoenix-1.oraclegovcloud.com/")),
            (Some("my-1.some-domain.com"), "oc99", Some("https://iaas.my-1.some-domain.com/")),
            (Some("us-ashburn-1"), "oc99", None),
            (Some("a/b"), "oc1", None),
            (Some(""), "oc1", None),
            (None, "oc1", None),
        ] {
            let found = endpoint(region, realm).ok();
            assert_eq!(found.map(|url| url.to_string()).as_deref(), expected, "{region:?} {realm}");
        }
    }
}
