//! The program's own client goes through a whole order: two sides that were written apart understand each other.

use std::str::FromStr;

use certferry_acme::{
    Account, AccountKey, AccountStatus, AuthorizationStatus, CertificateId, ChallengeType, Client, Contact, ErrorKind,
    ExternalAccountBinding, Identifier, MacAlgorithm, NewAccount, NewOrder, Order, OrderStatus, ProblemType,
};
use certferry_core::Chain;
use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions, Endpoint, ExternalAccountKey};
use rcgen::{KeyPair, PublicKeyData};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::site::{Page, Site};
use crate::world::{csr, eventually};

const NAMES: [&str; 2] = ["a.some-domain.test", "b.some-domain.test"];

fn client(ca: &AcmeCa) -> Client {
    let root = CertificateDer::from_pem_slice(ca.trusted_root_pem().as_bytes()).unwrap();
    Client::builder(&ca.directory_url()).trusted_roots([root]).user_agent("certferry-lab-test/1").build().unwrap()
}

fn newcomer() -> NewAccount {
    NewAccount {
        contacts: vec![Contact::from_str("ops@some-domain.test").unwrap()],
        terms_of_service_agreed: true,
        external_account: None,
    }
}

fn new_order(replaces: Option<CertificateId>) -> NewOrder {
    let identifiers = NAMES.map(|name| Identifier::Dns(name.to_owned())).to_vec();
    NewOrder { identifiers, replaces, profile: Some("tlsserver".to_owned()) }
}

async fn prove(account: &Account, site: &Site, order: &Order) {
    for url in &order.authorizations {
        let authorization = account.authorization(url).await.unwrap().value;
        let challenge = authorization.challenge(&ChallengeType::Http01).unwrap();
        let token = challenge.token().unwrap();
        site.present(token.as_str(), Page::Body(account.key().key_authorization(token).as_str().to_owned()));
        account.respond(&challenge.url).await.unwrap();
        let status = eventually("the authorization is pending no more", async || {
            let status = account.authorization(url).await.unwrap().value.status;
            (status != AuthorizationStatus::Pending).then_some(status)
        })
        .await;
        assert_eq!(status, AuthorizationStatus::Valid);
    }
}

async fn complete(account: &Account, site: &Site, new: &NewOrder, key: &KeyPair) -> Chain {
    let made = account.new_order(new).await.unwrap();
    let (order, url) = (made.value, made.location.unwrap());
    assert_eq!((order.status, order.profile.as_deref()), (OrderStatus::Pending, Some("tlsserver")));
    prove(account, site, &order).await;
    assert_eq!(account.order(&url).await.unwrap().value.status, OrderStatus::Ready);
    account.finalize(&order.finalize, &csr(&NAMES, key)).await.unwrap();
    let certificate =
        eventually("the order is valid", async || account.order(&url).await.unwrap().value.certificate).await;
    let chain = account.certificate(&certificate).await.unwrap().value;
    assert_eq!(chain.alternates, []);
    Chain::parse(&chain.pem).unwrap()
}

#[tokio::test]
async fn a_certificate_is_ordered_renewed_and_refused_a_second_successor() {
    let ca = AcmeCa::start(AcmeCaOptions { intermediates: 2, ..AcmeCaOptions::default() }).await.unwrap();
    let site = Site::start().await;
    ca.resolve_all_to(site.http, site.https);
    ca.set_behaviour(|behaviour| behaviour.nonce_rejection = 20);
    let client = client(&ca);
    let registered = client.new_account(AccountKey::generate(Default::default()).unwrap(), &newcomer()).await.unwrap();
    assert!(registered.is_new && registered.state.status == AccountStatus::Valid, "{registered:?}");
    let account = registered.account;

    let key = KeyPair::generate().unwrap();
    let first = complete(&account, &site, &new_order(None), &key).await;
    let names: Vec<_> = NAMES.iter().map(|name| name.parse().unwrap()).collect();
    first.check_ordered(&key.subject_public_key_info(), &names).unwrap();
    assert_eq!(first.certificates().len(), 3);

    let id = CertificateId::from_der(first.leaf_der()).unwrap();
    let info = client.renewal_info(&id).await.unwrap();
    assert!(first.leaf().not_before < info.value.start && info.value.end < first.leaf().not_after, "{info:?}");
    let second = complete(&account, &site, &new_order(Some(id.clone())), &KeyPair::generate().unwrap()).await;
    assert_ne!(second.leaf().serial, first.leaf().serial);
    let error = account.new_order(&new_order(Some(id))).await.unwrap_err();
    assert_eq!(error.problem_type(), Some(&ProblemType::AlreadyReplaced), "{error}");

    let [one, two] = &ca.orders()[..] else { panic!("two orders") };
    assert_eq!((one.finalized, two.finalized), (1, 1));
    assert_eq!(two.serial.as_deref(), Some(second.leaf().serial.as_str()));
}

#[tokio::test]
async fn an_account_is_found_bound_and_lost() {
    let ca = AcmeCa::start(AcmeCaOptions::default()).await.unwrap();
    let client = client(&ca);
    let key = AccountKey::generate(Default::default()).unwrap();
    assert!(client.find_account(key.clone()).await.unwrap().is_none());
    let eab = ExternalAccountKey { kid: "kid-1".to_owned(), hmac_key: b"secret".to_vec() };
    ca.set_behaviour(|behaviour| behaviour.external_account_keys = vec![eab]);
    let error = client.new_account(key.clone(), &newcomer()).await.unwrap_err();
    assert_eq!(error.problem_type(), Some(&ProblemType::ExternalAccountRequired), "{error}");

    let binding = ExternalAccountBinding::new("kid-1", "c2VjcmV0", MacAlgorithm::Hs256).unwrap();
    let new = NewAccount { external_account: Some(binding), ..newcomer() };
    let account = client.new_account(key.clone(), &new).await.unwrap().account;
    let found = client.find_account(key).await.unwrap().unwrap();
    assert_eq!((found.account.url(), found.is_new), (account.url(), false));
    let state = account.update_contact(&[]).await.unwrap().value;
    assert_eq!(state.contact, Vec::<String>::new());

    ca.forget_accounts();
    let error = account.fetch().await.unwrap_err();
    assert_eq!(error.problem_type(), Some(&ProblemType::AccountDoesNotExist), "{error}");
    assert!(error.is_account_refused(), "{error:?} of kind {:?}", error.kind() as &ErrorKind);
    assert_eq!(ca.count(Endpoint::Directory), 1, "one directory for all of it");
}
