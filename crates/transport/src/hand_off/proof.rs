//! Tickets under an endpoint's configuration.

use replink_handshake::{
    IssueError, Receiving, Redemption, Sending, Ticket, TicketBinding, TicketError, TicketIssuer,
    TicketTerms, disabled,
};

use crate::Endpoint;
use crate::endpoint::{Answering, Dialing};

pub(super) fn issue(
    issuer: &mut TicketIssuer,
    halves: (Receiving, Sending),
    endpoint: &Endpoint,
    binding: &TicketBinding<'_>,
) -> Result<Ticket, IssueError> {
    match endpoint.dialing() {
        Dialing::Authenticated(dialer) => {
            let config = dialer.config();
            issuer.issue(halves, &config.local, &config.ring, binding)
        }
        Dialing::Disabled { local } => disabled::issue(issuer, halves, local, binding), // H-12
    }
}

/// A link must be one that this endpoint would make itself, in one role or the other.
pub(super) fn redeem(
    redemption: Redemption,
    ticket: &[u8],
    endpoint: &Endpoint,
    binding: &TicketBinding<'_>,
) -> Result<(Receiving, Sending), TicketError> {
    match endpoint.answering() {
        Answering::Authenticated(acceptor) => {
            let config = acceptor.config();
            let terms = TicketTerms::new(config.local.clone(), config.ring.clone(), config.roster)
                .min_version(config.min_version.min(endpoint.version()))
                .required(config.flags.required);
            redemption.redeem(ticket, &terms, binding)
        }
        // H-12
        Answering::Disabled { local, roster } => disabled::redeem(redemption, ticket, local, roster, binding),
    }
}
