//! Who is connected. A client that idles makes room for one that comes, so that no crowd of silent connections keeps
//! others out.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::answer::Reason;
use crate::limits::Limits;

/// So many connections may be ending beyond the limit while others come in their place.
const GOING: usize = 64;

/// All connections of clients, within [`Limits`].
pub(crate) struct Places {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    clients: HashMap<IpAddr, Client>,
    /// Whose connection idles, by the moment since when.
    idle: BTreeMap<u64, IpAddr>,
    next: u64,
}

#[derive(Default)]
struct Client {
    taken: usize,
    requests: usize,
    idle: BTreeMap<u64, Arc<Notify>>,
}

/// The place of one connection; free again when it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    client: IpAddr,
    wanted: Arc<Notify>,
    use_: Mutex<Use>,
}

/// What a connection does.
#[derive(Default)]
struct Use {
    requests: usize,
    /// Since when it idles; `None` when it works, or was asked to make room.
    idle_since: Option<u64>,
}

/// A request on a connection, which is not idle meanwhile.
pub(crate) struct Busy(Arc<Place>);

impl Places {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default() })
    }

    /// A place for a new connection, which idles at first; or why there is none.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Arc<Place>, Reason> {
        let client = network(address);
        let place = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.make_room(client, &self.limits)?;
            state.taken += 1;
            state.clients.entry(client).or_default().taken += 1;
            let (places, wanted) = (self.clone(), Arc::default());
            Arc::new(Place { places, client, wanted, use_: Mutex::default() })
        };
        place.begin();
        Ok(place)
    }
}

impl State {
    /// Asks an idle connection to end when there are too many. It counts until it is gone, but only when many of them
    /// are still going a newcomer is refused.
    fn make_room(&mut self, client: IpAddr, limits: &Limits) -> Result<(), Reason> {
        let own = self.clients.get(&client);
        let over_own = own.and_then(|own| own.taken.checked_sub(limits.of(client)));
        if let Some(over) = over_own {
            let oldest = own.and_then(|own| own.idle.keys().next().copied());
            let oldest = oldest.filter(|_| over < GOING).ok_or(Reason::TooMany)?;
            self.ask_to_end(oldest);
        } else if let Some(over) = self.taken.checked_sub(limits.in_all_for(client)) {
            let oldest = self.idle.keys().next().copied();
            let oldest = oldest.filter(|_| over < GOING).ok_or(Reason::Busy)?;
            self.ask_to_end(oldest);
        }
        Ok(())
    }

    fn ask_to_end(&mut self, since: u64) {
        if let Some(wanted) = self.no_longer_idle(since) {
            wanted.notify_one();
        }
    }

    fn no_longer_idle(&mut self, since: u64) -> Option<Arc<Notify>> {
        let client = self.idle.remove(&since)?;
        self.clients.get_mut(&client)?.idle.remove(&since)
    }
}

impl Place {
    /// Returns when the connection should make room for another one, at once if it idles.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Whether no request is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.use_.lock().unwrap_or_else(PoisonError::into_inner).requests == 0
    }

    /// To be kept as long as a request, its answer or its tunnel is under way. A client has as many of them at a time
    /// as connections: those that share a connection take as much memory.
    pub(crate) fn busy(self: &Arc<Self>) -> Result<Busy, Reason> {
        let mut use_ = self.use_.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.places.state.lock().unwrap_or_else(PoisonError::into_inner);
        let client = state.clients.entry(self.client).or_default();
        if client.requests >= self.places.limits.of(self.client) {
            return Err(Reason::TooMany);
        }
        client.requests += 1;
        use_.requests += 1;
        if let Some(since) = use_.idle_since.take() {
            state.no_longer_idle(since);
        }
        drop(state);
        drop(use_);
        Ok(Busy(self.clone()))
    }

    fn begin(&self) {
        let mut use_ = self.use_.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.places.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_idle(&mut use_, &mut state);
    }

    fn make_idle(&self, use_: &mut Use, state: &mut State) {
        let since = state.next;
        state.next += 1;
        state.idle.insert(since, self.client);
        state.clients.entry(self.client).or_default().idle.insert(since, self.wanted.clone());
        use_.idle_since = Some(since);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut use_ = self.0.use_.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.0.places.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = state.clients.get_mut(&self.0.client) {
            client.requests -= 1;
        }
        use_.requests -= 1;
        if use_.requests == 0 {
            self.0.make_idle(&mut use_, &mut state);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = self.use_.get_mut().unwrap_or_else(PoisonError::into_inner).idle_since;
        if let Some(since) = since {
            state.no_longer_idle(since);
        }
        state.taken -= 1;
        if let Some(client) = state.clients.get_mut(&self.client) {
            client.taken -= 1;
            if client.taken == 0 {
                state.clients.remove(&self.client);
            }
        }
    }
}

