//! Work requests: every mutation is one, and one at a time is all that is safe.

use std::time::Duration;

use certferry_core::{Error, ErrorKind};
use tokio::time::Instant;

use super::client::Api;
use super::model::WorkRequest;
use super::session::Call;

impl Api {
    /// Waits until a work request ends. What the end means is the caller's to say.
    pub(super) async fn wait_for(&self, id: &str, operation: &'static str, object: &str) -> Result<WorkRequest, Error> {
        let deadline = Instant::now() + self.limits.work_request;
        for poll in 0.. {
            tokio::time::sleep(poll_interval(poll, self.limits.first_poll)).await;
            let call = Call::get("GetWorkRequest", self.work_request(id));
            let (request, _) = self.read::<WorkRequest>(&call, object).await?;
            if !request.is_open() {
                return Ok(request);
            }
            if Instant::now() >= deadline {
                return Err(self.too_slow(&request, operation, object));
            }
        }
        unreachable!("the loop has no other end")
    }

    /// Waits until no work request is open: a change made meanwhile would be refused, or would build on what is about to
    /// change.
    pub(super) async fn wait_until_idle(&self, operation: &'static str) -> Result<(), Error> {
        let deadline = Instant::now() + self.limits.work_request;
        let mut poll = 0;
        while let Some(open) = self.open_work_request().await? {
            if Instant::now() >= deadline {
                return Err(self.too_slow(&open, operation, ""));
            }
            tracing::debug!(load_balancer = %self.name(), work_request = open.id, "waiting for a work request to end");
            tokio::time::sleep(poll_interval(poll, self.limits.first_poll)).await;
            poll += 1;
        }
        Ok(())
    }

    async fn open_work_request(&self) -> Result<Option<WorkRequest>, Error> {
        let mut page: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let target = self.target(["workRequests"]).with("limit", "100");
            let target = match &page {
                Some(page) => target.with("page", page),
                None => target,
            };
            let call = Call::get("ListWorkRequests", target);
            let (requests, answer) = self.read::<Vec<WorkRequest>>(&call, "").await?;
            if let Some(open) = requests.into_iter().find(WorkRequest::is_open) {
                return Ok(Some(open));
            }
            page = answer.header("opc-next-page").filter(|page| !page.is_empty()).map(str::to_owned);
            if page.is_none() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn too_slow(&self, request: &WorkRequest, operation: &'static str, object: &str) -> Error {
        let what = request.operation.as_deref().unwrap_or("of unknown type");
        let since = request.time_accepted.as_deref().unwrap_or("an unknown time");
        Error::new(ErrorKind::Timeout, operation, self.subject(object))
            .said(format!("work request {} ({what}) is {} since {since}", request.id, request.lifecycle_state))
            .with_hint(
                "look at the load balancer's work requests in the console; one that does not end is Oracle's to free",
            )
    }
}

/// 0.2 s, then half as long again each time, up to 5 s: most changes take seconds, some minutes.
pub(super) fn poll_interval(poll: u32, first: Duration) -> Duration {
    first.mul_f64(1.5_f64.powi(i32::try_from(poll.min(30)).unwrap_or(30))).min(LONGEST_POLL)
}

const LONGEST_POLL: Duration = Duration::from_secs(5);

/// Old work requests stay listed; the open ones are the newest.
const MAX_PAGES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_start_quick_and_grow_to_five_seconds() {
        let first = Duration::from_millis(200);
        let waits: Vec<u128> = (0..10).map(|poll| poll_interval(poll, first).as_millis()).collect();
        assert_eq!(waits, [200, 300, 450, 675, 1012, 1518, 2278, 3417, 5000, 5000]);
        assert_eq!(poll_interval(u32::MAX, first), LONGEST_POLL);
    }
}
