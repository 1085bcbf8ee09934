//! How fast connections become ready.

use replink_bench::{Failure, Handshakes};

use super::figures::{HANDSHAKES, table};
use crate::side_by_side::field::{Entrant, Field};
use crate::side_by_side::report::Table;
use crate::side_by_side::rounds::{Entry, Plan, in_rounds, rows};

pub(super) const NOTE: &str = "Connections that become ready for frames, one after the other, and are closed. \
    Raw TCP exchanges three messages of 256 bytes. rustls proves the server alone, with ECDSA P-256; links and \
    snow prove both ends by a shared secret. rustls and snow have forward secrecy and encrypt, and are to be held \
    against the sealed links, which do so too. Nodes accept what a blocking dialer dials, and make each a link \
    that comes up and is lost.";

pub(super) fn measure(field: &Field, plan: Plan) -> Result<Vec<Table>, Failure> {
    let all = field.with_handshakes()?;
    let entrants: Vec<&Entrant> = all.iter().collect();
    Ok(vec![of("handshakes", "Handshakes", &entrants, plan)?])
}

/// Handshakes of these.
pub(super) fn of(id: &str, title: &str, entrants: &[&Entrant], plan: Plan) -> Result<Table, Failure> {
    let entries: Vec<Entry<'_, Handshakes>> = Entry::of_all(entrants, |one, window| one.handshakes(window));
    let found = in_rounds(title, &entries, plan)?;
    let rows = rows(&entries, &found, &HANDSHAKES, |_| Vec::new());
    Ok(table((id.to_owned(), title.to_owned()), &HANDSHAKES, &[], rows))
}
