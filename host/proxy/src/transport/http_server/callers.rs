//! Who is connected, and who has to go when others come.
//!
//! A connection begins as a stranger: it has shown no token yet (or, where none is wanted, has sent no valid request). There are few
//! places for strangers, and a new one takes the place of the oldest that has said nothing, so that connections without a word lock
//! nobody out. A connection that has shown the token has one of many places; when these are taken, the one that has rested longest goes.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// So many connections at most, however many descriptors there are.
const MOST: u64 = 10_000;

/// So many strangers at most.
const MOST_STRANGERS: u64 = 64;

/// What a server takes: two pipes, what tells of its end, its guard, and as much again while it starts.
const FOR_SERVER: usize = 8;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    strangers: usize,
    /// Strangers from one address.
    of_address: usize,
    known: usize,
    /// What is left of the descriptors.
    others: usize,
}

impl Places {
    /// The places if so many files may be open: half of them, since servers and providers need some as well.
    pub(super) fn of(descriptors: u64) -> Self {
        let all = (descriptors / 2).clamp(4, MOST);
        let strangers = (all / 4).min(MOST_STRANGERS);
        let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let (of_address, others) = (size((strangers * 3).div_ceil(4)), size(descriptors.saturating_sub(all)));
        Self { strangers: size(strangers), of_address, known: size(all - strangers), others }
    }
}

/// All who are connected.
#[derive(Debug)]
pub(super) struct Callers {
    places: Places,
    connected: Mutex<Connected>,
    /// Counts each time that a connection comes to rest.
    rests: AtomicU64,
    told: AtomicBool,
}

/// By number, in the order in which they came.
#[derive(Debug, Default)]
struct Connected {
    last: u64,
    strangers: BTreeMap<u64, Arc<Caller>>,
    known: BTreeMap<u64, Arc<Caller>>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Caller {
    number: u64,
    /// Where it comes from; none if that is this user (a Unix socket).
    network: Option<IpAddr>,
    /// Whether it has said anything.
    spoke: AtomicBool,
    is_known: AtomicBool,
    /// Its requests that are not answered yet.
    busy: AtomicUsize,
    /// When it came to rest, as `Callers` counts.
    rested: AtomicU64,
    cut: CancellationToken,
}

impl Callers {
    pub(super) fn new(places: Places) -> Arc<Self> {
        let (connected, rests, told) = (Mutex::default(), AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { places, connected, rests, told })
    }

    /// Takes a connection from an address, if need be in the place of another one.
    pub(super) fn arrive(self: &Arc<Self>, from: Option<IpAddr>) -> Visit {
        let network = from.map(network);
        let mut connected = self.lock();
        let of_network = connected.strangers.values().filter(|other| other.network == network).count();
        if of_network >= self.places.of_address {
            self.tell();
            connected.cut_stranger(|other| other.network == network);
        } else if connected.strangers.len() >= self.places.strangers {
            self.tell();
            let crowd = connected.crowd();
            connected.cut_stranger(|other| Some(other.network) == crowd);
        }
        connected.last += 1;
        let caller = Arc::new(Caller {
            number: connected.last,
            network,
            spoke: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            rested: AtomicU64::new(0),
            cut: CancellationToken::new(),
        });
        connected.strangers.insert(caller.number, Arc::clone(&caller));
        Visit { callers: Arc::clone(self), caller }
    }

    /// Closes a connection that nobody misses, for want of descriptors.
    pub(super) fn make_room(&self) {
        let mut connected = self.lock();
        if !connected.cut_stranger(|_| true) {
            connected.cut_resting();
        }
    }

    /// Whether another server can be started, and all connections still come that there are places for.
    pub(super) fn have_room_for_server(&self) -> bool {
        let Ok(lowest) = lowest_descriptor() else { return false };
        let connected = self.lock();
        let others = lowest.saturating_sub(connected.strangers.len() + connected.known.len());
        others + FOR_SERVER <= self.places.others
    }

