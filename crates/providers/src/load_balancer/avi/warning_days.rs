//! When the controller itself warns that certificates end.

use certferry_core::Error;
use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::AviTenant;
use super::client::Failed;
use super::model::list;
use super::retry::Meaning;

impl AviTenant {
    /// The days before the end of a certificate at which the controller warns (`ssl_certificate_expiry_warning_days` of
    /// its properties), most first. `None` when this user may not read them or the controller names none; the right is
    /// PERMISSION_CONTROLLER, which nothing else in certferry needs.
    ///
    /// # Errors
    /// The controller cannot be asked for another reason.
    pub async fn warning_days(&self) -> Result<Option<Vec<u16>>, Error> {
        let url = self.api.address(&["controllerproperties"], &[("fields", FIELD)]);
        let deadline = Instant::now() + self.api.limits.retry;
        let answer = match self.api.repeated(&Method::GET, &url, deadline, |_| false).await {
            Err(Failed::Call(failure)) if failure.meaning() == Some(Meaning::Denied) => {
                tracing::warn!(
                    load_balancer = %self.api.name(), said = failure.said(),
                    "{} cannot read the controller's warning days: that takes {PERMISSION} with READ_ACCESS",
                    self.api.role(),
                );
                return Ok(None);
            }
            answer => answer.map_err(|failed| self.api.read_error(OPERATION, OBJECT, PERMISSION, failed))?,
        };
        let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let days = days(&body);
        if days.is_empty() {
            tracing::warn!(load_balancer = %self.api.name(), answer = answer.excerpt(), "no {FIELD} in the answer");
            return Ok(None);
        }
        Ok(Some(days))
    }
}

/// The properties are a single object; where they come in a list all the same, its only one.
fn days(body: &Value) -> Vec<u16> {
    let properties = list(body, "results").first().unwrap_or(body);
    let numbers = list(properties, FIELD).iter().filter_map(Value::as_u64);
    let mut days: Vec<u16> = numbers.filter_map(|number| u16::try_from(number).ok()).collect();
    days.sort_unstable_by(|one, other| other.cmp(one));
    days.dedup();
    days
}

const FIELD: &str = "ssl_certificate_expiry_warning_days";
const OBJECT: &str = "the controller's properties";
const OPERATION: &str = "GET controllerproperties";
const PERMISSION: &str = "PERMISSION_CONTROLLER";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn days_fall_and_come_once() {
        for (body, expected) in [
            (json!({(FIELD): [30, 7, 1], "uuid": "global"}), vec![30, 7, 1]),
            (json!({(FIELD): [1, 45, 7, 45]}), vec![45, 7, 1]),
            (json!({"count": 1, "results": [{(FIELD): [60, 30, 1]}]}), vec![60, 30, 1]),
            (json!({(FIELD): ["30", -1, 7.5, 70_000, null, 14]}), vec![14]),
            (json!({(FIELD): []}), vec![]),
            (json!({}), vec![]),
            (json!("<html>"), vec![]),
        ] {
            assert_eq!(days(&body), expected, "{body}");
        }
    }
}
