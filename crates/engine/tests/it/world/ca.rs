//! A CA that follows RFC 8555's states, gives the same order again while it is open (as Boulder does), and validates by
//! asking the responder.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use certferry_core::port::{
    Account, Authorization, AuthorizationStatus, CertificateAuthority, Dns01Challenge, Http01Challenge, Order,
    OrderRequest, OrderStatus, RevocationReason, dns01_value,
};
use certferry_core::renewal::RenewalWindow;
use certferry_core::{Chain, Clock, Error, ErrorKind, Identifier, Secret, Serial};
use certferry_engine::{CHALLENGE_PATH, Responder};
use jiff::{SignedDuration, Timestamp, ToSpan, tz::TimeZone};
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use tokio::time::Instant;

use super::{ManualClock, SimulatedDns, Switchboard};

/// Where it says it is.
pub(crate) const DIRECTORY: &str = "https://ca.test/directory";

/// What is known of one order.
#[derive(Clone)]
pub(crate) struct SimulatedOrder {
    pub(crate) names: Vec<Identifier>,
    pub(crate) replaces: Option<Serial>,
    pub(crate) status: OrderStatus,
    pub(crate) finalized: usize,
    expires: Timestamp,
    authorized: Vec<AuthorizationStatus>,
    /// When each challenge was answered, and whether the one by dns-01.
    answered: Vec<Option<(Instant, bool)>>,
    finalized_at: Option<Instant>,
    chain: Option<Chain>,
}

/// What is wrong with the certificates of valid orders.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spoiled {
    /// They are not there.
    Gone,
    /// They are no chains.
    NoChain,
    /// They are for a key that nobody ordered with.
    OtherKey,
}

#[derive(Default)]
struct State {
    /// Each with its key.
    accounts: Vec<(String, String)>,
    /// The key with which requests are signed.
    signing: String,
    revoked: Vec<Serial>,
    orders: Vec<SimulatedOrder>,
    keys_made: usize,
    refuse_validation: bool,
    authorizations_end_after: SignedDuration,
    refused_names: Vec<Identifier>,
    spoiled: Option<Spoiled>,
    validation_takes: Duration,
    issue_takes: Duration,
    retry_after: Option<Duration>,
    windows: Vec<(Serial, RenewalWindow)>,
    /// Those that it does not know any more.
    without_window: Vec<Serial>,
    asked_for_windows: Vec<Serial>,
}

/// The CA.
pub(crate) struct SimulatedCa {
    switchboard: Arc<Switchboard>,
    clock: Arc<ManualClock>,
    responder: Arc<Mutex<Responder>>,
    dns: Arc<SimulatedDns>,
    issuer: Issuer<'static, KeyPair>,
    intermediate: String,
    state: Mutex<State>,
}

