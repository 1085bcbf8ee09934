//! The figures that several sections show, and tables of them.

use replink_bench::{Failure, Flow, Handshakes, RoundTrips};

use crate::side_by_side::report::{Column, Measure, Row, Table, rounded};
use crate::side_by_side::rounds::{Entry, Plan, in_rounds, rows};

/// The columns of throughput.
pub(super) const FLOW: [Measure<Flow>; 2] = [
    Measure { column: Column { name: "GB/s", less_is_better: false }, figure: Flow::gigabytes_per_second },
    Measure {
        column: Column { name: "CPU s/GB", less_is_better: true },
        figure: Flow::cpu_seconds_per_gigabyte,
    },
];

/// The columns of round trips.
pub(super) const TRIPS: [Measure<RoundTrips>; 3] = [
    Measure { column: Column { name: "p50 us", less_is_better: true }, figure: |trips| trips.quantile(0.5) },
    Measure { column: Column { name: "p99 us", less_is_better: true }, figure: |trips| trips.quantile(0.99) },
    Measure {
        column: Column { name: "p99.9 us", less_is_better: true },
        figure: |trips| trips.quantile(0.999),
    },
];

/// The columns of handshakes.
pub(super) const HANDSHAKES: [Measure<Handshakes>; 3] = [
    Measure {
        column: Column { name: "handshakes/s", less_is_better: false },
        figure: |handshakes| handshakes.per_second,
    },
    Measure {
        column: Column { name: "dialer CPU us", less_is_better: true },
        figure: |handshakes| handshakes.dialer_cpu_us,
    },
    Measure {
        column: Column { name: "acceptor CPU us", less_is_better: true },
        figure: |handshakes| handshakes.acceptor_cpu_us,
    },
];

/// Throughput of all entries. `with_calls` adds the system calls for each frame.
pub(super) fn flows(
    (id, title): (String, String),
    entries: &[Entry<'_, Flow>],
    with_calls: bool,
    plan: Plan,
) -> Result<Table, Failure> {
    let found = in_rounds(&title, entries, plan)?;
    let further: &[&str] = if with_calls { &["reads/frame", "writes/frame"] } else { &[] };
    let calls = |flows: &[Flow]| {
        let reads = median(flows.iter().filter_map(|flow| Some(flow.calls?.reads)));
        let writes = median(flows.iter().filter_map(|flow| Some(flow.calls?.writes)));
        if with_calls { vec![reads, writes] } else { Vec::new() }
    };
    Ok(table((id, title), &FLOW, further, rows(entries, &found, &FLOW, calls)))
}

/// Round trips of all entries.
pub(super) fn trips(
    (id, title): (String, String),
    entries: &[Entry<'_, RoundTrips>],
    plan: Plan,
) -> Result<Table, Failure> {
    let found = in_rounds(&title, entries, plan)?;
    Ok(table((id, title), &TRIPS, &[], rows(entries, &found, &TRIPS, |_| Vec::new())))
}

pub(super) fn table<T>(
    (id, title): (String, String),
    measures: &[Measure<T>],
    further: &[&'static str],
    rows: Vec<Row>,
) -> Table {
    let columns = measures.iter().map(|measure| measure.column).collect();
    Table { id, title, columns, further: further.to_vec(), rows }
}

/// As text; empty where nothing is counted.
pub(super) fn median(figures: impl Iterator<Item = f64>) -> String {
    let mut sorted: Vec<_> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().map(rounded).unwrap_or_default()
}

/// A size for people.
pub(super) fn size_name(size: usize) -> String {
    match size {
        size if size >= 1 << 20 => format!("{} MiB", size >> 20),
        size if size >= 1 << 10 => format!("{} KiB", size >> 10),
        size => format!("{size} B"),
    }
}
