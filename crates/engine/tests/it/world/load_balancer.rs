//! A load balancer that keeps bundles side by side, and checks the promises after every change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use certferry_core::observed::{
    AcceptedKeys, BoundBundle, Holds, Http01Change, Http01Observation, ListenerObservation, Observation, Place,
    ServedChain,
};
use certferry_core::port::{Bundle, Capabilities, Http01Challenge, InCommon, LoadBalancer, Replacement};
use certferry_core::{BundleName, Chain, Error, ErrorKind, Identifier, ListenerName, LoadBalancerName, Sha256};
use rcgen::{CertificateParams, KeyPair};

use super::Switchboard;

#[derive(Default)]
struct State {
    bundles: BTreeMap<BundleName, Chain>,
    listeners: BTreeMap<ListenerName, (SocketAddr, Option<BundleName>)>,
    backend_sets: BTreeMap<String, BundleName>,
    path_ready: bool,
    presented: BTreeSet<String>,
    /// Names for which it presents nothing.
    leads_nowhere: Vec<Identifier>,
    /// What listeners go on serving whatever they are bound to.
    stuck: Option<BTreeMap<ListenerName, Chain>>,
    down: bool,
    leaf_only: bool,
    /// Whether nobody knows where its port 80 is.
    without_address: bool,
    /// Serials, in the order in which they were uploaded.
    uploads: Vec<String>,
    broken: Vec<String>,
    mutating: usize,
    most_mutating: usize,
    warning_days: Option<Vec<u16>>,
    asked_for_warning_days: usize,
}

/// The load balancer.
pub(crate) struct SimulatedLoadBalancer {
    name: LoadBalancerName,
    replacement: Replacement,
    switchboard: Arc<Switchboard>,
    state: Mutex<State>,
}

