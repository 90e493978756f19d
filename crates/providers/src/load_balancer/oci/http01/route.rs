//! Where a request for a challenge goes on a listener: path route sets, routing policies, redirects
//! (<https://docs.oracle.com/iaas/Content/Balance/Tasks/managingrequest.htm>).

use certferry_core::observed::Obstacle;
use serde_json::{Value, json};

use super::super::change::Change;
use super::super::model::{Collection, list, listeners_on, ssl, text, texts};
use super::{CHALLENGE_PATH, Step};

/// The name of certferry's own path route set and of its rule in a routing policy. Letters, digits and underscores, which
/// both take.
pub(super) const OWN_NAME: &str = "certferry_acme";

/// Whether a listener sends challenge requests to the backend set by a route that is meant for them.
pub(super) fn is_routed(load_balancer: &Value, listener: &Value, backend_set: &str) -> bool {
    if let Some(policy) = text(listener, "routingPolicyName") {
        let rules =
            Collection::RoutingPolicies.find(load_balancer, policy).map_or(&[][..], |policy| list(policy, "rules"));
        let rule = rules.iter().find(|rule| is_challenge_rule(rule));
        return rule.is_some_and(|rule| targets(rule) == [backend_set]);
    }
    let set = text(listener, "pathRouteSetName").and_then(|name| Collection::PathRouteSets.find(load_balancer, name));
    let winner = set.and_then(|set| winning_route(list(set, "pathRoutes")));
    winner.is_some_and(|route| text(route, "backendSetName") == Some(backend_set))
}

/// The route to the backend set in a path route set; `None` when it is there. In a set of another owner, a route for the
/// same path to elsewhere stays.
pub(super) fn path_route_step(load_balancer: &Value, name: &str, backend_set: &str) -> Result<Option<Step>, Obstacle> {
    let collection = Collection::PathRouteSets;
    let object = collection.object(name);
    let Some(set) = collection.find(load_balancer, name) else {
        let body = json!({"name": name, "pathRoutes": [route("PREFIX_MATCH", backend_set)]});
        let why = format!("created, with {CHALLENGE_PATH} to backend set `{backend_set}`");
        return Ok(Some(Step::new(Change::create(collection, name, body), why)));
    };
    let routes = list(set, "pathRoutes");
    let winner = winning_route(routes);
    if winner.is_some_and(|route| text(route, "backendSetName") == Some(backend_set)) {
        return Ok(None);
    }
    let (challenge, others): (Vec<&Value>, Vec<&Value>) = routes.iter().partition(|route| is_challenge_route(route));
    let foreign = challenge.iter().filter_map(|route| text(route, "backendSetName")).find(|set| *set != backend_set);
    if let (Some(other), true) = (foreign, name != OWN_NAME) {
        return Err(routed_elsewhere(object, other, backend_set));
    }
    // A longest-prefix route for `/` would win over a plain prefix route, wherever that stands.
    let longest = others.iter().any(|route| match_type(route) == LONGEST && catches(route));
    let ours = route(if longest { LONGEST } else { "PREFIX_MATCH" }, backend_set);
    let mut wanted = set.clone();
    wanted["pathRoutes"] = Value::Array([ours].into_iter().chain(others.into_iter().cloned()).collect());
    let why = format!("{CHALLENGE_PATH} routed to backend set `{backend_set}`, before the routes that are there");
    Ok(Some(Step::new(Change::update(collection, name, wanted), why)))
}

/// The rule to the backend set in the routing policy that a listener has; `None` when it is there.
pub(super) fn policy_step(load_balancer: &Value, name: &str, backend_set: &str) -> Result<Option<Step>, Obstacle> {
    let collection = Collection::RoutingPolicies;
    let object = collection.object(name);
    let Some(policy) = collection.find(load_balancer, name) else {
        return Err(Obstacle {
            object,
            what: "the listener refers to it, but it is not there".to_owned(),
            fix: "give the listener another routing policy, or none".to_owned(),
        });
    };
    let rules = list(policy, "rules");
    let is_own = |rule: &Value| text(rule, "name") == Some(OWN_NAME);
    if let Some(rule) = rules.iter().find(|rule| is_challenge_rule(rule)) {
        let targets = targets(rule);
        if targets == [backend_set] {
            return Ok(None);
        }
        if !is_own(rule) {
            return Err(routed_elsewhere(object, &targets.join(", "), backend_set));
        }
    } else if rules.iter().any(is_own) {
        return Err(Obstacle {
            object,
            what: format!("its rule `{OWN_NAME}` has another condition than certferry gives it"),
            fix: format!("rename that rule, or give it the condition {CONDITION}"),
        });
    }
    let ours = json!({"name": OWN_NAME, "condition": CONDITION,
        "actions": [{"name": "FORWARD_TO_BACKENDSET", "backendSetName": backend_set}]});
    let others = rules.iter().filter(|rule| !is_own(rule)).cloned();
    let mut wanted = policy.clone();
    wanted["rules"] = Value::Array([ours].into_iter().chain(others).collect());
    let why = format!(
        "rule `{OWN_NAME}` for {CHALLENGE_PATH} to backend set `{backend_set}`, before the rules that are there"
    );
    Ok(Some(Step::new(Change::update(collection, name, wanted), why)))
}

