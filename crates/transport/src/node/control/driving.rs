//! Going on with handshakes: what has come to an end is told to the exchange, and what it wants next begins.

use std::io;
use std::time::Instant;

use replink_handshake::ChannelBinding;

use super::handshakes::{Handshake, Next, Stage};
use super::{Control, Turn};
use crate::driver::{Driver, Token};
use crate::exchange::Exchange;
use crate::memory::ReceiveMemory;

impl<D: Driver> Control<D> {
    /// Something was received for a handshake.
    pub(in crate::node) fn received(
        &mut self,
        token: Token,
        memory: ReceiveMemory,
        result: io::Result<usize>,
        turn: &mut Turn<'_, D>,
    ) {
        self.tell_exchange(token, turn, |exchange, now| match result {
            Ok(0) => exchange.received(&[], now),
            Ok(len) => memory.received(len).filter(|bytes| !bytes.is_empty()).for_each(|bytes| {
                exchange.received(bytes, now);
            }),
            Err(error) => exchange.failed(error, now),
        });
        if let Some(block) = memory.into_block() {
            turn.driver.recycle(block);
        }
    }

    /// Something was sent for a handshake.
    pub(in crate::node) fn sent(&mut self, token: Token, result: io::Result<usize>, turn: &mut Turn<'_, D>) {
        self.tell_exchange(token, turn, |exchange, now| match result {
            Ok(len) => exchange.written(len, now),
            Err(error) => exchange.failed(error, now),
        });
    }

    /// An attempt to connect has ended.
    pub(in crate::node) fn connected(
        &mut self,
        token: Token,
        result: io::Result<D::Socket>,
        turn: &mut Turn<'_, D>,
    ) {
        let Some(Handshake { stage: Stage::Dialing(mut dialing), registration, began }) =
            self.handshakes.take(token)
        else {
            return;
        };
        let now = turn.driver.now();
        match result.map(|socket| (socket, turn.driver.fresh())) {
            Ok((socket, Ok(fresh))) => dialing.connected(socket, ChannelBinding::None, fresh, now),
            Ok((_, Err(error))) => {
                let (target, address) = (dialing.target(), dialing.address());
                return self.dial_failed(target.peer, target.lane, address, &error.into(), turn);
            }
            Err(error) => dialing.failed(error, now),
        }
        self.go_on(token, Handshake { stage: Stage::Dialing(dialing), registration, began }, turn);
    }

    fn tell_exchange(
        &mut self,
        token: Token,
        turn: &mut Turn<'_, D>,
        tell: impl FnOnce(&mut dyn Exchange<Link = D::Socket>, Instant),
    ) {
        // One that is not there any more was given up while this was under way.
        let Some(mut handshake) = self.handshakes.take(token) else { return };
        tell(handshake.stage.exchange(), turn.driver.now());
        self.go_on(token, handshake, turn);
    }

    /// Ends what has had its time.
    pub(super) fn expire(&mut self, now: Instant, turn: &mut Turn<'_, D>) {
        while let Some((token, mut handshake)) = self.handshakes.take_due(now) {
            handshake.stage.exchange().timed_out(now);
            // What is under way is for something that is over.
            handshake.registration = None;
            self.go_on(token, handshake, turn);
        }
    }

    /// Begins what a handshake wants, until it waits for something or is over.
    pub(super) fn go_on(&mut self, token: Token, handshake: Handshake<D::Socket>, turn: &mut Turn<'_, D>) {
        let (mut token, mut handshake) = (token, handshake);
        loop {
            match handshake.stage.begin(token, turn.driver) {
                Next::Completion => return self.handshakes.put(token, handshake),
                Next::Answer => match self.answer(handshake, turn) {
                    Some(answered) => handshake = answered,
                    None => return,
                },
                Next::Connection(address) => {
                    // The connection before, if there was one, is of no use any more.
                    drop(handshake.stage.exchange().take_given_up());
                    token = self.new_token();
                    handshake.registration = None;
                    match turn.driver.connect(token, address, self.settings.endpoint.source()) {
                        Ok(registration) => {
                            handshake.registration = Some(registration);
                            return self.handshakes.put(token, handshake);
                        }
                        Err(error) => handshake.stage.exchange().failed(error, turn.driver.now()),
                    }
                }
                Next::Nothing => match self.conclude(token, handshake, turn) {
                    Some(leaving) => handshake = leaving,
                    None => return,
                },
            }
        }
    }

    /// A handshake is over. What has to go on is a peer that is turned away.
    fn conclude(
        &mut self,
        token: Token,
        handshake: Handshake<D::Socket>,
        turn: &mut Turn<'_, D>,
    ) -> Option<Handshake<D::Socket>> {
        let Handshake { stage, registration, began } = handshake;
        match stage {
            Stage::Accepting { exchange, caller } => {
                let stage = self.conclude_accepting(token, exchange.finish(), caller, began, turn)?;
                Some(Handshake { stage, registration, began })
            }
            Stage::Leaving { caller, .. } => {
                self.gate.release(caller.slot);
                None
            }
            Stage::Dialing(dialing) => {
                self.conclude_dialing(token, dialing, began, turn);
                None
            }
        }
    }
}
