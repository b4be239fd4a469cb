//! What a router knows, for whoever asks: nothing here changes anything.

use std::net::Ipv6Addr;

use super::destination::Entry;
use super::neighbour::Neighbour;
use super::{QueryInfo, RouteInfo, RouteLookup, Router, RouterCounters};
use crate::{LinkId, Prefix, PublicKey, RouterId};

impl Router {
    /// The way to an address: the longest prefix with a selected route.
    pub fn route(&self, destination: Ipv6Addr) -> RouteLookup {
        if let Some((prefix, entry)) = self.table.selected_for(destination) {
            let key = entry.router_id.public_key();
            return RouteLookup::Selected { link: entry.link, key, prefix };
        }
        self.key_of(destination).map_or(RouteLookup::Unknown, |key| RouteLookup::Unselected { key })
    }

    /// The key behind an address, whether a route is selected or not.
    pub fn key_of(&self, source: Ipv6Addr) -> Option<PublicKey> {
        let (_, set) = self.table.covering(source).next()?;
        set.first().map(|entry| entry.router_id.public_key())
    }

    /// All route entries.
    pub fn routes(&self) -> impl Iterator<Item = RouteInfo> + '_ {
        self.table.iter().map(|(prefix, entry)| self.info(prefix, entry))
    }

    /// The route that packets to this address take.
    pub fn selected(&self, destination: Ipv6Addr) -> Option<RouteInfo> {
        let (prefix, entry) = self.table.selected_for(destination)?;
        Some(self.info(prefix, entry))
    }

    /// The lookups that still wait for an answer.
    pub fn queries(&self) -> impl Iterator<Item = QueryInfo> + '_ {
        self.lookups.awaited()
    }

    /// What was refused and noticed so far.
    pub fn counters(&self) -> RouterCounters {
        self.counters
    }

    /// How often a next hop or its source changed, of whatever prefix: as long as this number stays
    /// the same, packets take the same ways.
    pub fn selections(&self) -> u64 {
        self.selections
    }

    fn info(&self, prefix: Prefix, entry: &Entry) -> RouteInfo {
        RouteInfo {
            prefix,
            key: entry.router_id.public_key(),
            router_id: entry.router_id,
            link: entry.link,
            metric: entry.metric,
            seqno: entry.seqno,
            selected: entry.selected,
            expires: self.clock.instant(entry.expires),
        }
    }

    /// Cost of a link: smoothed round trip in ms plus its static cost.
    pub fn link_cost(&self, link: LinkId) -> Option<u16> {
        self.neighbours.get(&link).map(Neighbour::cost)
    }

    /// How many nodes packets reach over this link, and how many of `wanted` are among them.
    pub(crate) fn reach(&self, link: LinkId, wanted: &[Prefix]) -> (usize, usize) {
        let is_selected =
            |prefix: &Prefix| self.table.selected(*prefix).is_some_and(|entry| entry.link == link);
        let all = self.table.prefixes_of(link);
        let wanted = wanted.iter().filter(|prefix| is_selected(prefix)).count();
        (all.iter().filter(|prefix| is_selected(prefix)).count(), wanted)
    }

    /// Own sequence number.
    pub fn seqno(&self) -> u16 {
        self.seqno
    }

    /// Own router id: another one after somebody forged a sequence number for it that is out of
    /// reach.
    pub fn router_id(&self) -> RouterId {
        self.config.router_id
    }
}
