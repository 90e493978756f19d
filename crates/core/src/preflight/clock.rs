//! How far this machine's clock is off, by the CA's.

use jiff::{SignedDuration, Timestamp};

use super::{Concern, Severity};

/// What the CA's time (to the second, from an answer that came between `asked` and `answered`) says of this clock.
pub fn clock(ca: &str, asked: Timestamp, answered: Timestamp, said: Timestamp) -> Option<Concern> {
    // The header leaves fractions of a second out, so the truth lies in the second after it.
    let ahead = asked.duration_since(said + SignedDuration::from_secs(1));
    let behind = said.duration_since(answered);
    let (off, word) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if off <= BEARABLE {
        return None;
    }
    Some(Concern {
        severity: if off >= SIGNATURES_REFUSED { Severity::Error } else { Severity::Warning },
        subject: "the clock of this machine".to_owned(),
        said: format!("it is {} s {word} the clock of {ca}", off.as_secs()),
        fix: "let the machine keep its time by NTP (`timedatectl set-ntp true`): renewals, and signatures that are good for \
              minutes, hang on it"
            .to_owned(),
    })
}

const BEARABLE: SignedDuration = SignedDuration::from_secs(60);

/// OCI refuses requests that are dated five minutes wrong.
const SIGNATURES_REFUSED: SignedDuration = SignedDuration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_borne_and_five_are_too_much() {
        let now: Timestamp = "2026-02-01T12:00:00Z".parse().unwrap();
        let second = SignedDuration::from_secs(1);
        for (offset, severity, word) in [
            (0, None, ""),
            (60, None, ""),
            (-61, None, ""),
            (62, Some(Severity::Warning), "behind"),
            (-62, Some(Severity::Warning), "ahead of"),
            (301, Some(Severity::Error), "behind"),
            (-302, Some(Severity::Error), "ahead of"),
            (-100_000_000, Some(Severity::Error), "ahead of"),
        ] {
            let seen = clock("ca", now, now, now + second * offset);
            assert_eq!(seen.as_ref().map(|one| one.severity), severity, "{offset}: {seen:?}");
            assert!(seen.is_none_or(|one| one.said.contains(word)), "{offset}");
        }
        // An answer that took long tells less.
        assert_eq!(clock("ca", now, now + second * 30, now + second * 85), None);
    }
}
