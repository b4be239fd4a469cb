//! What the core does for the sake of the battery and of a network that changes.

use std::time::Instant;

use super::core::Core;
use crate::power::PowerMode;

impl Core {
    /// Brings the links in line with the power mode.
    pub(super) fn follow_power(&mut self, now: Instant) {
        self.power.note_inbound(self.peers.inbound() > 0);
        let mode = self.power.mode(now);
        if mode == self.peers.mode() {
            return;
        }
        tracing::info!(?mode, "power");
        let surplus = self.peers.set_mode(mode, |link| self.engine.link_cost(link), now);
        let reason = match mode {
            PowerMode::Suspended => "the node is suspended",
            PowerMode::Active | PowerMode::Idle => "one peer is enough for now",
        };
        for link in surplus {
            self.close_link(link, reason, now);
        }
    }

    /// Dials who waits at once, and asks the links that there are whether they still live.
    pub(super) fn network_changed(&mut self, now: Instant) {
        if self.peers.mode() == PowerMode::Suspended {
            return;
        }
        for link in self.peers.network_changed(now) {
            self.engine.probe(link, now);
        }
    }
}
