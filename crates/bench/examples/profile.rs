//! One kind of window again and again, for a profiler: `profile DRIVER SIZE SECONDS [sealed] [raw] [busy]
//! [floating]`, or with `roundtrip` or `handshakes` for the size.
#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use std::time::Duration;

use replink_bench::{Connections, Contender, Driver, Failure, Placement, Raw, ReplicaLink, Window};

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [driver, what, seconds, rest @ ..] = &arguments[..] else {
        return Err("profile DRIVER SIZE SECONDS [sealed] [raw] [busy] [floating]".into());
    };
    let driver = Driver::ALL.into_iter().find(|known| known.as_str() == driver).ok_or("no such driver")?;
    let has = |word: &str| rest.iter().any(|given| given == word);
    let link = ReplicaLink {
        busy_poll: Duration::from_micros(if has("busy") { 50 } else { 0 }),
        ..ReplicaLink::new(driver, has("sealed"))
    };
    let (available, _) = Placement::available();
    let placement = if has("floating") { Placement::Floating } else { available };
    let window = Window::new(Duration::from_secs_f64(seconds.parse()?), placement);
    let raw = match what.parse() {
        Ok(size) if has("raw") => {
            let trial = Window::new(Duration::from_millis(100), placement);
            Raw::at_its_best(&[size], Connections::ONE, trial)?
        }
        _ => Raw::untried(has("busy")),
    };
    let contender: &dyn Contender = if has("raw") { &raw } else { &link };
    match what.as_str() {
        "roundtrip" => {
            let trips = contender.round_trip(256, window)?;
            println!("p50 {:.2} us, p99 {:.2} us", trips.quantile(0.5), trips.quantile(0.99));
        }
        "handshakes" => println!("{:?}", contender.handshakes(window)?),
        size => {
            let flow = contender.throughput(size.parse()?, window)?;
            println!("{:.2} GB/s, {:?}", flow.gigabytes_per_second(), flow);
        }
    }
    Ok(())
}