impl SimulatedCa {
    pub(crate) fn new(
        switchboard: Arc<Switchboard>,
        clock: Arc<ManualClock>,
        responder: Arc<Mutex<Responder>>,
        dns: Arc<SimulatedDns>,
    ) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let intermediate = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { switchboard, clock, responder, dns, issuer, intermediate, state: Mutex::default() }
    }

    pub(crate) fn orders(&self) -> Vec<SimulatedOrder> {
        self.state.lock().unwrap().orders.clone()
    }

    pub(crate) fn accounts(&self) -> usize {
        self.state.lock().unwrap().accounts.len()
    }

    pub(crate) fn forget_accounts(&self) {
        self.state.lock().unwrap().accounts.clear();
    }

    /// Whether every validation fails from now on.
    pub(crate) fn refuse_validation(&self, refuse: bool) {
        self.state.lock().unwrap().refuse_validation = refuse;
    }

    /// Authorizations end so much before their order.
    pub(crate) fn end_authorizations_early(&self, before_order: SignedDuration) {
        self.state.lock().unwrap().authorizations_end_after = -before_order;
    }

    /// The validation of this name fails from now on.
    pub(crate) fn refuse_name(&self, name: &str) {
        self.state.lock().unwrap().refused_names.push(name.parse().unwrap());
    }

    /// Certificates are of no use from now on, or are again.
    pub(crate) fn spoil(&self, spoiled: Option<Spoiled>) {
        self.state.lock().unwrap().spoiled = spoiled;
    }

    /// A validation and an issue take so long; meanwhile it asks not to be asked for so long.
    pub(crate) fn take_its_time(&self, validation: Duration, issue: Duration, retry_after: Duration) {
        let mut state = self.state.lock().unwrap();
        (state.validation_takes, state.issue_takes) = (validation, issue);
        state.retry_after = Some(retry_after);
    }

    /// How many account keys were asked for.
    pub(crate) fn keys_made(&self) -> usize {
        self.state.lock().unwrap().keys_made
    }

    /// Suggests a renewal window for a certificate.
    pub(crate) fn suggest(&self, serial: Serial, window: RenewalWindow) {
        self.state.lock().unwrap().windows.push((serial, window));
    }

    /// From now on it does not know the certificate with this serial when it is asked for its window.
    pub(crate) fn forget_window(&self, serial: Serial) {
        self.state.lock().unwrap().without_window.push(serial);
    }

    /// How often it was asked for a certificate's window.
    pub(crate) fn asked_for_window(&self, serial: &Serial) -> usize {
        self.state.lock().unwrap().asked_for_windows.iter().filter(|asked| *asked == serial).count()
    }

    fn read(&self, index: usize) -> Result<Order, Error> {
        let state = self.state.lock().unwrap();
        let order = state.orders.get(index).ok_or_else(|| refused("order", ErrorKind::NotFound))?;
        Ok(Order {
            url: format!("order/{index}"),
            status: order.status,
            authorizations: (0..order.names.len()).map(|name| format!("authorization/{index}/{name}")).collect(),
            finalize: format!("finalize/{index}"),
            certificate: order.chain.as_ref().map(|_| format!("certificate/{index}")),
            error: None,
            replaces: order.replaces.is_some(),
            expires: Some(order.expires),
            retry_after: state.retry_after.filter(|_| order.status == OrderStatus::Processing),
        })
    }

    /// Looks for the response to a challenge that was answered, once it has come to that.
    fn look(&self, place: &[usize]) {
        let (name, by_dns) = {
            let state = self.state.lock().unwrap();
            let Some(order) = state.orders.get(place[0]) else { return };
            let is_open = order.authorized[place[1]] == AuthorizationStatus::Pending;
            let Some((at, by_dns)) = order.answered[place[1]].filter(|_| is_open) else { return };
            if at.elapsed() < state.validation_takes {
                return;
            }
            (order.names[place[1]].clone(), by_dns)
        };
        let token = format!("token-{}-{}", place[0], place[1]);
        let key_authorization = format!("{token}.thumbprint");
        let right = if by_dns {
            self.dns.everywhere(&name.dns().unwrap().dns01_record().unwrap(), &dns01_value(&key_authorization))
        } else {
            let response = self.responder.lock().unwrap().answer(&format!("{CHALLENGE_PATH}{token}"));
            response.as_deref() == Some(key_authorization.as_str())
        };
        let mut state = self.state.lock().unwrap();
        let refuse = state.refuse_validation || state.refused_names.contains(&name);
        let order = &mut state.orders[place[0]];
        let valid = !refuse && right;
        order.authorized[place[1]] = if valid { AuthorizationStatus::Valid } else { AuthorizationStatus::Invalid };
        if !valid {
            order.status = OrderStatus::Invalid;
        } else if order.authorized.iter().all(|status| *status == AuthorizationStatus::Valid) {
            order.status = OrderStatus::Ready;
        }
    }

    /// For a key of its own.
    fn issue_for_another_key(&self, names: &[Identifier]) -> Chain {
        let names: Vec<String> = names.iter().map(Identifier::to_string).collect();
        let request = CertificateParams::new(names).unwrap().serialize_request(&KeyPair::generate().unwrap()).unwrap();
        self.issue(request.der())
    }

    fn issue(&self, csr: &[u8]) -> Chain {
        let mut request = CertificateSigningRequestParams::from_der(&csr.to_vec().into()).unwrap();
        let today = self.clock.now().to_zoned(TimeZone::UTC).date();
        let date = |date: jiff::civil::Date| {
            rcgen::date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
        };
        request.params.not_before = date(today);
        request.params.not_after = date(today.checked_add(90.days()).unwrap());
        let leaf = request.signed_by(&self.issuer).unwrap().pem();
        Chain::parse(&format!("{leaf}{}", self.intermediate)).unwrap()
    }
}

#[async_trait]
impl CertificateAuthority for SimulatedCa {
    fn directory_url(&self) -> &str {
        DIRECTORY
    }