    /// Says that strangers take one another's places.
    fn tell(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "all {} places for connections that have shown no token are taken: the oldest are closed for new ones (said once)",
                self.places.strangers
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connected> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected {
    /// Where most strangers are from: an address, or none for a Unix socket; `None` without any.
    #[expect(clippy::option_option, reason = "a stranger on a Unix socket has no address")]
    fn crowd(&self) -> Option<Option<IpAddr>> {
        let mut counts: HashMap<Option<IpAddr>, usize> = HashMap::new();
        for stranger in self.strangers.values() {
            *counts.entry(stranger.network).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(network, _)| network)
    }

    /// Closes a stranger: one that has said nothing rather than one that has, and an older one rather than a newer.
    fn cut_stranger(&mut self, which: impl Fn(&Caller) -> bool) -> bool {
        let among = self.strangers.values().filter(|caller| which(caller));
        let least = among.min_by_key(|caller| (caller.spoke.load(Ordering::Relaxed), caller.number));
        let Some(number) = least.map(|caller| caller.number) else { return false };
        self.strangers.remove(&number).is_some_and(|caller| caller.hang_up())
    }

    /// Closes the known connection that has rested longest.
    fn cut_resting(&mut self) -> bool {
        let resting = self.known.values().filter(|caller| caller.busy.load(Ordering::Acquire) == 0);
        let longest = resting.min_by_key(|caller| caller.rested.load(Ordering::Relaxed)).map(|caller| caller.number);
        longest.and_then(|number| self.known.remove(&number)).is_some_and(|caller| caller.hang_up())
    }
}

impl Caller {
    fn hang_up(&self) -> bool {
        self.cut.cancel();
        true
    }
}

/// A connection that is there. Dropping it gives its place away.
#[derive(Debug)]
pub(super) struct Visit {
    callers: Arc<Callers>,
    caller: Arc<Caller>,
}

impl Visit {
    /// Its client has said something.
    pub(super) fn speaks(&self) {
        self.caller.spoke.store(true, Ordering::Relaxed);
    }

    /// Its client has shown the token: whether there is a place for it.
    pub(super) fn is_welcome(&self) -> bool {
        let caller = &self.caller;
        if caller.is_known.load(Ordering::Relaxed) {
            return true;
        }
        let mut connected = self.callers.lock();
        if connected.known.len() >= self.callers.places.known && !connected.cut_resting() {
            return false;
        }
        // It may have lost its place a moment ago.
        if connected.strangers.remove(&caller.number).is_none() {
            return false;
        }
        connected.known.insert(caller.number, Arc::clone(caller));
        caller.is_known.store(true, Ordering::Relaxed);
        true
    }

    /// Whether its client has shown no token yet.
    pub(super) fn is_strange(&self) -> bool {
        !self.caller.is_known.load(Ordering::Relaxed)
    }

    /// Notes a request, until what this gives is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.caller.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }

    /// Waits until the connection has to go.
    pub(super) async fn cut(&self) {
        self.caller.cut.cancelled().await;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut connected = self.callers.lock();
        if connected.strangers.remove(&self.caller.number).is_none() {
            connected.known.remove(&self.caller.number);
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Busy(Arc<Visit>);

impl Drop for Busy {
    fn drop(&mut self) {
        let Visit { callers, caller } = &*self.0;
        caller.rested.store(callers.rests.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        caller.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The lowest descriptor that is free: as many are in use below it.
fn lowest_descriptor() -> io::Result<usize> {
    let probe = File::open("/dev/null")?;
    usize::try_from(probe.as_raw_fd()).map_err(io::Error::other)
}

/// An address as one client has it: of IPv6, whole networks of 64 bits are given to one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "it is what the callers are made of")]
    fn from(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    /// Whether a connection has to go.
    fn is_cut(visit: &Visit) -> bool {
        visit.caller.cut.is_cancelled()
    }

    #[test]
    fn half_of_the_descriptors_are_for_connections_and_few_of_them_for_strangers() {
        let places = |descriptors| {
            let Places { strangers, of_address, known, others } = Places::of(descriptors);
            (strangers, of_address, known, others)
        };
        assert_eq!(places(1024), (64, 48, 448, 512));
        assert_eq!(places(65_536), (64, 48, 9936, 55_536));
        assert_eq!(places(64), (8, 6, 24, 32));
        assert_eq!(places(3), (1, 1, 3, 0));
    }

    #[test]
    fn a_new_stranger_takes_the_place_of_the_oldest_that_has_said_nothing() {
        let callers = Callers::new(Places { strangers: 4, of_address: 3, known: 2, others: 0 });
        let silent: Vec<Visit> = (0..3).map(|_| callers.arrive(from(1))).collect();
        silent[0].speaks();
        let fourth = callers.arrive(from(1));
        assert_eq!(silent.iter().map(is_cut).collect::<Vec<_>>(), [false, true, false]);
        // There is a place for another address, and then the crowd gives way.
        let other = callers.arrive(from(2));
        let third = callers.arrive(from(3));
        assert!(is_cut(&silent[2]) && !is_cut(&other) && !is_cut(&fourth));
        // A connection that has shown the token stays; one that has been cut can't show it any more.
        assert!(silent[0].is_welcome() && !silent[0].is_strange() && !silent[1].is_welcome());
        for _ in 0..100 {
            drop(callers.arrive(from(1)));
            let _ = callers.arrive(from(3)).is_strange();
        }
        assert!(!is_cut(&silent[0]) && !is_cut(&third));
    }

    #[test]
    fn the_known_one_that_has_rested_longest_makes_room() {
        let callers = Callers::new(Places { strangers: 4, of_address: 4, known: 2, others: 0 });
        let visits: Vec<Arc<Visit>> = (0..4).map(|_| Arc::new(callers.arrive(None))).collect();
        let asked = visits[0].busy();
        assert!(visits[0].is_welcome() && visits[1].is_welcome());
        drop(visits[1].busy());
        assert!(visits[2].is_welcome() && is_cut(&visits[1]), "the first one is busy");
        let asked_as_well = visits[2].busy();
        assert!(!visits[3].is_welcome(), "nobody rests");
        drop(asked);
        assert!(visits[3].is_welcome() && is_cut(&visits[0]) && !is_cut(&visits[2]));
        drop(asked_as_well);
        callers.make_room();
        assert!(is_cut(&visits[3]), "its place was taken without a word");
        drop(visits);
        assert!(callers.lock().known.is_empty() && callers.lock().strangers.is_empty());
    }

    #[test]
    fn an_address_is_what_one_client_has() {
        let address = |text: &str| network(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:2"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
    }
}
