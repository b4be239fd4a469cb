//! Which of its links an idle node keeps.
//!
//! One peer is enough as long as it answers and leads where packets go. When it does not, the
//! others are dialled, whoever connects within a short while is kept for so long, and then the best
//! stays: one that speaks before one that does not, one that the owner chose before one that was found
//! nearby, then whoever leads to the nodes that were looked for, then to most nodes, then the
//! cheapest. A silent link is given up only for one that speaks.
//!
//! Looking around for the sake of a node that may not be there at all has growing pauses, as an
//! application may ask for it all day.

use std::time::{Duration, Instant};

use super::Peers;
use super::entry::Peer;
use crate::engine::Standing;
use crate::node::PeerKind;
use crate::power::PowerMode;
use crate::{LinkId, Prefix};

/// For the handshakes of those dialled at the same time, their first packets, and the answers to the
/// questions that each new peer is asked at once.
pub(super) const SETTLES: Duration = Duration::from_secs(3);
/// Between two looks around: doubled each time, from the first to the second.
const PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));
/// Nodes looked for at once that count.
const WANTED: usize = 16;

/// Links that compete.
#[derive(Debug)]
struct Choice {
    until: Instant,
    /// For the sake of which nodes: none where the kept link ended.
    wanted: Vec<Prefix>,
}

/// What an idle node does to have a good peer.
#[derive(Debug)]
pub(super) struct Chooser {
    choice: Option<Choice>,
    /// When it may look around again although it has a peer, and how long not after that.
    next_look: Instant,
    pause: Duration,
}

impl Chooser {
    pub(super) fn new(now: Instant) -> Self {
        Self { choice: None, next_look: now, pause: PAUSE.0 }
    }

    pub(super) fn is_open(&self) -> bool {
        self.choice.is_some()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.choice.as_ref().map(|choice| choice.until)
    }

    /// Whoever is connected by then is compared.
    pub(super) fn open(&mut self, now: Instant) {
        self.choice.get_or_insert_with(|| Choice { until: now + SETTLES, wanted: Vec::new() });
    }

    /// What was in vain before may not be now.
    pub(super) fn relax(&mut self, now: Instant) {
        (self.next_look, self.pause) = (now, PAUSE.0);
    }

    /// Whether others are tried beside a peer that is all right but for where it leads.
    pub(super) fn is_looking(&self) -> bool {
        self.choice.as_ref().is_some_and(|choice| !choice.wanted.is_empty())
    }
}

impl Peers {
    /// The links that an idle node does without, once it has compared them; none in other modes.
    pub(crate) fn surplus(
        &mut self,
        standing: impl Fn(LinkId, &[Prefix]) -> Standing,
        now: Instant,
    ) -> Vec<LinkId> {
        let choice = self.chooser.choice.take_if(|choice| choice.until <= now);
        choice.map_or_else(Vec::new, |choice| self.all_but_the_best(standing, &choice.wanted))
    }

    /// The router found that a link takes packets and brings nothing, or that it works again.
    pub(crate) fn note_silence(&mut self, link: LinkId, is_silent: bool, now: Instant) {
        let Some(peer) = self.peers.values_mut().find(|peer| peer.state.link() == Some(link))
        else {
            return;
        };
        peer.set_silent(is_silent, now);
        if self.mode != PowerMode::Idle {
            return;
        }
        if !is_silent {
            self.compare(now);
        } else if !self.has_sound() {
            self.make_due(now);
        }
    }

    /// An idle node has a link that may do: if it has others, it will do without them.
    pub(super) fn compare(&mut self, now: Instant) {
        if self.mode == PowerMode::Idle && self.outbound().count() > 1 {
            self.chooser.open(now);
        }
    }

    /// A node was looked for, and the one peer of an idle node has no answer: perhaps it is a dead
    /// end. Others are tried, unless that was done a while ago.
    pub(crate) fn look_around(&mut self, wanted: Prefix, now: Instant) {
        if self.mode != PowerMode::Idle {
            return;
        }
        if let Some(choice) = &mut self.chooser.choice {
            if choice.wanted.len() < WANTED && !choice.wanted.contains(&wanted) {
                choice.wanted.push(wanted);
            }
        } else if now >= self.chooser.next_look {
            if now >= self.chooser.next_look + PAUSE.1 {
                self.chooser.relax(now); // nothing was missed for long
            }
            self.chooser.choice = Some(Choice { until: now + SETTLES, wanted: vec![wanted] });
            self.chooser.next_look = now + self.chooser.pause;
            self.chooser.pause = (self.chooser.pause * 2).min(PAUSE.1);
            self.make_due(now);
        }
    }

    /// Of the links that we dialled, all but the one that is kept; none while none of them is sound,
    /// for any may be the first that is.
    pub(super) fn all_but_the_best(
        &mut self,
        standing: impl Fn(LinkId, &[Prefix]) -> Standing,
        wanted: &[Prefix],
    ) -> Vec<LinkId> {
        let rank = |peer: &Peer| {
            let link = peer.state.link()?;
            let Standing { wanted, routes, cost } = standing(link, wanted);
            // What a stranger claims to lead to counts for nothing beside whom the owner chose.
            let is_chance = peer.kind == PeerKind::Discovered;
            let (wanted, routes) = (usize::MAX - wanted, usize::MAX - routes);
            Some((!peer.is_sound(), is_chance, wanted, routes, cost, link))
        };
        let mut ranked: Vec<_> = self.outbound().filter_map(rank).collect();
        ranked.sort_unstable();
        match ranked.first() {
            Some((false, ..)) => ranked.into_iter().skip(1).map(|(.., link)| link).collect(),
            _ => Vec::new(),
        }
    }

    /// Peers with a link that we dialled.
    fn outbound(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().filter(|peer| peer.is_alive_outbound())
    }

    /// Whether a link that we dialled brings packets.
    pub(super) fn has_sound(&self) -> bool {
        self.peers.values().any(Peer::is_sound)
    }
}
