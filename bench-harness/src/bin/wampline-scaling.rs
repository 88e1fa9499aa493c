//! `wampline-scaling`: measures what grows with shards and sessions, and adds it up for routers larger than this
//! machine. See `wampline_bench::scaling` and `perf/scaling.md`.

use clap::Parser;
use wampline_bench::scaling::measure::{Churn, churn, memory, path};
use wampline_bench::scaling::model::{Costs, Load, forecast, line};

// As the router does: its memory is what is modelled.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the costs of hand-offs, directory changes and replicas over 1 to 64 pure shards in one thread, and adds them
/// up for one realm with many sessions.
#[derive(Debug, Parser)]
#[command(name = "wampline-scaling", version)]
struct Arguments {
    /// Sessions of the realm, each with one subscription
    #[arg(long, default_value_t = 1_000_000)]
    sessions: u32,
    /// Receivers of a publication
    #[arg(long, default_value_t = 10)]
    receivers: u32,
    /// Seconds that a session lasts
    #[arg(long, default_value_t = 600.0)]
    lifetime: f64,
    /// Sessions that come or go in one turn of a shard
    #[arg(long, default_value_t = 16)]
    batch: u32,
    /// Nanoseconds of sockets per event, as measured with the generator
    #[arg(long, default_value_t = 150.0)]
    socket_ns: f64,
    /// Nanoseconds of sockets per session that comes and goes, as measured with the generator
    #[arg(long, default_value_t = 40_000.0)]
    join_socket_ns: f64,
    /// Octets of an idle session in user space, as measured with the generator
    #[arg(long, default_value_t = 1_800.0)]
    session_octets: f64,
    /// Entries of each kind when memory is measured
    #[arg(long, default_value_t = 300_000)]
    entries: u32,
}

fn main() {
    let arguments = Arguments::parse();
    // First, while nothing is there to be used again.
    let memory = memory(u64::from(arguments.entries.max(1000)));
    println!("octets per entry, {} entries of 32 octets", arguments.entries);
    let [exact, prefix, wildcard] = memory.topic;
    println!("  replica: exact topic {exact:.0}, prefix {prefix:.0}, wildcard {wildcard:.0}");
    println!("  directory: session {:.0}, subscription {:.0}", memory.session, memory.subscription);

    println!("\nns of processor time per message, without sockets");
    let paths = ["publish_1", "publish_10", "call"].map(|path| (path, cost(path, "")));
    for (name, local) in paths {
        println!("  {name:<12} {local:>7.0} one shard");
    }
    let across = ["publish_10", "call"].map(|name| {
        let (single, batched) = (cost(name, "_across"), cost(name, "_across_batch_16"));
        let local_batched = cost(name, "_batch_16");
        println!("  {name:<12} {single:>7.0} across ({batched:.0} in batches of 16, {local_batched:.0} on one shard)");
        batched - local_batched
    });

    println!("\nns per session that comes and goes, {} in one turn", arguments.batch);
    println!("{:>8} {:>12} {:>16} {:>16}", "shards", "join, leave", "change: home", "change: others");
    let measured: Vec<Churn> =
        [1, 2, 4, 8, 16, 32, 64].map(|shards| churn(shards, arguments.batch.max(1) as usize)).into();
    for Churn { shards, join, change_home, change_other } in &measured {
        println!("{shards:>8} {join:>12.0} {change_home:>16.0} {change_other:>16.0}");
    }
    let several: Vec<&Churn> = measured.iter().filter(|churn| churn.shards > 1).collect();
    let home = several.iter().map(|it| (f64::from(it.shards - 1), it.change_home)).collect::<Vec<_>>();
    let (change_home, change_home_per_shard) = line(&home);
    let change_other = several.iter().map(|it| it.change_other).fold(0.0, f64::max);
    let join = several.iter().map(|it| it.join).fold(0.0, f64::max);

    let [(_, publish_1), (_, publish_10), _] = paths;
    let costs = Costs {
        publish: publish_1,
        receiver: (publish_10 - publish_1) / 9.0,
        hand_off: across[0].max(0.0),
        socket: arguments.socket_ns,
        join,
        join_socket: arguments.join_socket_ns,
        change_home,
        change_home_per_shard,
        change_other,
        session_octets: arguments.session_octets,
        directory_octets: memory.session + memory.subscription,
        replica_octets: exact,
    };
    print_model(&arguments, &costs);
}

fn cost(name: &str, variant: &str) -> f64 {
    path(&format!("{name}{variant}/rs/msgpack")).unwrap_or(f64::NAN)
}

fn print_model(arguments: &Arguments, costs: &Costs) {
    println!("\n{costs:#?}");
    let load = Load {
        sessions: f64::from(arguments.sessions),
        receivers: f64::from(arguments.receivers.max(1)),
        lifetime: arguments.lifetime.max(0.001),
    };
    println!("\n{load:?}: {:.0} sessions come and go per second", load.sessions / load.lifetime);
    println!(
        "{:>8} {:>10} {:>11} {:>13} {:>10} {:>13} {:>10} {:>10} {:>13}",
        "shards",
        "home busy",
        "others busy",
        "churn max/s",
        "concerned",
        "M events/s",
        "of ideal",
        "GiB",
        "in replicas"
    );
    for shards in [1, 2, 4, 8, 16, 32, 64] {
        let it = forecast(costs, &load, shards);
        println!(
            "{shards:>8} {:>9.1}% {:>10.1}% {:>13.0} {:>10.1} {:>13.2} {:>9.0}% {:>10.2} {:>12.0}%",
            it.home_busy * 100.0,
            it.other_busy * 100.0,
            it.churn_max,
            it.shards_concerned,
            it.events / 1e6,
            it.events / it.events_ideal * 100.0,
            it.memory / f64::from(1 << 30),
            it.memory_replicas / it.memory * 100.0,
        );
    }
}
