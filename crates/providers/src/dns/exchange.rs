//! One question to one name server: over UDP, and over TCP where the answer does not fit (RFC 1035 §4.2).

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Asks for the records of one type. `recursive` wants the server to look elsewhere too.
///
/// # Errors
/// A line for people: no answer, or none that can be read.
pub(super) async fn ask(server: SocketAddr, name: &Name, kind: RecordType, recursive: bool) -> Result<Message, String> {
    let mut message = Message::query();
    message.metadata.recursion_desired = recursive;
    message.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    message.set_edns(edns);
    let bytes = message.to_vec().map_err(|error| error.to_string())?;
    let mut last = String::new();
    for _ in 0..UDP_TRIES {
        match timeout(UDP_WAIT, over_udp(server, &bytes, &message)).await {
            Ok(Ok(answer)) if answer.metadata.truncation => {
                return read(&over_tcp(server, &bytes).await?, &message);
            }
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(said)) => last = said,
            Err(_) => last = format!("no answer within {} s", (UDP_WAIT * UDP_TRIES).as_secs()),
        }
    }
    Err(last)
}

/// Sends a message over TCP and gives the answer as it came.
///
/// # Errors
/// A line for people.
pub(super) async fn over_tcp(server: SocketAddr, message: &[u8]) -> Result<Vec<u8>, String> {
    let exchange = async {
        let length = u16::try_from(message.len()).map_err(|_| std::io::Error::other("the message is too long"))?;
        let mut stream = TcpStream::connect(server).await?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(message);
        stream.write_all(&framed).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match timeout(TCP_WAIT, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("over TCP: {error}")),
        Err(_) => Err(format!("no answer over TCP within {} s", TCP_WAIT.as_secs())),
    }
}

/// The answer to `question` in these bytes.
///
/// # Errors
/// It is not one.
pub(super) fn read(bytes: &[u8], question: &Message) -> Result<Message, String> {
    let answer = Message::from_vec(bytes).map_err(|error| format!("what came is no DNS message: {error}"))?;
    let answers = answer.metadata.message_type == MessageType::Response
        && answer.metadata.id == question.metadata.id
        && (answer.queries.is_empty() || answer.queries == question.queries);
    if answers { Ok(answer) } else { Err("what came is no answer to the question".to_owned()) }
}

/// What a response code says, in the words of RFC 1035 and RFC 2136.
pub(super) fn code(code: ResponseCode) -> String {
    let word = match code {
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::NotZone => "NOTZONE",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::ServFail => "SERVFAIL",
        other => return format!("response code {}", u16::from(other)),
    };
    word.to_owned()
}

async fn over_udp(server: SocketAddr, bytes: &[u8], question: &Message) -> Result<Message, String> {
    let local = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let plain = |error: std::io::Error| error.to_string();
    let socket = UdpSocket::bind(local).await.map_err(plain)?;
    // Connected: what comes from elsewhere is not received, and a port that is closed is told at once.
    socket.connect(server).await.map_err(plain)?;
    socket.send(bytes).await.map_err(plain)?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(plain)?;
        // A late answer to an earlier question, or a forged one, is no reason to give up.
        if let Ok(answer) = read(&buffer[..length], question) {
            return Ok(answer);
        }
    }
}

/// DNS flag day 2020: no larger UDP answer is asked for.
const UDP_PAYLOAD: u16 = 1232;
const UDP_WAIT: Duration = Duration::from_millis(2500);
const UDP_TRIES: u32 = 2;
const TCP_WAIT: Duration = Duration::from_secs(10);
