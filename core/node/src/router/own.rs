//! What this node says of itself: its prefix, its number, and what it does about those who speak in
//! its name.
//!
//! A forged Update with the router id of this node and a number that it never had keeps its real
//! ones from being taken, for half an hour after the last who believed it. A number a little ahead is
//! simply overtaken. Overtaking one far ahead would help whoever believed it and harm whoever did
//! not, to whom the number would look old; so then the node begins another life, as after a restart:
//! a new router id, of which nobody has heard anything.

use std::time::{Duration, Instant};

use rand_core::Rng;

use super::metric::INFINITE;
use super::seqno::is_newer;
use super::{Router, RouterOutput};
use crate::wire::control::{SeqnoRequest, Update};
use crate::{LinkId, RouterId};

/// Between two increments of the own sequence number.
const BUMP_INTERVAL: Duration = Duration::from_secs(4);
/// How far this node follows somebody who forges its number. Done at each increment for the 1,800 s
/// in which others remember a number, this stays below half of the circle.
const NEAR: u16 = 64;
/// Between two lives. Others take a new router id in every thirty seconds.
const LIFE: Duration = Duration::from_secs(60);

impl Router {
    /// An Update for this node's own prefix.
    pub(super) fn answer_impostor(&mut self, update: &Update, now: Instant) {
        if update.metric == INFINITE {
            return; // a neighbour that lost its way here
        }
        let own_id = self.config.router_id;
        let is_ahead = update.router_id == own_id && is_newer(update.seqno, self.seqno);
        let is_foreign = update.router_id.public_key() != own_id.public_key();
        self.counters.own_forged += u64::from(is_ahead || is_foreign);
        if !is_ahead {
            return;
        }
        if self.is_out_of_reach(update.seqno) {
            self.begin_life(now);
        } else if !self.bump_wanted {
            self.seqno = update.seqno;
            self.bump_wanted = true;
            self.bump_if_due(now);
        }
    }

    /// Only a node itself announces its own life at no distance: a peer adds what its link costs, and
    /// another node with the same key has another router id.
    pub(super) fn recognise_itself(&mut self, link: LinkId, update: &Update) {
        if update.metric != 0 || update.router_id != self.config.router_id {
            return;
        }
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return };
        if !std::mem::replace(&mut neighbour.is_this_node, true) {
            self.output(RouterOutput::LinkToItself { link });
        }
    }

    /// A request for the own prefix. One for an earlier life of this node, or for a number it has
    /// reached already, is answered as well: the requester has missed something.
    pub(super) fn answer_own_seqno(&mut self, from: LinkId, request: SeqnoRequest, now: Instant) {
        let wants_newer =
            request.router_id == self.config.router_id && is_newer(request.seqno, self.seqno);
        if !wants_newer {
            self.queue_static(from);
        } else if self.is_out_of_reach(request.seqno) {
            // Whoever asks for this believed somebody else.
            self.begin_life(now);
        } else {
            self.bump_wanted = true;
            self.bump_if_due(now);
        }
    }

    /// Increments the own sequence number and announces it, at most every 4 s. A request that comes
    /// too early is answered when the time has passed, rather than leaving the requester starving.
    pub(super) fn bump_if_due(&mut self, now: Instant) {
        if self.bump_wanted && self.next_bump() <= now {
            self.bump_wanted = false;
            self.bumped = now;
            self.seqno = self.seqno.wrapping_add(1);
            for link in self.links() {
                self.send_static(link);
            }
        }
    }

    pub(super) fn next_bump(&self) -> Instant {
        self.bumped + BUMP_INTERVAL
    }

    fn is_out_of_reach(&self, seqno: u16) -> bool {
        seqno.wrapping_sub(self.seqno) > NEAR
    }

    /// A new router id. Whoever forges on is answered again a minute later.
    fn begin_life(&mut self, now: Instant) {
        if self.born.is_some_and(|born| now < born + LIFE) {
            return;
        }
        let mut random = [0; 6];
        self.random.fill_bytes(&mut random);
        self.config.router_id = RouterId::new(self.config.router_id.public_key(), random);
        self.born = Some(now);
        self.seqno = 0;
        self.bumped = now;
        self.bump_wanted = false;
        self.counters.lives += 1;
        self.announce_own(now);
    }
}
