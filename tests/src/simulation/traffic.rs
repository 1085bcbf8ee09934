//! What the embedders send.

use bytes::Bytes;
use replink_frame::{Command, GenericHeader, ReplicaId};
use replink_handshake::cluster_id;
use replink_transport::SendCause;
use replink_transport::driver::Token;

use super::ledger::{Broken, Ledger};
use super::network::Network;
use super::plan::{Plan, REPLICAS};
use super::process::{Process, read_stamp};
use crate::random::Random;

/// Bodies are parts of these bytes: to make new ones would take most of a run's time.
#[derive(Debug)]
pub(super) struct Traffic {
    pool: Bytes,
}

impl Traffic {
    pub(super) fn new(random: &mut Random, plan: &Plan) -> Self {
        Self { pool: random.bytes(2 * plan.body_max).into() }
    }

    /// A few frames on one of the links of `process`.
    pub(super) fn send(
        &self,
        process: &Process,
        network: &Network,
        plan: &Plan,
        random: &mut Random,
        ledger: &mut Ledger,
    ) -> Result<(), Broken> {
        let to =
            (process.host.0 + 1 + u8::try_from(random.below(usize::from(REPLICAS) - 1)).unwrap()) % REPLICAS;
        let shard = &process.shards[random.below(process.shards.len())].shard;
        let lane = u16::try_from(random.below(plan.lanes.into())).unwrap();
        let times = if random.once_in(6) { 30 } else { 1 };
        for _ in 0..times {
            let Some(link) = process.handle.link(ReplicaId(to), lane) else { return Ok(()) };
            let end = network.lock().end_of(process.id, Token(link.0)).ok_or("a route to no connection")?;
            let (header, body) = self.frame(random, plan, ledger.accepted_at(end));
            // By way of a shard where that has the same lane.
            let sent = if shard.lane() == lane {
                shard.send(ReplicaId(to), &header, body.clone())
            } else {
                process.handle.send_on(ReplicaId(to), lane, &header, body.clone())
            };
            match sent {
                Ok(_) => ledger.accepted(end, read_stamp(&header, &body).digest),
                Err(error) => {
                    let mut state = network.lock();
                    match error.cause() {
                        SendCause::Backpressure { .. } => state.trace.count("backpressure"),
                        SendCause::Leaving | SendCause::Closed | SendCause::Failed(_) => {
                            state.trace.count("sent on a link at its end");
                        }
                        cause => return Err(format!("not sent on {link}, which is up: {cause}")),
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn frame(&self, random: &mut Random, plan: &Plan, number: u64) -> (GenericHeader, Bytes) {
        let most = match random.below(40) {
            0 => plan.body_max,
            1..8 => plan.body_max.min(20_000),
            8..16 => 0,
            _ => 600,
        };
        let len = random.between(0, most);
        let from = random.below(self.pool.len() - len);
        let body = self.pool.slice(from..from + len);
        let mut header = GenericHeader::new(cluster_id("orders"), Command::PREPARE, len);
        header.reserved_command[..8].copy_from_slice(&number.to_le_bytes());
        (header, body)
    }
}
