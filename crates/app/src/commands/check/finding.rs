//! Something that `check --online` found.

use certferry_core::plan::{Problem, Stage};
use certferry_core::preflight::{Concern, Severity};
use certferry_core::{CertificateName, Error};

use crate::failure::Failure;

/// Something in the way, of a certificate or of all of them.
pub(super) struct Finding {
    /// What it keeps from happening.
    pub(super) stage: Stage,
    /// Whether it does, or only may.
    pub(super) severity: Severity,
    what: What,
}

enum What {
    /// A call failed.
    Error(Error),
    /// Something was seen.
    Seen(Option<CertificateName>, Concern),
}

impl Finding {
    /// A call that failed.
    pub(super) fn new(stage: Stage, error: Error) -> Self {
        Self { stage, severity: Severity::Error, what: What::Error(error) }
    }

    /// Something that was seen, of the order of one certificate or of all.
    pub(super) fn seen(certificate: Option<&CertificateName>, concern: Concern) -> Self {
        Self { stage: Stage::Issue, severity: concern.severity, what: What::Seen(certificate.cloned(), concern) }
    }

    /// For programs: one line, with the way out at its end.
    pub(super) fn line(&self) -> String {
        match &self.what {
            What::Error(error) => match error.hint() {
                Some(hint) => format!("{error}; hint: {hint}"),
                None => error.to_string(),
            },
            What::Seen(certificate, concern) => {
                format!("{}; hint: {}", sentence(certificate.as_ref(), concern), concern.fix)
            }
        }
    }

    /// For the terminal.
    pub(super) fn block(&self) -> String {
        match &self.what {
            What::Error(error) => Failure::from(error.clone()).render(),
            What::Seen(certificate, concern) => {
                let level = match self.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                };
                format!("{level}: {}\n  hint: {}\n", sentence(certificate.as_ref(), concern), concern.fix)
            }
        }
    }
}

impl From<Problem> for Finding {
    fn from(problem: Problem) -> Self {
        Self::new(problem.stage, problem.error)
    }
}

fn sentence(certificate: Option<&CertificateName>, concern: &Concern) -> String {
    let text = match certificate {
        Some(certificate) => format!("certificate `{certificate}`: {}: {}", concern.subject, concern.said),
        None => format!("{}: {}", concern.subject, concern.said),
    };
    // DNS and whoever answers on port 80 may say anything.
    text.replace(char::is_control, " ")
}
