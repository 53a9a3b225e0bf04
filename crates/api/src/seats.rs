//! How many connections one client may have open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::network::Network;

/// Counts connections by network. Of a network without any it remembers nothing.
#[derive(Clone)]
pub struct Seats {
    most: usize,
    most_local: usize,
    taken: Arc<Mutex<HashMap<Network, usize>>>,
}

/// One connection's place; free again when it is dropped.
pub struct Seat {
    network: Network,
    taken: Arc<Mutex<HashMap<Network, usize>>>,
}

impl Seats {
    /// `most_local` is for the machine itself, where a proxy may speak for many clients.
    pub fn new(most: usize, most_local: usize) -> Self {
        Self { most, most_local, taken: Arc::default() }
    }

    /// A place for one more connection; `None` when the client has all that it may have.
    pub fn take(&self, peer: IpAddr) -> Option<Seat> {
        let network = Network::of(peer);
        let most = if network.is_loopback() { self.most_local } else { self.most };
        let mut all = self.taken.lock().expect("no panic while the lock is held");
        let count = all.get(&network).copied().unwrap_or_default();
        if count >= most {
            return None;
        }
        all.insert(network, count + 1);
        Some(Seat { network, taken: self.taken.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.taken.lock().expect("no panic while the lock is held");
        match all.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                all.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_and_no_more() {
        let seats = Seats::new(2, 3);
        let take = |text: &str| seats.take(text.parse().expect("an address"));
        let first = take("192.0.2.1").expect("a seat");
        let second = take("::ffff:192.0.2.1").expect("a seat");
        assert!(take("192.0.2.1").is_none());
        let other = take("192.0.2.2").expect("another client's seat");
        drop(first);
        let third = take("192.0.2.1").expect("the seat that got free");
        assert!(take("192.0.2.1").is_none());
        let local: Vec<_> = (0..4).map_while(|_| take("127.0.0.1")).collect();
        assert_eq!(local.len(), 3, "the machine itself has more");
        drop((second, third, other, local));
        assert!(seats.taken.lock().unwrap().is_empty(), "nothing is remembered of who is gone");
    }
}
