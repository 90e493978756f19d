//! dns-01 validation by a real question (RFC 8555 §8.4), with aliases followed as far as the answer itself has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use http::StatusCode;
use tokio::net::UdpSocket;

use super::jws::encode;
use super::problem::Problem;

/// Asks the server for the TXT records of a name: one of them must be the digest of the key authorization. The types of
/// problems are Boulder's: `dns` where nothing can be said about the name, `unauthorized` where it has other values or none.
pub(super) async fn check(server: SocketAddr, name: &str, key_authorization: &str) -> Result<(), Problem> {
    let record = format!("_acme-challenge.{name}");
    let answer = tokio::time::timeout(ANSWER_WITHIN, ask(server, &record)).await;
    let answer = answer
        .map_err(|_| dns(format!("TXT {record}: no answer in time")))?
        .map_err(|error| dns(format!("TXT {record}: {error}")))?;
    match answer.metadata.response_code {
        ResponseCode::NoError => {}
        code => return Err(dns(format!("TXT {record}: response code {code}"))),
    }
    let values = texts(&answer, &record);
    let expected = encode(digest(&SHA256, key_authorization.as_bytes()).as_ref());
    if values.contains(&expected) {
        return Ok(());
    }
    let seen = if values.is_empty() { "no TXT record".to_owned() } else { format!("TXT {values:?}") };
    let detail = format!("{seen} at {record}, and not the digest of the key authorization");
    Err(Problem::new(StatusCode::FORBIDDEN, "unauthorized", detail))
}

async fn ask(server: SocketAddr, record: &str) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(format!("{record}."))?, RecordType::TXT));
    let mut edns = Edns::new();
    edns.set_max_payload(u16::MAX);
    question.set_edns(edns);
    let unspecified: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((unspecified, 0)).await?;
    // Connected: what comes from elsewhere is not received, and a port that is closed is told at once.
    socket.connect(server).await?;
    socket.send(&question.to_vec()?).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = Message::from_vec(&buffer[..length])?;
        if answer.metadata.message_type == MessageType::Response && answer.metadata.id == question.metadata.id {
            return Ok(answer);
        }
    }
}

/// The values of a name, or of the name that it is an alias of; a value in several strings is one, joined.
fn texts(answer: &Message, record: &str) -> Vec<String> {
    let plain = |name: &Name| name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let mut owner = record.to_ascii_lowercase();
    for _ in 0..MOST_ALIASES {
        let alias = answer.answers.iter().find_map(|one| match &one.data {
            RData::CNAME(target) if plain(&one.name) == owner => Some(plain(&target.0)),
            _ => None,
        });
        match alias {
            Some(target) => owner = target,
            None => break,
        }
    }
    let of_owner = answer.answers.iter().filter(|one| plain(&one.name) == owner);
    let values = of_owner.filter_map(|one| match &one.data {
        RData::TXT(text) => Some(text.txt_data.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>()),
        _ => None,
    });
    values.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

fn dns(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "dns", detail)
}

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A chain that is longer is one that leads round.
const MOST_ALIASES: usize = 16;
