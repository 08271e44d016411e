//! DDS domains for tests. Also used by the system tests of the root package.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

/// The claims of this process; they end with it, however it ends.
static CLAIMS: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());
/// A claim is a bound TCP port on loopback: the system hands it to one process at a time. RTPS uses UDP only.
const CLAIM_PORT: u16 = 17_000;
/// Above this the ports of a domain lie where the system takes its ephemeral ports from.
const LAST_DOMAIN: u16 = 100;

/// A domain that no other test has, in this process or in another one on this machine.
pub fn claim_domain() -> u16 {
    let mut claims = CLAIMS.lock().expect("no test panics while it claims");
    // Begun anywhere, so that test runs side by side seldom ask for the same one.
    let begin = u16::try_from(std::process::id() % u32::from(LAST_DOMAIN)).expect("below 100");
    for n in 0..LAST_DOMAIN {
        let domain = 1 + (begin + n) % LAST_DOMAIN;
        if let Ok(claim) = TcpListener::bind((Ipv4Addr::LOCALHOST, CLAIM_PORT + domain)) {
            claims.push(claim);
            return domain;
        }
    }
    panic!("all {LAST_DOMAIN} DDS domains for tests are taken on this machine");
}