    async fn check(&self, _profile: Option<&str>) -> Result<(), Error> {
        self.switchboard.call("ca directory", || Ok(())).await
    }

    fn new_account_key(&self) -> Result<Secret<String>, Error> {
        let mut state = self.state.lock().unwrap();
        state.keys_made += 1;
        Ok(Secret::new(format!("key {}", state.keys_made)))
    }

    async fn open_account(&self, key: &Secret<String>, create: bool) -> Result<Account, Error> {
        let effect = || {
            let mut state = self.state.lock().unwrap();
            let key = key.expose();
            let known = state.accounts.iter().find(|(_, of)| of == key).map(|(url, _)| url.clone());
            let url = match known {
                Some(url) => url,
                None if !create => return Err(refused("newAccount", ErrorKind::NotFound)),
                None => {
                    let url = format!("account/{}", state.accounts.len() + 1);
                    state.accounts.push((url.clone(), key.clone()));
                    url
                }
            };
            state.signing = key.clone();
            Ok(Account { url })
        };
        self.switchboard.call("ca newAccount", effect).await
    }

    fn describe_account_key(&self, key: &Secret<String>) -> Result<String, Error> {
        Ok(key.expose().clone())
    }

    async fn change_account_key(&self, new: &Secret<String>) -> Result<(), Error> {
        let effect = || {
            let mut state = self.state.lock().unwrap();
            if state.accounts.iter().any(|(_, key)| key == new.expose()) {
                return Err(refused("keyChange", ErrorKind::Conflict));
            }
            let signing = state.signing.clone();
            let Some((_, key)) = state.accounts.iter_mut().find(|(_, key)| *key == signing) else {
                return Err(refused("keyChange", ErrorKind::Denied));
            };
            key.clone_from(new.expose());
            state.signing.clone_from(new.expose());
            Ok(())
        };
        self.switchboard.call("ca keyChange", effect).await
    }

    async fn deactivate_account(&self) -> Result<(), Error> {
        let effect = || {
            let mut state = self.state.lock().unwrap();
            let signing = state.signing.clone();
            state.accounts.retain(|(_, key)| *key != signing);
            Ok(())
        };
        self.switchboard.call("ca account", effect).await
    }

    async fn revoke(
        &self,
        chain: &Chain,
        _key: Option<&Secret<String>>,
        _reason: Option<RevocationReason>,
    ) -> Result<(), Error> {
        let effect = || {
            self.state.lock().unwrap().revoked.push(chain.leaf().serial.clone());
            Ok(())
        };
        self.switchboard.call("ca revokeCert", effect).await
    }

    async fn new_order(&self, request: &OrderRequest) -> Result<Order, Error> {
        let effect = || {
            let index = {
                let mut state = self.state.lock().unwrap();
                let signing = state.signing.clone();
                if !state.accounts.iter().any(|(_, key)| *key == signing) {
                    return Err(refused("newOrder", ErrorKind::Denied));
                }
                let (now, authorized_for) = (self.clock.now(), state.authorizations_end_after);
                let open = state.orders.iter().position(|order| {
                    order.names == request.names
                        && matches!(order.status, OrderStatus::Pending | OrderStatus::Ready)
                        && order.expires.min(order.expires + authorized_for) > now
                });
                open.unwrap_or_else(|| {
                    state.orders.push(SimulatedOrder {
                        names: request.names.clone(),
                        replaces: request.replaces.as_ref().map(|chain| chain.leaf().serial.clone()),
                        status: OrderStatus::Pending,
                        finalized: 0,
                        expires: self.clock.now() + ORDER_LIFETIME,
                        authorized: vec![AuthorizationStatus::Pending; request.names.len()],
                        answered: vec![None; request.names.len()],
                        finalized_at: None,
                        chain: None,
                    });
                    state.orders.len() - 1
                })
            };
            self.read(index)
        };
        self.switchboard.call("ca newOrder", effect).await
    }

    async fn order(&self, url: &str) -> Result<Order, Error> {
        let index = numbers(url)[0];
        let effect = || {
            {
                let mut state = self.state.lock().unwrap();
                let takes = state.issue_takes;
                if let Some(order) = state.orders.get_mut(index)
                    && order.status == OrderStatus::Processing
                    && order.finalized_at.is_some_and(|at| at.elapsed() >= takes)
                {
                    order.status = OrderStatus::Valid;
                }
            }
            self.read(index)
        };
        self.switchboard.call("ca order", effect).await
    }

