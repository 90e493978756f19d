//! What the process says when it ends.

use std::process::ExitCode;

use certferry_core::plan::{Plan, Stage};

/// How a command ended. The order is the order of badness, so the worst of several is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All well, nothing left to do.
    Healthy,
    /// Something unforeseen.
    Unexpected,
    /// `plan` has steps.
    StepsPlanned,
    /// A certificate was not issued.
    IssuingFailed,
    /// A certificate was not carried onto a load balancer.
    DeliveryFailed,
    /// A certificate is not served as deployed.
    VerificationFailed,
    /// The command line or the config is wrong.
    Usage,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Unexpected => 1,
            Self::StepsPlanned => 2,
            Self::IssuingFailed => 3,
            Self::DeliveryFailed => 4,
            Self::VerificationFailed => 5,
            Self::Usage => 64,
        }
    }

    /// What `plan` says: its problems, else whether it has steps.
    pub fn of_plan(plan: &Plan) -> Self {
        let steps = if plan.steps.is_empty() { Self::Healthy } else { Self::StepsPlanned };
        plan.problems.iter().map(|problem| problem.stage.into()).max().unwrap_or(steps)
    }
}

impl From<Stage> for Exit {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Issue => Self::IssuingFailed,
            Stage::Deliver => Self::DeliveryFailed,
            Stage::Verify => Self::VerificationFailed,
        }
    }
}

impl From<Option<Stage>> for Exit {
    fn from(stage: Option<Stage>) -> Self {
        stage.map_or(Self::Healthy, Self::from)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
