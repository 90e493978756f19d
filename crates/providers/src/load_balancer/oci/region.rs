//! Where the services of a region live: regions, the realms that they belong to, and the domains of those
//! (<https://docs.oracle.com/iaas/Content/General/Concepts/regions.htm>; regions and realms as Oracle's SDKs list them).

use std::path::Path;

use serde::Deserialize;

use super::auth::CustomRegions;
use super::config::LoadBalancerId;
use crate::http::BaseUrl;

/// A region as the metadata service, the SDKs' region file and their environment variable describe it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RegionInfo {
    /// `us-ashburn-1`.
    #[serde(rename = "regionIdentifier")]
    pub(super) identifier: String,
    /// `IAD`; absent where only the identifier was told.
    #[serde(rename = "regionKey")]
    pub(super) key: Option<String>,
    /// `oc1`.
    #[serde(rename = "realmKey")]
    pub(super) realm: Option<String>,
    /// `oraclecloud.com`.
    #[serde(rename = "realmDomainComponent")]
    pub(super) domain: Option<String>,
}

impl RegionInfo {
    /// A region of which only the name is known: its identifier, or the short code of an old one.
    pub(super) fn named(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        Self { identifier: identifier(&name).unwrap_or(&name).to_owned(), key: None, realm: None, domain: None }
    }

    fn is(&self, name: &str) -> bool {
        self.identifier.eq_ignore_ascii_case(name)
            || self.key.as_ref().is_some_and(|key| key.eq_ignore_ascii_case(name))
    }
}

/// Regions that no table holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Regions {
    known: Vec<RegionInfo>,
    default_domain: Option<String>,
}

impl Regions {
    /// Reads what the environment says, and the SDKs' `~/.oci/regions-config.json` where there is one. What cannot be read
    /// is told and left out: it is only missed by those whose region is in no table.
    pub(super) fn read(custom: &CustomRegions, home: Option<&Path>) -> Self {
        let mut known = Vec::new();
        if let Some(text) = &custom.region_metadata {
            match serde_json::from_str::<RegionInfo>(text) {
                Ok(region) => known.push(region),
                Err(error) => tracing::warn!(%error, "OCI_REGION_METADATA is not the description of a region"),
            }
        }
        if let Some(path) = home.map(|home| home.join(".oci/regions-config.json"))
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            match serde_json::from_str::<Vec<RegionInfo>>(&text) {
                Ok(regions) => known.extend(regions),
                Err(error) => tracing::warn!(file = %path.display(), %error, "this is not a list of regions"),
            }
        }
        Self { known, default_domain: custom.default_domain.clone() }
    }

    /// With one more, which goes before the others.
    pub(super) fn with(mut self, region: RegionInfo) -> Self {
        self.known.insert(0, region);
        self
    }

    /// The address of the Load Balancer service that holds this load balancer. Its OCID says the region and the realm; a
    /// region that it does not tell is `stated` by the profile, or that of the instance (the first one known). A stated
    /// region with dots is the whole domain.
    pub(super) fn load_balancer_endpoint(&self, id: &LoadBalancerId, stated: Option<&str>) -> Result<BaseUrl, String> {
        self.endpoint_beside(id, "iaas", "", stated)
    }

    /// The address of a part of the Certificates service in the region of this load balancer, which it must share.
    pub(super) fn certificates_endpoint(
        &self,
        id: &LoadBalancerId,
        part: &str,
        stated: Option<&str>,
    ) -> Result<BaseUrl, String> {
        self.endpoint_beside(id, part, ".oci", stated)
    }

    fn endpoint_beside(
        &self,
        id: &LoadBalancerId,
        service: &str,
        label: &str,
        stated: Option<&str>,
    ) -> Result<BaseUrl, String> {
        let stated = stated.filter(|stated| !stated.is_empty());
        if let Some(domain) = stated.filter(|stated| stated.contains('.')) {
            return address(service, domain);
        }
        let stated = stated.map(RegionInfo::named).map(|region| region.identifier);
        let region = self
            .identifier(id.region())
            .or(stated)
            .or_else(|| self.known.first().map(|region| region.identifier.clone()))
            .ok_or_else(|| {
                format!("the OCID names no region that is known (`{}`), and nothing else does", id.region())
            })?;
        self.service(service, &format!("{region}{label}"), id.realm())
    }

    /// The address of the DNS service in the `stated` region, or that of the instance (the first one known). A stated region
    /// with dots is the whole domain. The realm is the region's, or the tenancy's, or Oracle's public one.
    pub(super) fn dns_endpoint(&self, stated: Option<&str>, realm: Option<&str>) -> Result<BaseUrl, String> {
        let stated = stated.filter(|stated| !stated.is_empty());
        if let Some(domain) = stated.filter(|stated| stated.contains('.')) {
            return address("dns", domain);
        }
        let region = match stated {
            Some(stated) => {
                let known = self.known.iter().find(|region| region.is(stated)).cloned();
                known.unwrap_or_else(|| RegionInfo::named(stated))
            }
            None => self.known.first().cloned().ok_or("the profile names no region, and nothing else does")?,
        };
        if let Some(domain) = &region.domain {
            return address("dns", &format!("{}.oci.{domain}", region.identifier));
        }
        let realm = region.realm.as_deref().or(realm).unwrap_or("oc1");
        self.service("dns", &format!("{}.oci", region.identifier), realm)
    }

    /// The address of the authentication service beside an instance of a tenancy in `realm`.
    pub(super) fn auth_endpoint(&self, region: &RegionInfo, realm: &str) -> Result<BaseUrl, String> {
        if let Some(domain) = &region.domain {
            return address("auth", &format!("{}.{domain}", region.identifier));
        }
        if region.identifier.contains('.') {
            return address("auth", &region.identifier);
        }
        self.service("auth", &region.identifier, region.realm.as_deref().unwrap_or(realm))
    }

    fn service(&self, service: &str, region: &str, realm: &str) -> Result<BaseUrl, String> {
        let of_realm = |region: &&RegionInfo| region.realm.as_deref() == Some(realm);
        let told = self.known.iter().find(of_realm).and_then(|region| region.domain.as_deref());
        let listed = REALMS.iter().find(|(known, _)| *known == realm).map(|(_, domain)| *domain);
        let domain = told.or(listed).or(self.default_domain.as_deref());
        let domain = domain.ok_or_else(|| format!("realm `{realm}` is not known"))?;
        address(service, &format!("{region}.{domain}"))
    }

    /// The identifier of a region, where `name` is one.
    fn identifier(&self, name: &str) -> Option<String> {
        let known = self.known.iter().find(|region| region.is(name)).map(|region| region.identifier.clone());
        known.or_else(|| identifier(&name.to_ascii_lowercase()).map(str::to_owned))
    }
}