impl SimulatedLoadBalancer {
    pub(crate) fn new(name: &str, index: usize, switchboard: Arc<Switchboard>) -> Self {
        let old = BundleName::observed("old");
        let mut state = State::default();
        state.bundles.insert(old.clone(), foreign_chain());
        for (port, listener) in ["https", "https-2"].into_iter().enumerate() {
            let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(1000 + index * 100 + port).unwrap()));
            let bundle = (listener == "https").then(|| old.clone());
            state.listeners.insert(listener.parse().unwrap(), (address, bundle));
        }
        // By convention of these tests, a name tells how versions are replaced there.
        let replacement =
            if name.ends_with("in-place") { Replacement::InPlace(InCommon::Nothing) } else { Replacement::SideBySide };
        Self { name: name.parse().unwrap(), replacement, switchboard, state: Mutex::new(state) }
    }

    /// The bundle that a listener refers to.
    pub(crate) fn bound(&self, listener: &str) -> Option<String> {
        self.state.lock().unwrap().listeners[listener].1.as_ref().map(BundleName::to_string)
    }

    /// The bundle that a backend set refers to.
    pub(crate) fn backend_set(&self, name: &str) -> String {
        self.state.lock().unwrap().backend_sets[name].to_string()
    }

    /// Somebody else binds a bundle.
    pub(crate) fn bind_by_hand(&self, listener: &str, bundle: &str) {
        let mut state = self.state.lock().unwrap();
        state.listeners.get_mut(listener).unwrap().1 = Some(BundleName::observed(bundle));
    }

    /// Somebody else makes a backend set use a bundle.
    pub(crate) fn backend_set_by_hand(&self, name: &str, bundle: &str) {
        self.state.lock().unwrap().backend_sets.insert(name.to_owned(), BundleName::observed(bundle));
    }

    /// Somebody else replaces a bundle's content.
    pub(crate) fn overwrite_by_hand(&self, bundle: &str) {
        self.state.lock().unwrap().bundles.insert(BundleName::observed(bundle), foreign_chain());
    }

    /// The serial of a bundle's content.
    pub(crate) fn content(&self, bundle: &str) -> String {
        self.state.lock().unwrap().bundles[&BundleName::observed(bundle)].leaf().serial.to_string()
    }

    /// Names of all bundles.
    pub(crate) fn bundles(&self) -> Vec<String> {
        self.state.lock().unwrap().bundles.keys().map(BundleName::to_string).collect()
    }

    /// Names of bundles that certferry made.
    pub(crate) fn own_bundles(&self) -> Vec<String> {
        self.bundles().into_iter().filter(|name| name.starts_with("cf-")).collect()
    }

    /// From now on listeners go on serving what they serve now.
    pub(crate) fn stick(&self) {
        let mut state = self.state.lock().unwrap();
        let now = state
            .listeners
            .iter()
            .filter_map(|(name, (_, bundle))| Some((name.clone(), state.bundles.get(bundle.as_ref()?)?.clone())));
        state.stuck = Some(now.collect());
    }

    /// From now on listeners serve what they are bound to.
    pub(crate) fn unstick(&self) {
        self.state.lock().unwrap().stuck = None;
    }

    /// Whether it serves leaves without their intermediates.
    pub(crate) fn lose_its_address(&self) {
        self.state.lock().unwrap().without_address = true;
    }

    pub(crate) fn serve_leaf_only(&self, leaf_only: bool) {
        self.state.lock().unwrap().leaf_only = leaf_only;
    }

    /// Whether it answers no call.
    pub(crate) fn down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    /// The days at which it warns; `None` for a kind that has no such setting.
    pub(crate) fn set_warning_days(&self, days: Option<&[u16]>) {
        self.state.lock().unwrap().warning_days = days.map(<[u16]>::to_vec);
    }

    /// How often it was asked at which days it warns.
    pub(crate) fn asked_for_warning_days(&self) -> usize {
        self.state.lock().unwrap().asked_for_warning_days
    }

    /// Serials, in the order in which they were uploaded.
    pub(crate) fn uploads(&self) -> Vec<String> {
        self.state.lock().unwrap().uploads.clone()
    }

    /// From now on it has nothing that answers for this name.
    pub(crate) fn lead_nowhere(&self, name: &str) {
        self.state.lock().unwrap().leads_nowhere.push(name.parse().unwrap());
    }

    /// Challenges that are in place.
    pub(crate) fn presented(&self) -> Vec<String> {
        self.state.lock().unwrap().presented.iter().cloned().collect()
    }

    /// The most mutations that were under way at once.
    pub(crate) fn most_mutating(&self) -> usize {
        self.state.lock().unwrap().most_mutating
    }

    /// Fails when a promise was broken at any moment.
    pub(crate) fn assert_promises(&self, context: &str) {
        let state = self.state.lock().unwrap();
        assert!(state.broken.is_empty(), "{context}: {:?}", state.broken);
        assert!(state.bundles.contains_key("old"), "{context}: a bundle that somebody else made is gone");
    }

    /// What an address serves.
    pub(crate) fn served_at(&self, address: SocketAddr) -> Option<ServedChain> {
        let state = self.state.lock().unwrap();
        let (name, (_, bundle)) = state.listeners.iter().find(|(_, (at, _))| *at == address)?;
        let stuck = state.stuck.as_ref().and_then(|stuck| stuck.get(name));
        let chain = stuck.or_else(|| state.bundles.get(bundle.as_ref()?))?;
        let served = if state.leaf_only { 1 } else { chain.certificates().len() };
        let digests = chain.certificates().iter().take(served).map(|der| Sha256::of(der)).collect();
        Some(ServedChain { leaf: chain.leaf().clone(), digests })
    }

    /// Whether requests for challenges get through at this address.
    pub(crate) fn carries_challenges(&self, address: SocketAddr) -> bool {
        let state = self.state.lock().unwrap();
        state.path_ready && state.listeners.values().any(|(at, _)| *at == address)
    }

    async fn change(&self, operation: &str, effect: impl FnOnce(&mut State) -> Result<(), Error>) -> Result<(), Error> {
        {
            let mut state = self.state.lock().unwrap();
            state.mutating += 1;
            state.most_mutating = state.most_mutating.max(state.mutating);
        }
        let _under_way = UnderWay(&self.state);
        let call = format!("{} {operation}", self.name);
        let effect = || {
            let mut state = self.state.lock().unwrap();
            if state.down {
                return Err(self.refused(operation, ErrorKind::Unavailable));
            }
            let outcome = effect(&mut state);
            let dangling = state.listeners.iter().filter_map(|(name, (_, bundle))| {
                let bundle = bundle.as_ref()?;
                (!state.bundles.contains_key(bundle))
                    .then(|| format!("{operation}: {name} refers to {bundle}, which is gone"))
            });
            let dangling: Vec<_> = dangling.collect();
            state.broken.extend(dangling);
            outcome
        };
        self.switchboard.call(&call, effect).await
    }

    fn refused(&self, operation: &str, kind: ErrorKind) -> Error {
        Error::new(kind, operation, format!("load balancer `{}`", self.name)).said("refused")
    }
}

