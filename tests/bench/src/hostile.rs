//! What a hostile peer costs others: how long messages of a well-behaved peer take while another one
//! floods the node, by what they take without, and the memory the node gives to it.
//!
//! The attacker is a process of its own, this program started with `--flood`; it writes as fast as
//! the node reads. Quiet times before and after each attack are what it is compared with.

pub(crate) mod attack;

use std::net::Ipv6Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use threephone_node::Node;

use self::attack::Attack;
use crate::Error;
use crate::bus::{self, SHORT};
use crate::figure::{hostile_latency, hostile_memory};
use crate::report::{Report, median};
use crate::routes::allocated;

/// Messages before, during and after an attack.
const MESSAGES: usize = 150;
/// An attack is at its height by then: tables are full, and buffers.
const RISE: Duration = Duration::from_millis(1500);
/// What an attack leaves behind in queues is over by then.
const FALL: Duration = Duration::from_millis(300);

/// One run of every attack, each on new nodes.
pub(crate) async fn measure(report: &mut Report) -> Result<(), Error> {
    for attack in Attack::ALL {
        let ann = bus::node(&[]).await?;
        let ben = bus::node(ann.listening()).await?;
        latency(&ben, &ann).await?;
        let before = allocated();
        let mut quiet = latency(&ben, &ann).await?;
        let endpoint = ann.listening().first().ok_or("it does not listen")?.to_string();
        let attacker = Attacker::start(attack, &endpoint, ann.address())?;
        tokio::time::sleep(RISE).await;
        let attacked = latency(&ben, &ann).await?;
        let taken = allocated().saturating_sub(before);
        drop(attacker);
        tokio::time::sleep(FALL).await;
        quiet.extend(latency(&ben, &ann).await?);
        report.add(hostile_latency(attack), median(&attacked) / median(&quiet));
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        report.add(hostile_memory(attack), taken as f64 / f64::from(1 << 20));
        ann.close().await;
        ben.close().await;
    }
    Ok(())
}

async fn latency(from: &Node, to: &Node) -> Result<Vec<f64>, Error> {
    let mut took = Vec::with_capacity(MESSAGES);
    for _ in 0..MESSAGES {
        took.push(bus::one(from, to, SHORT).await?);
    }
    Ok(took)
}

/// Ended when dropped.
struct Attacker(Child);

impl Attacker {
    fn start(attack: Attack, endpoint: &str, address: Ipv6Addr) -> Result<Self, Error> {
        let child = Command::new(std::env::current_exe()?)
            .args(["--flood", attack.name(), "--at", endpoint, "--address", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
