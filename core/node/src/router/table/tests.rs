//! The table by itself.

use std::time::Instant;

use super::super::clock::Clock;
use super::*;
use crate::{PublicKey, RouterId};

fn entry(link: u64, expires: Tick) -> Entry {
    let router_id = RouterId::new(PublicKey::from_bytes([1; 32]), [0; 6]);
    let (link, doubted) = (LinkId(link), Tick::START);
    Entry { router_id, link, expires, doubted, metric: 1, seqno: 0, selected: false }
}

fn select(table: &mut RouteTable, prefix: Prefix, link: u64) {
    table.get_mut(prefix).unwrap().select(Some(LinkId(link)));
}

#[test]
fn the_longest_selected_prefix_wins() {
    let mut table = RouteTable::new();
    let (short, long) = ("400::/64".parse().unwrap(), "400::1/128".parse().unwrap());
    table.insert(short, entry(1, Tick::NEVER));
    table.insert(long, entry(2, Tick::NEVER));
    select(&mut table, short, 1);
    let found = |table: &RouteTable, address: &str| {
        table.selected_for(address.parse().unwrap()).map(|(_, entry)| entry.link)
    };
    assert_eq!(found(&table, "400::1"), Some(LinkId(1)), "nothing leads to the longer one");
    select(&mut table, long, 2);
    assert_eq!(found(&table, "400::1"), Some(LinkId(2)));
    assert_eq!(found(&table, "400::2"), Some(LinkId(1)));
    assert_eq!(found(&table, "401::2"), None);
    table.remove(long, LinkId(2));
    assert_eq!(found(&table, "400::1"), Some(LinkId(1)));
}

#[test]
fn nothing_is_left_of_a_removed_entry() {
    let start = Instant::now();
    let clock = Clock::new(start);
    for prefix in ["400::/64", "400::/72"].map(|text| text.parse().unwrap()) {
        let mut table = RouteTable::new();
        let expires = clock.after(Duration::from_secs(5), start);
        table.insert(prefix, entry(1, expires));
        table.settle(prefix, clock.tick(start));
        assert_eq!(table.next_due(), (Some(expires), Some(expires)));
        table.remove(prefix, LinkId(1));
        table.settle(prefix, clock.tick(start));
        assert!(table.subnets.is_empty() && table.longer.is_empty());
        assert!(table.lengths.is_empty() && table.by_link.is_empty());
        assert_eq!((table.count(), table.pop_due(expires), table.urgent), (0, None, None));
    }
}

#[test]
fn an_entry_moved_back_is_looked_at_once_more_and_one_moved_forward_in_time() {
    let start = Instant::now();
    let clock = Clock::new(start);
    let at = |seconds| clock.after(Duration::from_secs(seconds), start);
    let (mut table, prefix) = (RouteTable::new(), "400::/64".parse().unwrap());
    table.insert(prefix, entry(1, at(100)));
    table.settle(prefix, at(0));
    table.get_mut(prefix).unwrap().entries[0].expires = at(200);
    table.settle(prefix, at(0));
    assert_eq!(table.pop_due(at(100)), Some(prefix));
    table.settle(prefix, at(100));
    assert_eq!(table.pop_due(at(199)), None);
    table.get_mut(prefix).unwrap().entries[0].expires = at(150);
    table.settle(prefix, at(120));
    assert_eq!(table.pop_due(at(150)), Some(prefix));
}

#[test]
fn a_route_in_use_makes_no_room_until_it_is_left_alone() {
    let start = Instant::now();
    let clock = Clock::new(start);
    let mut table = RouteTable::new();
    let prefix = "400::/64".parse().unwrap();
    table.insert(prefix, entry(1, Tick::NEVER));
    assert_eq!(table.unused_after(LinkId(1), prefix, clock.tick(start)), Some(prefix));
    table.get_mut(prefix).unwrap().used = clock.tick(start);
    let at = |wait| clock.after(wait, start);
    assert_eq!(table.unused_after(LinkId(1), prefix, at(IN_USE / 2)), None);
    assert_eq!(table.unused_after(LinkId(1), prefix, at(IN_USE)), Some(prefix));
}

#[test]
fn walking_the_table_meets_every_prefix_once() {
    let mut table = RouteTable::new();
    let mut prefixes: Vec<Prefix> =
        ["401::/64", "400::/72", "402::/64", "400::1/128"].map(|text| text.parse().unwrap()).into();
    for prefix in &prefixes {
        table.insert(*prefix, entry(1, Tick::NEVER));
    }
    let mut found: Vec<Prefix> =
        std::iter::successors(table.after(None), |at| table.after(Some(*at))).collect();
    found.sort();
    prefixes.sort();
    assert_eq!(found, prefixes);
}

#[test]
fn room_for_a_distance_is_made_where_there_are_some() {
    let start = Instant::now();
    let clock = Clock::new(start);
    let mut table = RouteTable::new();
    let (bare, full) = ("400::/72".parse().unwrap(), "402::/72".parse().unwrap());
    for prefix in [bare, full] {
        table.insert(prefix, entry(1, Tick::NEVER));
    }
    table.advertised(full, &entry(1, Tick::NEVER), 7, Tick::NEVER);
    for from in ["400::/64", "401::/64", "403::/64"] {
        table.evict_distance(from.parse().unwrap(), clock.tick(start));
        assert_eq!((table.distances(), table.counted_distances()), (0, 0));
        table.advertised(full, &entry(1, Tick::NEVER), 7, Tick::NEVER);
    }
}
