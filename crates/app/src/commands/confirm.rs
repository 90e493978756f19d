//! The question before the work.

use std::io::{BufRead, IsTerminal};

use tokio::sync::oneshot;

use crate::output;

/// Whether there is somebody to ask.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks on the terminal; anything but yes is no.
pub(crate) async fn ask() -> bool {
    output::complain("Carry this out? [y/N] ");
    let (send, answer) = oneshot::channel();
    // A thread of its own: the runtime waits for those that it knows, and a signal must end the program while this one waits
    // for a line.
    std::thread::spawn(move || send.send(is_yes(std::io::stdin().lock())));
    answer.await.unwrap_or(false)
}

fn is_yes(mut input: impl BufRead) -> bool {
    let mut line = String::new();
    // What cannot be read is no yes.
    let _ = input.read_line(&mut line);
    matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y\n", "Y\n", "yes\r\n", " YES"] {
            assert!(is_yes(yes.as_bytes()), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "no\n", "yess\n", "\ny\n", "\u{feff}y\n"] {
            assert!(!is_yes(no.as_bytes()), "{no:?}");
        }
        assert!(!is_yes(&b"\xff\xfe\n"[..]));
    }
}
