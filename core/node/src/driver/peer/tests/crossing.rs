//! Two nodes that have each other as static QUIC peers and dial in the same moment: in whatever
//! order each hears what, both end with the same one link.

use rand_core::Rng;

use super::*;
use crate::driver::peer::entry::CROSSING;

const ANN: usize = 0;
const BEN: usize = 1;

/// What is still to happen; `connection` is the number of the node that dialled it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Dialled { connection: usize },
    Accepted { connection: usize },
    Closed { at: usize, connection: usize },
}

struct Pair {
    tables: [Peers; 2],
    ties: [Tie; 2],
    /// At which of the two ends each connection is open.
    open: [[bool; 2]; 2],
    events: Vec<Event>,
    now: Instant,
}

fn endpoint_of(node: usize) -> Endpoint {
    endpoint(&format!("quic://192.0.2.{}:9651", node + 1))
}

impl Pair {
    fn new(random: &mut ChaCha8Rng) -> Self {
        let now = Instant::now();
        let mut tables = [[1; 32], [2; 32]].map(|seed| Peers::new(seed, CROSSING, LINKS, now));
        for (node, table) in tables.iter_mut().enumerate() {
            table.add(endpoint_of(1 - node).into(), now).unwrap();
            assert_eq!(table.take_due(now).len(), 1);
        }
        let ties = [ANN, BEN].map(|_| [random.next_u32() as u8; 16]);
        let events = vec![Event::Dialled { connection: ANN }, Event::Dialled { connection: BEN }];
        Self { tables, ties, open: [[false; 2]; 2], events, now }
    }

    fn link(connection: usize) -> LinkId {
        LinkId(connection as u64)
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Dialled { connection } => {
                // The other side learns of a connection only after the one that dialled it.
                self.events.push(Event::Accepted { connection });
                let (peer, tie) = (endpoint_of(1 - connection).into(), self.ties[connection]);
                let table = &mut self.tables[connection];
                let accepted = table.dialled(&peer, Self::link(connection), Some(tie), now);
                self.settle(connection, connection, accepted);
            }
            Event::Accepted { connection } => {
                let at = 1 - connection;
                let (peer, tie) = (endpoint_of(connection), self.ties[connection]);
                let table = &mut self.tables[at];
                let accepted = table.accept(peer, Self::link(connection), Some(tie), now).ok();
                self.settle(at, connection, accepted);
            }
            Event::Closed { at, connection } => {
                // What is not accepted yet is accepted and found closed, or not accepted at all.
                self.events
                    .retain(|event| *event != Event::Accepted { connection } || at == connection);
                if std::mem::take(&mut self.open[connection][at]) {
                    let peer = endpoint_of(1 - at).into();
                    self.tables[at].link_down(&peer, Self::link(connection), now);
                }
            }
        }
    }

    fn settle(&mut self, at: usize, connection: usize, accepted: Option<Accepted>) {
        let Some(accepted) = accepted else {
            self.events.push(Event::Closed { at: 1 - at, connection });
            return;
        };
        self.open[connection][at] = true;
        if let Some(LinkId(old)) = accepted.replaced {
            let old = old as usize;
            self.open[old][at] = false;
            self.events.push(Event::Closed { at: 1 - at, connection: old });
        }
    }

    fn kept(&self, at: usize) -> Option<LinkId> {
        self.tables[at].peers[&endpoint_of(1 - at).into()].state.link()
    }
}

#[test]
fn of_two_that_dial_each_other_at_the_same_time_both_keep_the_same_link() {
    for seed in 0..200 {
        let mut random = ChaCha8Rng::from_seed([seed; 32]);
        let mut pair = Pair::new(&mut random);
        if pair.ties[ANN] == pair.ties[BEN] {
            continue; // once in 2^128
        }
        while !pair.events.is_empty() {
            let next = random.next_u32() as usize % pair.events.len();
            let event = pair.events.swap_remove(next);
            pair.happen(event);
        }
        let kept = pair.kept(ANN);
        assert!(kept.is_some() && kept == pair.kept(BEN), "seed {seed}: {kept:?}");
        let Some(LinkId(kept)) = kept else { continue };
        assert_eq!(pair.open[kept as usize], [true; 2], "seed {seed}");
        assert_eq!(pair.open[1 - kept as usize], [false; 2], "seed {seed}");
    }
}

#[test]
fn a_peer_that_was_restarted_takes_over_from_its_old_link_whatever_its_tie() {
    let (mut peers, now) = table();
    let ben = endpoint_of(BEN);
    peers.add(ben.into(), now).unwrap();
    peers.take_due(now);
    peers.dialled(&ben.into(), LinkId(1), Some([1; 16]), now).unwrap();
    let crossed = peers.accept(ben, LinkId(2), Some([2; 16]), now).unwrap_err();
    assert_eq!(crossed, Refused::Crossed);
    let accepted = peers.accept(ben, LinkId(3), Some([2; 16]), now + CROSSING).unwrap();
    assert_eq!(accepted.replaced, Some(LinkId(1)));
    let again = peers.accept(ben, LinkId(4), Some([3; 16]), now + CROSSING).unwrap();
    assert_eq!(again.replaced, Some(LinkId(3)), "two that it dialled do not cross");
}
