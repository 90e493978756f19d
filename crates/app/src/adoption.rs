//! Taking what a listener serves under management: which certificates that makes. Decides only; reads and writes nothing.

use std::collections::BTreeSet;

use certferry_core::inventory::{HeldContent, HeldLeaf, Inventory};
use certferry_core::observed::{BoundBundle, Holds, ListenerObservation};
use certferry_core::{
    BundleName, CertificateName, Error, ErrorKind, Identifier, IssuerName, KeyFamily, KeyType, ListenerName,
    LoadBalancerName,
};

use crate::config::{Config, NewCertificate};
use crate::failure::Failure;

/// What to adopt.
pub(crate) struct Wanted<'a> {
    pub(crate) load_balancer: &'a LoadBalancerName,
    pub(crate) listener: &'a ListenerName,
    /// The certificate's name; made of its first DNS name when absent.
    pub(crate) name: Option<&'a CertificateName>,
    /// The issuer to name; the only one there is when absent.
    pub(crate) issuer: Option<&'a IssuerName>,
}

/// What that makes.
#[derive(Debug)]
pub(crate) struct Adoption {
    /// The new certificates, each with the bundle that it takes the place of.
    pub(crate) certificates: Vec<(NewCertificate, BundleName)>,
    /// What is odd about them.
    pub(crate) notes: Vec<String>,
}

/// The certificates that put what the listener serves under management: one, or one for each kind of key that it serves
/// and no certificate of the config delivers yet.
pub(crate) fn adoption(wanted: &Wanted<'_>, config: &Config, inventory: &Inventory) -> Result<Adoption, Failure> {
    let listener = usable(wanted, inventory)?;
    let managed = managed(wanted, config);
    let is_free = |bound: &&BoundBundle| match listener.holds {
        Holds::One => managed.is_empty(),
        Holds::Many | Holds::OnePerKeyFamily => {
            !managed.iter().any(|(_, family)| bound.family.is_none_or(|bound| bound == *family))
        }
    };
    let free: Vec<&BoundBundle> =
        listener.bundles.iter().filter(is_free).filter(|one| answers(listener, one)).collect();
    if free.is_empty() && !managed.is_empty() {
        let names = managed.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!(
            "certificate {names} of the config delivers to listener `{}` of `{}` already",
            wanted.listener, wanted.load_balancer
        )));
    }
    let mut notes = Vec::new();
    let leaves: Vec<(&BundleName, &HeldLeaf)> =
        free.iter().filter_map(|bound| Some((&bound.name, leaf(&bound.name, inventory, &mut notes)?))).collect();
    if leaves.is_empty() {
        let said = match notes.is_empty() {
            true => "it refers to no bundle".to_owned(),
            false => notes.join("; "),
        };
        return Err(refused(wanted, said, "write the certificate into the config by hand").into());
    }
    let mut taken: BTreeSet<String> =
        config.desired.certificates.iter().map(|certificate| certificate.name.to_string()).collect();
    let mut certificates = Vec::new();
    for (bundle, leaf) in &leaves {
        let names = names(wanted, bundle, leaf, &mut notes)?;
        let key = key(bundle, leaf, listener, &mut notes);
        let name = match (wanted.name, leaves.len()) {
            (Some(name), 1) if taken.contains(name.as_str()) => {
                return Err(Failure::Usage(format!(
                    "the config has a certificate `{name}` already; give another `--name`"
                )));
            }
            (Some(name), 1) => name.clone(),
            (name, count) => {
                let stem = name.map_or_else(|| stem(&names), ToString::to_string);
                free_name(&if count > 1 { format!("{stem}-{}", kind(key)) } else { stem }, &taken)?
            }
        };
        taken.insert(name.to_string());
        let certificate = NewCertificate {
            name,
            names,
            issuer: issuer(wanted, config)?,
            key,
            load_balancer: wanted.load_balancer.clone(),
            listener: wanted.listener.clone(),
        };
        certificates.push((certificate, (*bundle).clone()));
    }
    Ok(Adoption { certificates, notes })
}

/// The listener, if certferry can set a certificate there.
fn usable<'a>(wanted: &Wanted<'_>, inventory: &'a Inventory) -> Result<&'a ListenerObservation, Failure> {
    let listeners = &inventory.observation.listeners;
    let Some(listener) = listeners.get(wanted.listener) else {
        let tls = listeners.iter().filter(|(_, listener)| listener.tls).map(|(name, _)| name.as_str());
        let known: Vec<&str> = tls.take(LISTENERS_IN_MESSAGE).collect();
        return Err(Failure::Usage(format!(
            "load balancer `{}` has no listener `{}`; those that terminate TLS: {}",
            wanted.load_balancer,
            wanted.listener,
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        )));
    };
    if let Some(unfit) = &listener.unfit {
        return Err(refused(wanted, unfit.what.clone(), &unfit.fix).into());
    }
    if !listener.tls {
        let hint = "name one that does, or give it a certificate by hand once";
        return Err(refused(wanted, "it does not terminate TLS".to_owned(), hint).into());
    }
    Ok(listener)
}

