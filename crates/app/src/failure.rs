//! How a command fails, and how that is printed: `error:`, `caused by:`, `hint:`.

use std::error::Error as StdError;
use std::fmt::Write as _;

use certferry_core::plan::Problem;
use certferry_core::{Error, NameError};

use crate::config::ConfigError;
use crate::exit::Exit;
use crate::output;

/// Why a command could not do its work at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The config is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something below failed.
    #[error(transparent)]
    Core(#[from] Error),
    /// Something on this machine failed.
    #[error("{what}")]
    Machine {
        /// What was tried.
        what: String,
        /// What the machine said.
        source: std::io::Error,
    },
    /// The run was stopped by a signal.
    #[error("stopped by a signal; the next `certferry apply` goes on where this one was")]
    Stopped,
    /// The command line asks for something that is not there.
    #[error("{0}")]
    Usage(String),
}

impl Failure {
    /// The exit code that it ends in.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Usage(_) => Exit::Usage,
            Self::Core(_) | Self::Machine { .. } | Self::Stopped => Exit::Unexpected,
        }
    }

    fn hint(&self) -> Option<&str> {
        match self {
            Self::Core(error) => error.hint(),
            Self::Config(_) | Self::Machine { .. } | Self::Stopped | Self::Usage(_) => None,
        }
    }

    /// The text for the terminal.
    pub(crate) fn render(&self) -> String {
        render(self, self.hint())
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Prints problems to stderr, each once: one cause (a key that is refused, say) may stand in the way of several things.
pub(crate) fn complain_of(problems: &[Problem]) {
    let mut said: Vec<String> = Vec::new();
    for problem in problems {
        let text = render(&problem.error, problem.error.hint());
        if !said.contains(&text) {
            output::complain(&text);
            said.push(text);
        }
    }
}

fn render(error: &dyn StdError, hint: Option<&str>) -> String {
    let mut shown = error.to_string();
    let mut text = format!("error: {shown}\n");
    let mut source = error.source();
    while let Some(cause) = source {
        let line = cause.to_string();
        // A cause that its consequence has quoted already tells nothing new.
        if !shown.contains(&line) {
            let _ = writeln!(text, "  caused by: {line}");
        }
        shown.push_str(&line);
        source = cause.source();
    }
    if let Some(hint) = hint {
        let _ = writeln!(text, "  hint: {hint}");
    }
    text
}

#[cfg(test)]
mod tests {
    use certferry_core::ErrorKind;

    use super::*;

    #[test]
    fn an_error_is_printed_with_its_causes_and_its_hint() {
        let source = std::io::Error::other("connection reset");
        let error = Error::new(ErrorKind::Unavailable, "GetLoadBalancer", "load balancer `front`")
            .with_source(source)
            .with_hint("is the endpoint right?");
        assert_eq!(
            Failure::from(error).render(),
            "error: GetLoadBalancer on load balancer `front`: not available\n  caused by: connection reset\n  hint: is \
             the endpoint right?\n"
        );
    }
}
