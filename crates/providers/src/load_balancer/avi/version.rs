//! Which version of the API to speak (`X-Avi-Version`). The controller translates every object to and from that version's
//! schema; without the header it takes the oldest it knows.

use std::fmt;
use std::str::FromStr;

/// A release of the controller, `22.1.3`. Patch levels (`22.1.3-2p5`) do not change the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion {
    major: u16,
    minor: u16,
    patch: u16,
}

impl ApiVersion {
    /// The oldest whose objects certferry reads right: `vh_type` and `vh_matches` came with it.
    pub(super) const OLDEST: Self = Self { major: 20, minor: 1, patch: 3 };

    /// The newest whose schema certferry was written against. A newer controller is spoken to in this version.
    pub(super) const NEWEST: Self = Self { major: 30, minor: 2, patch: 1 };

    /// The first in which a script's time limit can be set (`alertscriptconfig.timeout`).
    pub(super) const SCRIPT_TIMEOUT: Self = Self { major: 22, minor: 1, patch: 6 };

    /// The version to speak with a controller of release `self`; `None` for one that is too old.
    pub(super) fn negotiated(self) -> Option<Self> {
        (self >= Self::OLDEST).then(|| self.min(Self::NEWEST))
    }
}

impl FromStr for ApiVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let release = text.split(|letter: char| letter != '.' && !letter.is_ascii_digit()).next().unwrap_or_default();
        let mut numbers = release.split('.').map(|number| number.parse::<u16>().map_err(|_| ()));
        let mut next = || numbers.next().unwrap_or(Ok(0));
        let version = Self { major: next()?, minor: next()?, patch: next()? };
        if version.major == 0 { Err(()) } else { Ok(version) }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_version_spoken_is_the_controllers_within_the_known_range() {
        for (controller, spoken) in [
            ("18.2.5", None),
            ("20.1.1", None),
            ("20.1.3", Some("20.1.3")),
            ("22.1.3", Some("22.1.3")),
            ("22.1.3-2p5", Some("22.1.3")),
            ("30.2.1", Some("30.2.1")),
            ("30.2.2", Some("30.2.1")),
            ("31.1.2", Some("30.2.1")),
            ("21", Some("21.0.0")),
        ] {
            let version: ApiVersion = controller.parse().unwrap();
            assert_eq!(version.negotiated().map(|version| version.to_string()).as_deref(), spoken, "{controller}");
        }
        for text in ["", "x", "22.x.1", "99999999.1", ".", "0.1"] {
            assert!(text.parse::<ApiVersion>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_nothing_outside_the_range_is_spoken(text in ".{0,20}") {
            if let Some(version) = text.parse::<ApiVersion>().ok().and_then(ApiVersion::negotiated) {
                prop_assert!((ApiVersion::OLDEST..=ApiVersion::NEWEST).contains(&version));
            }
        }
    }
}