/// The certificates of the config that deliver there.
fn managed<'a>(wanted: &Wanted<'_>, config: &'a Config) -> Vec<(&'a CertificateName, KeyFamily)> {
    let delivers = config.desired.certificates.iter().filter(|certificate| {
        let mut places = certificate.deploy.iter();
        places.any(|place| place.load_balancer == *wanted.load_balancer && place.listener == *wanted.listener)
    });
    delivers.map(|certificate| (&certificate.name, certificate.version.key.family())).collect()
}

/// Where a list serves many sites, only what is for this one's names.
fn answers(listener: &ListenerObservation, bound: &BoundBundle) -> bool {
    listener.holds != Holds::Many
        || listener.server_names.is_empty()
        || bound.names.iter().filter_map(Identifier::dns).any(|name| {
            listener.server_names.iter().any(|server_name| name.covers(server_name) || server_name.covers(name))
        })
}

fn leaf<'a>(bundle: &BundleName, inventory: &'a Inventory, notes: &mut Vec<String>) -> Option<&'a HeldLeaf> {
    let held = inventory.certificates.iter().find(|held| held.name == *bundle);
    let why = match held.map(|held| &held.content) {
        Some(HeldContent::Leaf(leaf)) => return Some(leaf),
        Some(HeldContent::Authorities) => "it holds certificates of authorities only",
        Some(HeldContent::Other(why)) => why,
        None => "it is not there",
    };
    notes.push(format!("bundle `{bundle}` cannot be adopted: {why}"));
    None
}

/// The names of the leaf; of one without any, its common name.
fn names(
    wanted: &Wanted<'_>,
    bundle: &BundleName,
    leaf: &HeldLeaf,
    notes: &mut Vec<String>,
) -> Result<Vec<Identifier>, Failure> {
    let facts = &leaf.facts;
    let written: Vec<&String> =
        if facts.names.is_empty() { facts.common_name.iter().collect() } else { facts.names.iter().collect() };
    let (mut names, mut left_out) = (BTreeSet::new(), leaf.other_names.clone());
    for text in written {
        match text.parse::<Identifier>() {
            Ok(name) => drop(names.insert(name)),
            Err(_) => left_out.push(text.clone()),
        }
    }
    if !left_out.is_empty() {
        notes.push(format!(
            "bundle `{bundle}` is also for {}, which certferry cannot order: clients that use it would no longer find it",
            left_out.join(", ")
        ));
    }
    if names.is_empty() {
        let said = format!("bundle `{bundle}` has neither DNS name nor IP address");
        return Err(refused(wanted, said, "write the certificate into the config by hand").into());
    }
    Ok(names.into_iter().collect())
}

/// As it is now, so that no client finds a kind of key that it cannot use.
fn key(bundle: &BundleName, leaf: &HeldLeaf, listener: &ListenerObservation, notes: &mut Vec<String>) -> KeyType {
    if let Some(key) = leaf.key_type() {
        return key;
    }
    let key = match leaf.facts.key_family {
        Some(KeyFamily::Rsa) => KeyType::Rsa2048,
        Some(KeyFamily::Ecdsa) => KeyType::EcdsaP384,
        None if listener.accepts.rsa => KeyType::Rsa2048,
        None => KeyType::EcdsaP256,
    };
    notes.push(format!(
        "bundle `{bundle}` has a key of kind {}, which certferry does not make: {key} instead",
        leaf.key
    ));
    key
}

fn issuer(wanted: &Wanted<'_>, config: &Config) -> Result<Option<IssuerName>, Failure> {
    match wanted.issuer {
        Some(issuer) if config.issuers.contains_key(issuer) => Ok(Some(issuer.clone())),
        Some(issuer) => {
            let known = config.issuers.keys().map(IssuerName::as_str).collect::<Vec<_>>().join(", ");
            Err(Failure::Usage(format!("the config has no issuer `{issuer}`; it has: {known}")))
        }
        None if config.issuers.len() == 1 => Ok(config.issuers.keys().next().cloned()),
        None => Ok(None),
    }
}

/// A name of its first name.
fn stem(names: &[Identifier]) -> String {
    let plain = names.iter().find(|name| !name.is_wildcard()).or(names.first());
    let plain = plain.map(ToString::to_string).unwrap_or_default();
    let text = plain
        .replacen("*.", "wildcard.", 1)
        .replace(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-', ".");
    // Room for a kind of key and a number.
    text.trim_start_matches(['.', '-']).chars().take(LONGEST_STEM).collect()
}

fn free_name(stem: &str, taken: &BTreeSet<String>) -> Result<CertificateName, Failure> {
    let numbered = (2..).map(|number| format!("{stem}-{number}"));
    let name = std::iter::once(stem.to_owned()).chain(numbered).find(|name| !taken.contains(name));
    Ok(name.unwrap_or_default().parse::<CertificateName>()?)
}

fn kind(key: KeyType) -> &'static str {
    match key.family() {
        KeyFamily::Ecdsa => "ecdsa",
        KeyFamily::Rsa => "rsa",
    }
}

fn refused(wanted: &Wanted<'_>, said: String, hint: &str) -> Error {
    let subject = format!("listener `{}` of load balancer `{}`", wanted.listener, wanted.load_balancer);
    Error::new(ErrorKind::Invalid, "adopt", subject).said(said).with_hint(hint)
}

const LISTENERS_IN_MESSAGE: usize = 20;
const LONGEST_STEM: usize = 48;
