//! The right to redeem a ticket is used up by it.
use replink_handshake::{Redemption, TicketBinding, TicketTerms};

fn main() {}

fn twice(right: Redemption, ticket: &[u8], terms: &TicketTerms, binding: &TicketBinding<'_>) {
    let _ = right.redeem(ticket, terms, binding);
    let _ = right.redeem(ticket, terms, binding);
}
