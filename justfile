# What the gate runs.
ci:
    bash .ci/run

# The README's test command.
test:
    cargo test --workspace

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# The transport with one feature, or with none: just feature config
feature name="":
    cargo check -p replink-transport --no-default-features --features "{{name}}" --target-dir target/features

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Shared sending in every order that its threads can come in.
loom:
    RUSTFLAGS="--cfg loom" cargo test -p replink-tests --test loom --target-dir target/loom

# Whole clusters on a virtual network, seed after seed: just simulate 20000, or just simulate 500..700
simulate seeds="5000":
    REPLINK_SEEDS={{seeds}} cargo test --release -p replink-tests --test simulation -- every_seed

# Licences, sources and advisories of all dependencies.
deny:
    cargo deny check

# One fuzz target for some time: just fuzz acceptor 600
fuzz target seconds="600":
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# Every fuzz target for a short time.
fuzz-smoke seconds="10":
    for target in $(cargo +nightly fuzz list); do cargo +nightly fuzz run "$target" -- -max_total_time={{seconds}} || exit 1; done

# The known states of the handshake, written anew after a deliberate change.
snapshots:
    UPDATE_SNAPSHOTS=1 cargo test -p replink-tests --test state_table

# What connections cost that never authenticate: how many, and how much the flooders yield.
flood connections="10000" nice="19":
    cargo run --release -p replink-tests --example flood -- {{connections}} {{nice}}

# Links and failed handshakes that come and go: what the process holds before and after.
soak cycles="10000":
    cargo run --release -p replink-tests --example soak -- {{cycles}}

# Scenarios under address sanitizer, on io_uring and with operations that fail; needs a nightly toolchain. What
# the sanitizer keeps of freed memory is none of the soak's.
asan driver="faults":
    RUSTFLAGS="-Zsanitizer=address" REPLINK_TEST_DRIVER={{driver}} cargo +nightly test -q -p replink-tests --test node --test node_hand_over --target "$(rustc -vV | sed -n 's/host: //p')" --target-dir target/asan -- --skip soak

# Micro benches of the codecs and the handshake.
bench:
    cargo bench -p replink-benches

# Whether comparisons of MACs tell where the difference is, on a machine that is otherwise idle: the t of each.
timing filter="":
    cargo run --release --manifest-path benches/timing/Cargo.toml -- {{ if filter == "" { "" } else { "--filter " + filter } }}

# What is left of secrets in a process's memory after everything is dropped.
memory:
    cargo test -p replink-tests --test memory --test memory_environment

# The handshake inside of a TLS session, and the relay that it finds out.
channel-binding:
    cargo run -p channel-binding
    cargo test -p channel-binding

# The crates and the command with the oldest supported compiler, given as a path.
msrv rustc="/usr/bin/rustc" cargo="/usr/bin/cargo":
    RUSTC={{rustc}} CARGO_TARGET_DIR=target/msrv {{cargo}} check --locked -p replink-frame -p replink-handshake -p replink-transport -p replink

# Links, raw TCP and what one could take instead, in one run of some twenty minutes, with ends that are pinned and then with
# ends that are not: tables and charts go into `out`. `just bench-section sealed` measures one section and writes nothing.
bench-side-by-side out="docs/performance" seconds="0.5":
    REPLINK_SECONDS={{seconds}} cargo bench -p replink-benches --bench side_by_side -- --out "{{absolute_path(out)}}"

# Sections by name, to stdout: just bench-section throughput pinned
bench-section +sections:
    cargo bench -p replink-benches --bench side_by_side -- {{sections}}

# The same with mimalloc as the allocator of everyone.
bench-section-mimalloc +sections:
    cargo bench -p replink-benches --features mimalloc --bench side_by_side -- {{sections}}

# The bench command as it was at a revision beside what it is now, round after round: just bench-against main
bench-against rev seconds="4" drivers="blocking,poll,io_uring":
    cargo run --release -p replink-against -- {{rev}} --seconds {{seconds}} --drivers {{drivers}}

# Instructions per operation beside their budget, counted by valgrind; fails above it.
instructions:
    cargo run --release --locked -p replink-benches --bin instructions -- check

# The budget, written anew after a deliberate change.
instructions-update:
    cargo run --release --locked -p replink-benches --bin instructions -- update