    async fn authorization(&self, url: &str) -> Result<Authorization, Error> {
        let place = numbers(url);
        let effect = || {
            self.look(&place);
            let state = self.state.lock().unwrap();
            let order = state.orders.get(place[0]).ok_or_else(|| refused("authorization", ErrorKind::NotFound))?;
            let name = order.names[place[1]].clone();
            let token = format!("token-{}-{}", place[0], place[1]);
            let key_authorization = format!("{token}.thumbprint");
            let untouched = order.answered[place[1]].is_none();
            let is_looking = !untouched && order.authorized[place[1]] == AuthorizationStatus::Pending;
            let dns01 = Dns01Challenge {
                url: format!("dns-challenge/{}/{}", place[0], place[1]),
                token: token.clone(),
                key_authorization: key_authorization.clone(),
                untouched,
            };
            let http01 = Http01Challenge {
                url: format!("challenge/{}/{}", place[0], place[1]),
                token,
                key_authorization,
                untouched,
            };
            Ok(Authorization {
                url: url.to_owned(),
                status: order.authorized[place[1]],
                http01: Some(http01).filter(|_| !name.is_wildcard()),
                dns01: Some(dns01),
                name,
                error: None,
                expires: Some(order.expires + state.authorizations_end_after),
                retry_after: state.retry_after.filter(|_| is_looking),
            })
        };
        self.switchboard.call("ca authorization", effect).await
    }

    async fn answer(&self, url: &str) -> Result<(), Error> {
        let place = numbers(url);
        let effect = || {
            {
                let mut state = self.state.lock().unwrap();
                let answered = &mut state.orders[place[0]].answered[place[1]];
                answered.get_or_insert_with(|| (Instant::now(), url.starts_with("dns-")));
            }
            self.look(&place);
            Ok(())
        };
        self.switchboard.call("ca challenge", effect).await
    }

    async fn finalize(&self, order: &Order, csr: &[u8]) -> Result<Order, Error> {
        let index = numbers(&order.url)[0];
        let effect = || {
            let chain = self.issue(csr);
            {
                let mut state = self.state.lock().unwrap();
                let order = &mut state.orders[index];
                if order.status != OrderStatus::Ready {
                    return Err(refused("finalize", ErrorKind::Conflict));
                }
                order.finalized += 1;
                order.finalized_at = Some(Instant::now());
                order.chain = Some(chain);
                order.status = OrderStatus::Processing;
            }
            self.read(index)
        };
        self.switchboard.call("ca finalize", effect).await
    }

    async fn certificate(&self, url: &str) -> Result<Chain, Error> {
        let index = numbers(url)[0];
        let effect = || {
            let state = self.state.lock().unwrap();
            let order = state.orders.get(index).filter(|order| order.chain.is_some());
            let order = order.ok_or_else(|| refused("certificate", ErrorKind::NotFound))?;
            match state.spoiled {
                None => Ok(order.chain.clone().unwrap()),
                Some(Spoiled::Gone) => Err(refused("certificate", ErrorKind::NotFound)),
                Some(Spoiled::NoChain) => Err(refused("certificate", ErrorKind::Unexpected)),
                Some(Spoiled::OtherKey) => Ok(self.issue_for_another_key(&order.names)),
            }
        };
        self.switchboard.call("ca certificate", effect).await
    }

    async fn renewal_window(&self, chain: &Chain) -> Result<Option<RenewalWindow>, Error> {
        let effect = || {
            let mut state = self.state.lock().unwrap();
            let serial = &chain.leaf().serial;
            state.asked_for_windows.push(serial.clone());
            if state.without_window.contains(serial) {
                return Err(Error::new(ErrorKind::NotFound, "renewalInfo", "the simulated CA").said("who is that?"));
            }
            let of_leaf = |(serial, _): &&(Serial, RenewalWindow)| *serial == chain.leaf().serial;
            Ok(state.windows.iter().find(of_leaf).map(|(_, window)| window.clone()))
        };
        self.switchboard.call("ca renewalInfo", effect).await
    }
}

/// As Let's Encrypt's.
const ORDER_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

fn numbers(url: &str) -> Vec<usize> {
    url.split('/').skip(1).map(|part| part.parse().unwrap()).collect()
}

fn refused(operation: &str, kind: ErrorKind) -> Error {
    Error::new(kind, operation, "the simulated CA").said("refused")
}
