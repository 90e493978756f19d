//! What holds whatever a key file holds.

use super::private_key::parse;
use crate::properties::check_shown;

/// A file with a private key, without a pass phrase and with one: what is refused is refused with a reason that people can
/// be shown, and that quotes no key.
pub(in super::super) fn private_key(data: &[u8]) {
    let read = |pass_phrase| {
        let Err(problem) = parse(data, pass_phrase) else { return };
        let refusal = problem.refusal("in the config");
        check_shown(&refusal.problem);
        // Nothing of a key: a line of PEM has 64 letters.
        assert!(refusal.problem.split(' ').all(|word| word.len() < 60), "{}", refusal.problem);
        check_shown(&refusal.hint);
    };
    read(None);
    // How long PBES2 takes is in the file; it is the operator's own.
    if !data.windows(9).any(|word| word == b"ENCRYPTED") || data.windows(8).any(|word| word == b"DEK-Info") {
        read(Some("correct horse"));
    }
}
