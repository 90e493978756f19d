//! API versions: each call is read and answered in the schema of its `X-Avi-Version`.

use std::fmt;

use super::{
    error::ApiError,
    json::{Object, has, objects},
    kind::{CERTIFICATE, CERTIFICATE_PROFILE, Kind, SCRIPT, VIRTUAL_SERVICE},
};

/// `22.1.3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version([u32; 3]);

impl Version {
    /// What a call without `X-Avi-Version` speaks.
    pub(super) const OLDEST_SCHEMA: Self = Self([16, 4, 2]);

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split('.').map(|number| number.parse().ok());
        let version = [numbers.next()??, numbers.next()??, numbers.next().unwrap_or(Some(0))?];
        numbers.all(|number| number.is_some()).then_some(Self(version))
    }

    /// Whether one of the fields that came later is there already.
    fn has(self, kind: &Kind, field: &str) -> bool {
        FIELDS.iter().all(|(object, name, since)| {
            *name != field || !(object.is_empty() || kind.is(object)) || self >= Self(*since)
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(formatter, "{major}.{minor}.{patch}")
    }
}

/// Removes what the version does not know. On a write it is ignored, like every unknown field.
pub(super) fn restrict(fields: &mut Object, kind: &Kind, version: Version) {
    fields.retain(|name, _| version.has(kind, name));
}

/// `vh_matches[].path` became `rules` in 22.1.3; the wrong one is refused.
pub(super) fn check_matches(fields: &Object, kind: &Kind, version: Version) -> Result<(), ApiError> {
    if !kind.is(VIRTUAL_SERVICE) || version < Version([20, 1, 3]) {
        return Ok(());
    }
    let wanted = if version < Version([22, 1, 3]) { "path" } else { "rules" };
    for host in objects(fields, "vh_matches") {
        if !has(host, wanted) {
            let text = match wanted {
                "path" => r#"{"vh_matches":"{'path': ['There must be at least 1 path']}"}"#,
                _ => r#"{"vh_matches":"{'rules': ['There must be at least 1 rule']}"}"#,
            };
            return Err(ApiError::bad_request(text));
        }
    }
    Ok(())
}

/// Fields that matter to clients of certificates and policies, with the version that brought them. An empty type stands
/// for every type.
const FIELDS: [(&str, &str, [u32; 3]); 6] = [
    ("", "markers", [20, 1, 5]),
    (CERTIFICATE, "is_federated", [22, 1, 3]),
    (CERTIFICATE_PROFILE, "run_script_ref", [20, 1, 3]),
    (SCRIPT, "timeout", [22, 1, 6]),
    (VIRTUAL_SERVICE, "vh_matches", [20, 1, 3]),
    (VIRTUAL_SERVICE, "vh_type", [20, 1, 3]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_and_compared_as_such() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("22.1.3") > version("22.1"));
        assert!(version("30.2.1") > version("22.1.10"));
        assert_eq!(version("20.1.1").to_string(), "20.1.1");
        for wrong in ["", "22", "22.x.1", "22.1.3.b", "-1.0.0"] {
            assert_eq!(Version::parse(wrong), None, "{wrong}");
        }
    }
}
