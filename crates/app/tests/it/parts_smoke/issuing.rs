//! The shortest way to a certificate by http-01: an answer to every request, and an order.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certferry_acme::{
    Account, AccountKey, AccountKeyType, AuthorizationStatus, CertificateChain, ChallengeType, Client, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, ResourceUrl,
};
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::parts::eventually;

/// A responder that answers whatever it is asked with the key authorization of the moment.
#[derive(Debug)]
pub(super) struct Issuing {
    port: u16,
    key_authorization: Arc<Mutex<String>>,
}

impl Issuing {
    /// Listens at `address` for as long as the test's runtime lives.
    pub(super) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap_or_else(|error| {
            panic!(
                "bind {address}: {error}; a port below 1024 needs root, or \
                 sysctl net.ipv4.ip_unprivileged_port_start=80"
            )
        });
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let key_authorization = Arc::new(Mutex::new(String::new()));
        let answer = Arc::clone(&key_authorization);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let text = answer.lock().expect("nobody panics with it").clone();
                tokio::spawn(answer_one_request(connection, text));
            }
        });
        Self { port, key_authorization }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// A certificate for `name`, with a new account. The error is what the CA said.
    pub(super) async fn issue(&self, directory: &str, root_pem: &str, name: &str) -> Result<CertificateChain, String> {
        let root = pem::parse(root_pem).expect("a root in PEM").into_contents();
        let client = Client::builder(directory)
            .user_agent("certferry-tests/1")
            .trusted_roots([CertificateDer::from(root)])
            .build()
            .map_err(words)?;
        let key = AccountKey::generate(AccountKeyType::EcdsaP256).map_err(words)?;
        let new = NewAccount { terms_of_service_agreed: true, ..NewAccount::default() };
        let account = client.new_account(key, &new).await.map_err(words)?.account;

        let new = NewOrder { identifiers: vec![Identifier::Dns(name.to_owned())], replaces: None, profile: None };
        let ordered = account.new_order(&new).await.map_err(words)?;
        let order_url = ordered.location.ok_or("the CA did not say where the new order is")?;
        for url in &ordered.value.authorizations {
            self.authorize(&account, url).await?;
        }
        let order = wait_for_order(&account, &order_url, OrderStatus::Ready).await?;
        account.finalize(&order.finalize, &signing_request(name)).await.map_err(words)?;
        let order = wait_for_order(&account, &order_url, OrderStatus::Valid).await?;
        let certificate = order.certificate.ok_or("a valid order without a certificate")?;
        Ok(account.certificate(&certificate).await.map_err(words)?.value)
    }

    async fn authorize(&self, account: &Account, url: &ResourceUrl) -> Result<(), String> {
        let authorization = account.authorization(url).await.map_err(words)?.value;
        let challenge = authorization.challenge(&ChallengeType::Http01).ok_or("http-01 is not offered")?;
        let token = challenge.token().map_err(words)?;
        *self.key_authorization.lock().expect("nobody panics with it") =
            account.key().key_authorization(token).as_str().to_owned();
        account.respond(&challenge.url).await.map_err(words)?;
        let decided = eventually(Duration::from_secs(60), async || {
            let authorization = match account.authorization(url).await {
                Ok(fetched) => fetched.value,
                Err(error) => return Some(Err(error.to_string())),
            };
            match authorization.status {
                AuthorizationStatus::Pending => None,
                AuthorizationStatus::Valid => Some(Ok(())),
                other => Some(Err(format!("the authorization is {other:?}: {:?}", authorization.error()))),
            }
        });
        decided.await.unwrap_or_else(|| Err("the CA has not decided within a minute".to_owned()))
    }
}

async fn wait_for_order(account: &Account, url: &ResourceUrl, wanted: OrderStatus) -> Result<Order, String> {
    let reached = eventually(Duration::from_secs(60), async || match account.order(url).await {
        Ok(fetched) if fetched.value.status == wanted => Some(Ok(fetched.value)),
        Ok(fetched) if fetched.value.status == OrderStatus::Invalid => Some(Err(format!("{:?}", fetched.value.error))),
        Ok(_) => None,
        Err(error) => Some(Err(error.to_string())),
    });
    reached.await.unwrap_or_else(|| Err(format!("the order did not become {wanted:?} within a minute")))
}

async fn answer_one_request(mut connection: TcpStream, text: String) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    // A CA that does not listen to the answer says so itself.
    let _ = connection.write_all(answer.as_bytes()).await;
}

fn signing_request(name: &str) -> Vec<u8> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([name.to_owned()]).expect("a good name");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serialize_request(&key).expect("a signing request").der().to_vec()
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