#[async_trait]
impl LoadBalancer for SimulatedLoadBalancer {
    fn name(&self) -> &LoadBalancerName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            replacement: self.replacement,
            needs_common_name: false,
            creates_listeners: true,
            answers_challenges: false,
        }
    }

    async fn observe(&self) -> Result<Observation, Error> {
        let effect = || {
            let state = self.state.lock().unwrap();
            if state.down {
                return Err(self.refused("GetLoadBalancer", ErrorKind::Unavailable));
            }
            let listeners = state.listeners.iter().map(|(name, (address, bundle))| {
                let listener = ListenerObservation {
                    tls: true,
                    bundles: bundle.clone().map(BoundBundle::only).into_iter().collect(),
                    holds: Holds::One,
                    unfit: None,
                    accepts: AcceptedKeys { ecdsa: true, rsa: true, suite: "any".to_owned() },
                    server_names: Vec::new(),
                    addresses: vec![*address],
                };
                (name.clone(), listener)
            });
            let change = Http01Change { object: "the path".to_owned(), why: "there is none".to_owned() };
            Ok(Observation {
                listeners: listeners.collect(),
                backend_sets: state.backend_sets.clone(),
                bundles: state.bundles.iter().map(|(name, chain)| (name.clone(), Some(chain.leaf().sha256))).collect(),
                http01: Some(Http01Observation {
                    changes: if state.path_ready { Vec::new() } else { vec![change] },
                    obstacle: None,
                    probe: state
                        .listeners
                        .values()
                        .take(usize::from(!state.without_address))
                        .map(|(address, _)| *address)
                        .collect(),
                }),
                ..Observation::default()
            })
        };
        self.switchboard.call(&format!("{} observe", self.name), effect).await
    }

    async fn upload(&self, bundle: &Bundle) -> Result<(), Error> {
        let effect = |state: &mut State| {
            state.uploads.push(bundle.chain.leaf().serial.to_string());
            state.bundles.insert(bundle.name.clone(), bundle.chain.clone());
            Ok(())
        };
        self.change("upload", effect).await
    }

    async fn bind(&self, place: &Place, bundle: &BundleName) -> Result<(), Error> {
        let effect = |state: &mut State| {
            if !state.bundles.contains_key(bundle) {
                return Err(self.refused("bind", ErrorKind::Invalid));
            }
            match place {
                Place::BackendSet(name) => {
                    state.backend_sets.insert(name.clone(), bundle.clone());
                }
                Place::Listener(name) => match state.listeners.get_mut(name) {
                    Some((_, bound)) => *bound = Some(bundle.clone()),
                    None => return Err(self.refused("bind", ErrorKind::NotFound)),
                },
            }
            Ok(())
        };
        self.change("bind", effect).await
    }

    async fn unbind(&self, place: &Place, bundle: &BundleName) -> Result<(), Error> {
        let effect = |state: &mut State| {
            let Place::Listener(name) = place else { return Err(self.refused("unbind", ErrorKind::NotFound)) };
            if let Some((_, bound)) = state.listeners.get_mut(name) {
                bound.take_if(|bound| bound == bundle);
            }
            Ok(())
        };
        self.change("unbind", effect).await
    }

    async fn create_listener(&self, listener: &ListenerName, bundle: &BundleName) -> Result<(), Error> {
        let effect = |state: &mut State| {
            let address = SocketAddr::from(([127, 0, 0, 1], 2000));
            state.listeners.entry(listener.clone()).or_insert((address, Some(bundle.clone())));
            Ok(())
        };
        self.change("create listener", effect).await
    }

    async fn delete(&self, bundle: &BundleName) -> Result<(), Error> {
        let effect = |state: &mut State| {
            let by_listener = state.listeners.values().any(|(_, bound)| bound.as_ref() == Some(bundle));
            if by_listener || state.backend_sets.values().any(|bound| bound == bundle) {
                return Err(self.refused("delete", ErrorKind::Conflict));
            }
            state.bundles.remove(bundle);
            Ok(())
        };
        self.change("delete", effect).await
    }

    async fn prepare_http01(&self, _change: &Http01Change) -> Result<(), Error> {
        let effect = |state: &mut State| {
            state.path_ready = true;
            Ok(())
        };
        self.change("prepare", effect).await
    }

    async fn present(&self, name: &Identifier, challenge: &Http01Challenge) -> Result<Vec<SocketAddr>, Error> {
        let effect = |state: &mut State| {
            if state.leads_nowhere.contains(name) {
                return Err(self.refused("present", ErrorKind::Invalid));
            }
            state.presented.insert(challenge.token.clone());
            Ok(())
        };
        self.change("present", effect).await?;
        Ok(Vec::new())
    }

    async fn withdraw(&self, token: &str) -> Result<(), Error> {
        let effect = |state: &mut State| {
            state.presented.remove(token);
            Ok(())
        };
        self.change("withdraw", effect).await
    }

    async fn warning_days(&self) -> Result<Option<Vec<u16>>, Error> {
        let effect = || {
            let mut state = self.state.lock().unwrap();
            state.asked_for_warning_days += 1;
            if state.down {
                return Err(self.refused("warning days", ErrorKind::Unavailable));
            }
            Ok(state.warning_days.clone())
        };
        self.switchboard.call(&format!("{} warning days", self.name), effect).await
    }
}

/// A mutation under way; a killed process has none.
struct UnderWay<'a>(&'a Mutex<State>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().mutating -= 1;
    }
}

fn foreign_chain() -> Chain {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
    Chain::parse(&params.self_signed(&key).unwrap().pem()).unwrap()
}