/// The identifier behind a region's short code, or the name itself where it looks like one (`eu-madrid-2`).
fn identifier(name: &str) -> Option<&str> {
    let listed = SHORT_CODES.iter().find(|(code, _)| *code == name).map(|(_, identifier)| *identifier);
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    listed.or_else(|| name.rsplit_once('-').is_some_and(|(_, last)| number(last)).then_some(name))
}

fn address(service: &str, domain: &str) -> Result<BaseUrl, String> {
    let letters = domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if !letters || domain.starts_with('.') {
        return Err(format!("`{domain}` is not the domain of a region"));
    }
    let url = format!("https://{service}.{}", domain.to_ascii_lowercase());
    url.parse().map_err(|error: crate::http::BaseUrlError| error.to_string())
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

/// The codes that OCIDs and the metadata service use for some regions, and old config files too.
const SHORT_CODES: &[(&str, &str)] = &[
    ("aga", "us-saltlake-2"),
    ("ahu", "me-abudhabi-3"),
    ("ams", "eu-amsterdam-1"),
    ("arn", "eu-stockholm-1"),
    ("auh", "me-abudhabi-1"),
    ("avf", "eu-crissier-1"),
    ("avz", "eu-dcc-zurich-1"),
    ("beg", "eu-jovanovac-1"),
    ("bgy", "eu-dcc-milan-1"),
    ("bno", "ap-chuncheon-2"),
    ("bog", "sa-bogota-1"),
    ("bom", "ap-mumbai-1"),
    ("brs", "uk-gov-cardiff-1"),
    ("cdg", "eu-paris-1"),
    ("cwl", "uk-cardiff-1"),
    ("dac", "ap-dcc-gazipur-1"),
    ("dln", "ap-suwon-1"),
    ("doh", "me-dcc-doha-1"),
    ("dtm", "eu-dcc-rating-2"),
    ("dtz", "ap-seoul-2"),
    ("dus", "eu-dcc-rating-1"),
    ("dxb", "me-dubai-1"),
    ("ebb", "us-somerset-1"),
    ("ebl", "us-thames-1"),
    ("fra", "eu-frankfurt-1"),
    ("gru", "sa-saopaulo-1"),
    ("hnw", "sa-riodejaneiro-1"),
    ("hsg", "ap-batam-1"),
    ("hyd", "ap-hyderabad-1"),
    ("iad", "us-ashburn-1"),
    ("ibr", "me-ibri-1"),
    ("icn", "ap-seoul-1"),
    ("jbp", "ap-kulai-2"),
    ("jed", "me-jeddah-1"),
    ("jnb", "af-johannesburg-1"),
    ("jsk", "eu-budapest-1"),
    ("kix", "ap-osaka-1"),
    ("lej", "af-casablanca-1"),
    ("lfi", "us-langley-1"),
    ("lhr", "uk-london-1"),
    ("lin", "eu-milan-1"),
    ("ltn", "uk-gov-london-1"),
    ("luf", "us-luke-1"),
    ("mad", "eu-madrid-1"),
    ("mct", "me-dcc-muscat-1"),
    ("mel", "ap-melbourne-1"),
    ("mrs", "eu-marseille-1"),
    ("mty", "mx-monterrey-1"),
    ("mtz", "il-jerusalem-1"),
    ("mxp", "eu-dcc-milan-2"),
    ("nja", "ap-chiyoda-1"),
    ("nrq", "eu-turin-1"),
    ("nrt", "ap-tokyo-1"),
    ("onm", "ap-delhi-1"),
    ("ord", "us-chicago-1"),
    ("orf", "eu-madrid-3"),
    ("ork", "eu-dcc-dublin-1"),
    ("pgc", "us-newark-1"),
    ("phx", "us-phoenix-1"),
    ("pia", "us-gov-chicago-1"),
    ("qro", "mx-queretaro-1"),
    ("rba", "me-alain-1"),
    ("ric", "us-gov-ashburn-1"),
    ("rkt", "me-abudhabi-2"),
    ("ruh", "me-riyadh-1"),
    ("scl", "sa-santiago-1"),
    ("shj", "me-abudhabi-4"),
    ("sin", "ap-singapore-1"),
    ("sjc", "us-sanjose-1"),
    ("snn", "eu-dcc-dublin-2"),
    ("str", "eu-frankfurt-2"),
    ("syd", "ap-sydney-1"),
    ("tus", "us-gov-phoenix-1"),
    ("ukb", "ap-ibaraki-1"),
    ("vap", "sa-valparaiso-1"),
    ("vcp", "sa-vinhedo-1"),
    ("vll", "eu-madrid-2"),
    ("vve", "me-alrayyan-1"),
    ("wga", "ap-dcc-canberra-1"),
    ("xsp", "ap-singapore-2"),
    ("yny", "ap-chuncheon-1"),
    ("yul", "ca-montreal-1"),
    ("yxj", "us-ashburn-2"),
    ("yyz", "ca-toronto-1"),
    ("zrh", "eu-zurich-1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn id(realm: &str, region: &str) -> LoadBalancerId {
        format!("ocid1.loadbalancer.{realm}.{region}.unique").parse().unwrap()
    }

    fn madrid() -> RegionInfo {
        serde_json::from_str(
            r#"{"realmKey":"oc77","realmDomainComponent":"cloud.some-domain.com","regionKey":"XYZ",
                "regionIdentifier":"xy-own-1","more":1}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_ocid_names_region_and_realm() {
        for (region, realm, stated, expected) in [
            ("iad", "oc1", None, Some("https://iaas.us-ashburn-1.oraclecloud.com/")),
            ("IAD", "oc1", None, Some("https://iaas.us-ashburn-1.oraclecloud.com/")),
            ("eu-madrid-2", "oc19", None, Some("https://iaas.eu-madrid-2.oraclecloud.eu/")),
            ("us-gov-phoenix-1", "oc3", None, Some("https://iaas.us-gov-phoenix-1.oraclegovcloud.com/")),
            ("iad", "oc1", Some("eu-frankfurt-1"), Some("https://iaas.us-ashburn-1.oraclecloud.com/")),
            ("new", "oc1", Some("xx-new-1"), Some("https://iaas.xx-new-1.oraclecloud.com/")),
            ("new", "oc1", Some("FRA"), Some("https://iaas.eu-frankfurt-1.oraclecloud.com/")),
            ("iad", "oc99", Some("my-1.some-domain.com"), Some("https://iaas.my-1.some-domain.com/")),
            ("new", "oc1", None, None),
            ("new", "oc1", Some(""), None),
            ("iad", "oc99", None, None),
            ("new", "oc1", Some("a/b"), None),
        ] {
            let found = Regions::default().load_balancer_endpoint(&id(realm, region), stated).ok();
            assert_eq!(found.map(|url| url.to_string()).as_deref(), expected, "{region} {realm} {stated:?}");
        }
    }

    #[test]
    fn the_certificates_service_is_in_the_load_balancers_region() {
        for (region, stated, expected) in [
            ("iad", None, "https://certificatesmanagement.us-ashburn-1.oci.oraclecloud.com/"),
            ("eu-madrid-2", Some("eu-frankfurt-1"), "https://certificatesmanagement.eu-madrid-2.oci.oraclecloud.com/"),
            ("new", Some("eu-frankfurt-1"), "https://certificatesmanagement.eu-frankfurt-1.oci.oraclecloud.com/"),
            ("iad", Some("x.some-domain.com"), "https://certificatesmanagement.x.some-domain.com/"),
        ] {
            let found = Regions::default().certificates_endpoint(&id("oc1", region), "certificatesmanagement", stated);
            assert_eq!(found.unwrap().to_string(), expected, "{region} {stated:?}");
        }
    }

    #[test]
    fn every_realm_of_the_table_has_its_domain() {
        for (realm, domain) in REALMS {
            let found = Regions::default().load_balancer_endpoint(&id(realm, "xx-any-1"), None).unwrap();
            assert_eq!(found.to_string(), format!("https://iaas.xx-any-1.{domain}/"));
        }
        for (code, identifier) in SHORT_CODES {
            let found = Regions::default().load_balancer_endpoint(&id("oc1", code), None).unwrap();
            assert_eq!(found.to_string(), format!("https://iaas.{identifier}.oraclecloud.com/"));
        }
    }

    #[test]
    fn regions_of_no_table_are_told_by_metadata_environment_or_file() {
        let expected = "https://iaas.xy-own-1.cloud.some-domain.com/";
        let from_metadata = Regions::default().with(madrid());
        let json = r#"{"realmKey":"oc77","realmDomainComponent":"cloud.some-domain.com","regionKey":"XYZ",
            "regionIdentifier":"xy-own-1"}"#;
        let custom = CustomRegions { region_metadata: Some(json.to_owned()), default_domain: None };
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".oci")).unwrap();
        std::fs::write(home.path().join(".oci/regions-config.json"), format!("[{json}]")).unwrap();
        for regions in
            [from_metadata, Regions::read(&custom, None), Regions::read(&CustomRegions::default(), Some(home.path()))]
        {
            for region in ["xyz", "xy-own-1"] {
                let found = regions.load_balancer_endpoint(&id("oc77", region), None).unwrap();
                assert_eq!(found.to_string(), expected, "{region}");
            }
            // Another region of that realm has the realm's domain, and other realms keep theirs.
            let beside = regions.load_balancer_endpoint(&id("oc77", "xy-own-2"), None).unwrap();
            assert_eq!(beside.to_string(), "https://iaas.xy-own-2.cloud.some-domain.com/");
            let elsewhere = regions.load_balancer_endpoint(&id("oc1", "iad"), None).unwrap();
            assert_eq!(elsewhere.to_string(), "https://iaas.us-ashburn-1.oraclecloud.com/");
        }
        let default = CustomRegions { region_metadata: None, default_domain: Some("some-domain.com".to_owned()) };
        let found = Regions::read(&default, None).load_balancer_endpoint(&id("oc99", "xx-any-1"), None).unwrap();
        assert_eq!(found.to_string(), "https://iaas.xx-any-1.some-domain.com/");
        let broken = CustomRegions { region_metadata: Some("{".to_owned()), default_domain: None };
        assert!(Regions::read(&broken, None).load_balancer_endpoint(&id("oc77", "xyz"), None).is_err());
    }

    #[test]
    fn the_authentication_service_is_beside_the_instance() {
        for (region, realm, expected) in [
            (madrid(), "oc1", "https://auth.xy-own-1.cloud.some-domain.com/"),
            (RegionInfo::named("iad"), "oc1", "https://auth.us-ashburn-1.oraclecloud.com/"),
            (RegionInfo::named("eu-madrid-2"), "oc19", "https://auth.eu-madrid-2.oraclecloud.eu/"),
        ] {
            assert_eq!(Regions::default().auth_endpoint(&region, realm).unwrap().to_string(), expected);
        }
        assert!(Regions::default().auth_endpoint(&RegionInfo::named("iad"), "oc99").is_err());
        let hostile = RegionInfo { domain: Some("x/../evil".to_owned()), ..RegionInfo::named("iad") };
        assert!(Regions::default().auth_endpoint(&hostile, "oc1").is_err());
    }
}