/// A rule of the listener's rule sets that answers challenge requests itself, before any route is looked at.
pub(super) fn rule_in_the_way(load_balancer: &Value, listener: &Value, backend_set: &str) -> Option<Obstacle> {
    for name in texts(listener, "ruleSetNames") {
        let Some(set) = Collection::RuleSets.find(load_balancer, name) else { continue };
        let object = Collection::RuleSets.object(name);
        for item in list(set, "items") {
            match text(item, "action") {
                Some("REDIRECT") if redirects(item) && !is_followed(load_balancer, item, backend_set) => {
                    return Some(Obstacle {
                        object,
                        what: format!("it redirects {CHALLENGE_PATH} to {}", target(item)),
                        fix: redirect_fix(load_balancer, backend_set),
                    });
                }
                Some("CONTROL_ACCESS_USING_HTTP_METHODS") if !texts(item, "allowedMethods").contains(&"GET") => {
                    return Some(Obstacle {
                        object,
                        what: "it does not allow GET, which a CA uses".to_owned(),
                        fix: "add GET to its allowedMethods".to_owned(),
                    });
                }
                _ => {}
            }
        }
    }
    None
}

/// Whether a route or rule is for other requests than challenges.
pub(super) fn is_other_route(route: &Value) -> bool {
    !is_challenge_route(route)
}

/// Whether a rule of a routing policy is meant for challenges. Conditions are a language of their own; the path in it
/// is telling enough.
pub(super) fn is_challenge_rule(rule: &Value) -> bool {
    let path = CHALLENGE_PATH.trim_end_matches('/');
    text(rule, "condition").is_some_and(|condition| condition.to_ascii_lowercase().contains(path))
}

/// The backend sets that a rule of a routing policy forwards to.
pub(super) fn targets(rule: &Value) -> Vec<&str> {
    list(rule, "actions").iter().filter_map(|action| text(action, "backendSetName")).collect()
}

fn is_challenge_route(route: &Value) -> bool {
    let path = text(route, "path").unwrap_or_default().trim_end_matches('/');
    path.eq_ignore_ascii_case(CHALLENGE_PATH.trim_end_matches('/'))
}

/// The route that the service takes: the longest of the longest-prefix routes, else the first prefix route. (Exact and
/// suffix routes are for single tokens.)
fn winning_route(routes: &[Value]) -> Option<&Value> {
    let mut catching = routes.iter().filter(|route| catches(route));
    let longest = catching.clone().filter(|route| match_type(route) == LONGEST);
    let length = |route: &&Value| text(route, "path").map_or(0, str::len);
    longest.max_by_key(length).or_else(|| catching.next())
}

fn catches(route: &Value) -> bool {
    is_prefix(match_type(route), text(route, "path").unwrap_or_default())
}

fn match_type(route: &Value) -> &str {
    route.get("pathMatchType").and_then(|kind| text(kind, "matchType")).unwrap_or_default()
}

/// Path matching ignores case.
fn is_prefix(match_type: &str, path: &str) -> bool {
    let kind = ["PREFIX_MATCH", LONGEST].contains(&match_type);
    kind && CHALLENGE_PATH.get(..path.len()).is_some_and(|start| start.eq_ignore_ascii_case(path))
}

fn route(match_type: &str, backend_set: &str) -> Value {
    json!({"path": CHALLENGE_PATH, "pathMatchType": {"matchType": match_type}, "backendSetName": backend_set})
}

fn redirects(item: &Value) -> bool {
    let path = |condition: &&Value| text(condition, "attributeName") == Some("PATH");
    let matches = |condition: &Value| {
        is_prefix(
            text(condition, "operator").unwrap_or_default(),
            text(condition, "attributeValue").unwrap_or_default(),
        )
    };
    list(item, "conditions").iter().filter(path).all(matches)
}

/// A CA follows a redirect to port 443 and does not judge the certificate there; the path must be routed there too.
fn is_followed(load_balancer: &Value, item: &Value, backend_set: &str) -> bool {
    let Some(to) = item.get("redirectUri") else { return false };
    let https = text(to, "protocol").is_some_and(|protocol| protocol.eq_ignore_ascii_case("https"));
    let keeps = |key, token: &str| text(to, key).is_none_or(|value| value.contains(token));
    let port = match to.get("port") {
        None | Some(Value::Null) => true,
        Some(Value::String(port)) => port == "443",
        Some(port) => port == 443,
    };
    let routed =
        |(_, listener): (&str, &Value)| ssl(listener).is_some() && is_routed(load_balancer, listener, backend_set);
    https && port && keeps("host", "{host}") && keeps("path", "{path}") && listeners_on(load_balancer, 443).any(routed)
}

fn target(item: &Value) -> String {
    let to = item.get("redirectUri").unwrap_or(&Value::Null);
    let part = |key, default| text(to, key).unwrap_or(default).to_owned();
    format!("{}://{}{}", part("protocol", "{protocol}").to_lowercase(), part("host", "{host}"), part("path", "/{path}"))
}

fn redirect_fix(load_balancer: &Value, backend_set: &str) -> String {
    let https = listeners_on(load_balancer, 443).find(|(_, listener)| ssl(listener).is_some());
    let narrow = format!("narrow the rule's PATH condition so that it does not match {CHALLENGE_PATH}");
    match https {
        Some((name, _)) => format!(
            "{narrow}; or route that path on listener `{name}` (443) to backend set `{backend_set}` too, since a CA follows \
             the redirect: path route {}",
            route("PREFIX_MATCH", backend_set)
        ),
        None => narrow,
    }
}

fn routed_elsewhere(object: String, other: &str, backend_set: &str) -> Obstacle {
    Obstacle {
        object,
        what: format!("it sends {CHALLENGE_PATH} to backend set `{other}`, which another ACME client may need"),
        fix: format!("remove that route if nothing needs it, or send it to backend set `{backend_set}`"),
    }
}

const LONGEST: &str = "FORCE_LONGEST_PREFIX_MATCH";

/// In the policy language V1; `sw` is "starts with".
const CONDITION: &str = "any(http.request.url.path sw '/.well-known/acme-challenge/')";