/// Whom an address stands for: an IPv6 network of 64 bits is one customer of a provider, who can use all of it. The
/// loopback address is nobody's network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) if ip.is_loopback() => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "192.0.2.1";
    const OTHER: &str = "192.0.2.2";

    fn places(connections: usize, per_address: usize) -> Arc<Places> {
        Places::new(Limits { connections, per_address, to_backends: 1 })
    }

    fn enter(places: &Arc<Places>, address: &str) -> Result<Arc<Place>, Reason> {
        places.enter(address.parse().unwrap())
    }

    fn is_wanted(place: &Place) -> bool {
        let wanted = std::pin::pin!(place.wanted());
        wanted.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_is_gone() {
        let places = places(4, 2);
        for _ in 0..100 {
            let place = enter(&places, ONE).unwrap_or_else(|_| panic!());
            let busy = place.busy().unwrap_or_else(|_| panic!());
            drop((place, busy));
        }
        let state = places.state.lock().unwrap();
        assert!(state.taken == 0 && state.clients.is_empty() && state.idle.is_empty());
    }

    #[test]
    fn a_client_with_too_many_loses_its_own_oldest_idle_one() {
        let places = places(100, 2);
        let other = enter(&places, OTHER).unwrap_or_else(|_| panic!());
        let [first, second] = [(); 2].map(|()| enter(&places, ONE).unwrap_or_else(|_| panic!()));
        let _works = first.busy();
        let third = enter(&places, ONE).unwrap_or_else(|_| panic!());
        assert!(is_wanted(&second) && !is_wanted(&first) && !is_wanted(&other));
        drop(second);
        let _works_too = third.busy();
        assert_eq!(enter(&places, ONE).err(), Some(Reason::TooMany));
        assert!(enter(&places, OTHER).is_ok());
    }

    #[test]
    fn when_all_places_are_taken_the_oldest_idle_connection_makes_room() {
        let places = places(4, 2);
        let [one, two] = [(); 2].map(|()| enter(&places, ONE).unwrap_or_else(|_| panic!()));
        let [three, four] = [(); 2].map(|()| enter(&places, OTHER).unwrap_or_else(|_| panic!()));
        drop(one.busy());
        let five = enter(&places, "2001:db8::1").unwrap_or_else(|_| panic!());
        assert!(is_wanted(&two) && !is_wanted(&one) && !is_wanted(&three));
        drop(two);
        let _all_work = [&one, &three, &four, &five].map(|place| place.busy());
        assert_eq!(enter(&places, "2001:db8:1::1").err(), Some(Reason::Busy));
    }

    #[test]
    fn requests_that_share_a_connection_count_like_connections() {
        let places = places(100, 3);
        let [first, second] = [(); 2].map(|()| enter(&places, ONE).unwrap_or_else(|_| panic!()));
        let busy = [first.busy(), first.busy(), second.busy()];
        assert!(busy.iter().all(Result::is_ok));
        assert_eq!(second.busy().err(), Some(Reason::TooMany));
        assert!(enter(&places, OTHER).is_ok_and(|other| other.busy().is_ok()));
        drop(busy);
        assert!(second.busy().is_ok());
    }

    #[test]
    fn those_that_are_asked_to_end_and_do_not_are_not_replaced_for_ever() {
        let places = places(4, 2);
        let mut all = Vec::new();
        let refused = loop {
            match enter(&places, ONE) {
                Ok(place) => all.push(place),
                Err(reason) => break reason,
            }
            assert!(all.len() < 1000);
        };
        assert_eq!((refused, all.len()), (Reason::TooMany, 2 + GOING));
    }

    #[test]
    fn a_proxy_on_this_host_has_half_of_all_whichever_way_it_comes() {
        for address in ["::1", "127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "fe80::1"] {
            let places = places(20, 1);
            let all: Vec<_> = (0..10).map(|_| enter(&places, address).unwrap_or_else(|_| panic!())).collect();
            let busy: Vec<_> = all.iter().map(|place| place.busy().is_ok()).collect();
            assert_eq!(busy, [true; 10], "{address}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let network = |address: &str| network(address.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
