//! Handshakes all the time: a single one that fails, or that returns a pair that does not fit, fails the test.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use certferry_core::KeyFamily;
use certferry_core::observed::ServedChain;
use certferry_core::port::Probe;
use certferry_providers::probe::NetworkProbe;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::stage::SERVER_NAME;

/// Where to look, and with which keys; any, if none are given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) address: SocketAddr,
    pub(crate) family: Option<KeyFamily>,
}

pub(crate) struct Watch {
    stop: oneshot::Sender<()>,
    /// One task, which ends with the watch.
    watching: JoinSet<Vec<Vec<ServedChain>>>,
}

impl Watch {
    /// `pause` is between two rounds: the handshakes share the processors with what they watch.
    pub(crate) fn begin(looks: Vec<Look>, pause: Duration) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let mut watching = JoinSet::new();
        watching.spawn(async move {
            let mut seen: Vec<Vec<ServedChain>> = vec![Vec::new(); looks.len()];
            let mut last = false;
            loop {
                for (look, chains) in looks.iter().zip(&mut seen) {
                    let served = served_now(*look).await;
                    if chains.last() != Some(&served) {
                        chains.push(served);
                    }
                }
                if last {
                    return seen;
                }
                // The last look comes after the wish to stop, so that nothing that was done before is missed.
                last = tokio::time::timeout(pause, &mut stopped).await.is_ok();
            }
        });
        Self { stop, watching }
    }

    /// Everywhere nothing but the old chain was seen, then the one with this serial, whole.
    pub(crate) async fn assert_ended_with(mut self, serial: &str, context: &str) {
        let _ = self.stop.send(());
        for served in self.watching.join_next().await.unwrap().unwrap() {
            assert!(served.len() <= 2, "{context}: served were {served:?}, only the old and the new one may be");
            let last = served.last().map(|chain| (chain.leaf.serial.as_str(), chain.digests.len()));
            assert_eq!(last, Some((serial, 2)), "{context}");
        }
    }
}

/// One handshake.
pub(crate) async fn served_now(look: Look) -> ServedChain {
    let served = PROBE.tls(look.address, &SERVER_NAME.parse().unwrap(), look.family).await;
    served.unwrap_or_else(|error| panic!("a handshake at {look:?} failed: {error}"))
}

/// One for all: it takes a while to make.
static PROBE: LazyLock<NetworkProbe> = LazyLock::new(NetworkProbe::new);
