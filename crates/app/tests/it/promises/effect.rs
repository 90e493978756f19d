//! What happens to a call, in the words of the promise, and in those of each service that can do it.

use std::time::Duration;

use certferry_lab::{acme_ca, avi_controller, oci_load_balancer};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    Status401,
    Status404,
    Status409,
    Status412,
    Status429InSeconds,
    Status429AsDate,
    Status500,
    Page503,
    Hang,
    DropBefore,
    DropAfter,
}

impl Effect {
    pub(crate) const ALL: [Self; 11] = [
        Self::Status401,
        Self::Status404,
        Self::Status409,
        Self::Status412,
        Self::Status429InSeconds,
        Self::Status429AsDate,
        Self::Status500,
        Self::Page503,
        Self::Hang,
        Self::DropBefore,
        Self::DropAfter,
    ];

    /// Those for reads of what was read before, of which each has three in turn: a connection that ends after a read is one
    /// that ends before it; and whoever reads again need not see every refusal again.
    pub(crate) const OF_REPEATED_READS: [Self; 7] = [
        Self::Status401,
        Self::Status404,
        Self::Status429InSeconds,
        Self::Status500,
        Self::Page503,
        Self::Hang,
        Self::DropBefore,
    ];

    /// Those that are there to stay, from a call on: a service that takes no credential any more, one that is away, one whose
    /// answers do not arrive.
    pub(crate) const LASTING: [Self; 3] = [Self::Status401, Self::Page503, Self::DropAfter];

    /// The head of its column.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Status401 => "401",
            Self::Status404 => "404",
            Self::Status409 => "409",
            Self::Status412 => "412",
            Self::Status429InSeconds => "429, seconds",
            Self::Status429AsDate => "429, date",
            Self::Status500 => "500",
            Self::Page503 => "503, HTML",
            Self::Hang => "hang",
            Self::DropBefore => "drop before",
            Self::DropAfter => "drop after",
        }
    }

    /// As a CA does it: its refusals are problem documents (RFC 8555 section 6.7).
    pub(crate) fn of_acme(self) -> acme_ca::Answer {
        use acme_ca::{Answer, RetryAfter};

        let problem = |status, kind, retry_after| Answer::Problem {
            status,
            kind,
            detail: "not on a Sunday".to_owned(),
            retry_after,
        };
        match self {
            Self::Status401 => problem(401, "unauthorized", None),
            Self::Status404 => problem(404, "malformed", None),
            Self::Status409 => problem(409, "conflict", None),
            // RFC 8555 has no type for it.
            Self::Status412 => problem(412, "preconditionFailed", None),
            Self::Status429InSeconds => problem(429, "rateLimited", Some(RetryAfter::Seconds(1))),
            Self::Status429AsDate => problem(429, "rateLimited", Some(RetryAfter::Date(Duration::from_secs(1)))),
            Self::Status500 => problem(500, "serverInternal", None),
            Self::Page503 => Answer::Html { status: 503, retry_after: None },
            Self::Hang => Answer::Hang,
            Self::DropBefore => Answer::DropBefore,
            Self::DropAfter => Answer::DropAfter,
        }
    }

    /// As OCI does it (<https://docs.oracle.com/iaas/Content/API/References/apierrors.htm>).
    pub(crate) fn of_oci(self) -> oci_load_balancer::Effect {
        use oci_load_balancer::{Effect, RetryAfter};

        match self {
            Self::Status401 => Effect::answer(401, "NotAuthenticated", "The required information was not provided."),
            Self::Status404 => Effect::answer(404, "NotAuthorizedOrNotFound", "Authorization failed or not found."),
            Self::Status409 => Effect::answer(409, "IncorrectState", "The load balancer is busy."),
            Self::Status412 => Effect::answer(412, "NoEtagMatch", "The ETag is another one."),
            Self::Status429InSeconds => Effect::too_many_requests(Some(RetryAfter::Seconds(1))),
            Self::Status429AsDate => Effect::too_many_requests(Some(RetryAfter::DateIn(1))),
            Self::Status500 => Effect::answer(500, "InternalServerError", "Internal server error."),
            Self::Page503 => Effect::HtmlPage { status: 503, body: PAGE.to_owned() },
            Self::Hang => Effect::Hang,
            Self::DropBefore => Effect::CloseBefore,
            Self::DropAfter => Effect::CloseAfter,
        }
    }

    /// As an Avi controller does it.
    pub(crate) fn of_avi(self) -> avi_controller::Effect {
        use avi_controller::{Effect, RetryAfter};

        let too_many =
            |retry_after| Effect::Answer { status: 429, error: "slow down".to_owned(), retry_after: Some(retry_after) };
        match self {
            Self::Status401 => Effect::answer(401, "session expired"),
            Self::Status404 => Effect::answer(404, "object not found"),
            Self::Status409 => Effect::answer(409, "busy"),
            Self::Status412 => Effect::stale("Object"),
            Self::Status429InSeconds => too_many(RetryAfter::Seconds(1)),
            Self::Status429AsDate => too_many(RetryAfter::DateIn(1)),
            Self::Status500 => Effect::answer(500, "oops"),
            Self::Page503 => Effect::HtmlPage { status: 503, body: PAGE.to_owned() },
            Self::Hang => Effect::Hang,
            Self::DropBefore => Effect::CloseBefore,
            Self::DropAfter => Effect::CloseAfter,
        }
    }
}

const PAGE: &str = "<html><body>Service Unavailable</body></html>";
