//! A DNS server on loopback that says what a test wants, so that no test asks the machine's own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, OnceLock};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CAA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// A server that lives as long as the test process.
#[derive(Clone)]
pub(crate) struct Dns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Default)]
struct Zone {
    /// By name without the last dot.
    records: BTreeMap<String, Vec<RData>>,
    failing: Vec<(String, RecordType)>,
    /// The A record of every name without records of its own.
    otherwise: Option<Ipv4Addr>,
}

impl Dns {
    /// Knows no name.
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self { address: socket.local_addr().unwrap(), zone: Arc::default() };
        let zone = Arc::clone(&server.zone);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
                let answer = zone.lock().unwrap().answer(&query);
                let _ = socket.send_to(&answer.to_vec().unwrap(), client);
            }
        });
        server
    }

    /// As `CERTFERRY_RESOLVER` wants it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on these are the addresses of `name`.
    pub(crate) fn point(&self, name: &str, addresses: &[&str]) {
        let data = addresses.iter().map(|address| match address.parse().unwrap() {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        });
        let data: Vec<RData> = data.collect();
        let mut zone = self.zone.lock().unwrap();
        let records = zone.records.entry(name.to_owned()).or_default();
        records.retain(|record| matches!(record, RData::CAA(_)));
        records.extend(data);
    }

    /// From now on these are the CAA records of `name`, written as `issue letsencrypt.org`; `!` before the tag is the critical
    /// flag.
    pub(crate) fn allow(&self, name: &str, records: &[&str]) {
        let data = records.iter().map(|text| {
            let (tag, value) = text.split_once(' ').unwrap();
            let mut record = CAA::new_issue(tag.starts_with('!'), None, Vec::new());
            record.tag = tag.trim_start_matches('!').to_owned();
            record.value = value.as_bytes().to_vec();
            RData::CAA(record)
        });
        let data: Vec<RData> = data.collect();
        let mut zone = self.zone.lock().unwrap();
        let all = zone.records.entry(name.to_owned()).or_default();
        all.retain(|record| !matches!(record, RData::CAA(_)));
        all.extend(data);
    }

    /// From now on SERVFAIL is the answer to such questions.
    pub(crate) fn fail(&self, name: &str, kind: RecordType) {
        self.zone.lock().unwrap().failing.push((name.to_owned(), kind));
    }
}

/// The address of a server at which every name is at `address`.
pub(crate) fn answering(address: Ipv4Addr) -> SocketAddr {
    static SERVERS: OnceLock<Mutex<BTreeMap<Ipv4Addr, Dns>>> = OnceLock::new();

    let mut servers = SERVERS.get_or_init(Mutex::default).lock().unwrap();
    let server = servers.entry(address).or_insert_with(|| {
        let server = Dns::start();
        server.zone.lock().unwrap().otherwise = Some(address);
        server
    });
    server.address()
}

impl Zone {
    fn answer(&self, query: &Message) -> Message {
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata.recursion_desired = query.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.add_queries(query.queries.iter().cloned());
        let Some(question) = query.queries.first() else { return answer };
        let name = question.name().to_ascii().to_ascii_lowercase();
        let name = name.trim_end_matches('.').to_owned();
        let kind = question.query_type();
        if self.failing.contains(&(name.clone(), kind)) {
            answer.metadata.response_code = ResponseCode::ServFail;
            return answer;
        }
        let known = self.records.get(&name);
        let data: Vec<RData> = match (known, self.otherwise) {
            (Some(records), _) => records.iter().filter(|data| data.record_type() == kind).cloned().collect(),
            (None, Some(address)) if kind == RecordType::A => vec![RData::A(A(address))],
            (None, _) => Vec::new(),
        };
        if known.is_none() && self.otherwise.is_none() {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        let owner = Name::from_ascii(format!("{name}.")).unwrap();
        answer.add_answers(data.into_iter().map(|data| Record::from_rdata(owner.clone(), 60, data)));
        answer
    }
}
