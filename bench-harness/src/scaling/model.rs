//! A router of many shards, added up from the costs of its parts.
//!
//! What is modelled: one realm, sessions dealt evenly over the shards, each with one subscription, topics of equal size, sessions
//! that come and go, publications from everywhere. What is not: caches that no longer hold what they held, memory of the
//! kernel, sockets (their cost per event is an argument, for it is most of what a router does), an uneven load.

/// What was measured, in nanoseconds and octets.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// A publication with one receiver on the publisher's shard, without sockets.
    pub publish: f64,
    /// Each further receiver on the same shard, without sockets.
    pub receiver: f64,
    /// What one more shard with receivers adds, on both sides together.
    pub hand_off: f64,
    /// Sockets: what one event costs in sends and receives.
    pub socket: f64,
    /// A session that joins and drops its connection, without sockets.
    pub join: f64,
    /// Sockets: accepting, the handshake, closing.
    pub join_socket: f64,
    /// A subscription that comes and goes, two changes: on the home shard, beside what follows.
    pub change_home: f64,
    /// The same, on the home shard for each other shard.
    pub change_home_per_shard: f64,
    /// The same, on each other shard.
    pub change_other: f64,
    /// A connection with its session on its shard, and its subscription.
    pub session_octets: f64,
    /// A session with its subscription in the directory of the home shard.
    pub directory_octets: f64,
    /// A topic in the replica of one shard.
    pub replica_octets: f64,
}

/// What is asked of the router.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Sessions.
    pub sessions: f64,
    /// Receivers of a publication.
    pub receivers: f64,
    /// Seconds that a session lasts.
    pub lifetime: f64,
}

/// What the model says of a number of shards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Shards.
    pub shards: u32,
    /// Share of the home shard that sessions' coming and going takes.
    pub home_busy: f64,
    /// The same, of another shard.
    pub other_busy: f64,
    /// Sessions per second at which the home shard has time for nothing else.
    pub churn_max: f64,
    /// Shards that a publication concerns, on average.
    pub shards_concerned: f64,
    /// Events per second of all shards together, in what coming and going leaves over.
    pub events: f64,
    /// Events per second of a router that handed nothing over and told no shard of anything.
    pub events_ideal: f64,
    /// Resident memory in user space, in octets.
    pub memory: f64,
    /// The part of it that replicas take.
    pub memory_replicas: f64,
}

/// Adds up.
pub fn forecast(costs: &Costs, load: &Load, shards: u32) -> Forecast {
    let count = f64::from(shards);
    let churn = load.sessions / load.lifetime;
    let join = (costs.join + costs.join_socket) / count;
    // Home is a shard like the others besides.
    let home = join + costs.change_home + costs.change_home_per_shard * (count - 1.0);
    let other = join + if shards > 1 { costs.change_other } else { 0.0 };
    let (home_busy, other_busy) = (churn * home / 1e9, churn * other / 1e9);
    // Of receivers that are dealt at random, on which a shard is left out with probability (1 - 1/S)^F.
    let shards_concerned = count * (1.0 - (1.0 - 1.0 / count).powf(load.receivers));
    let elsewhere = shards_concerned * (1.0 - 1.0 / count);
    let alone =
        costs.publish + costs.receiver * (load.receivers - 1.0) + costs.socket * (load.receivers + 1.0);
    let publication = alone + costs.hand_off * elsewhere;
    let idle = (1.0 - home_busy).max(0.0) + (count - 1.0) * (1.0 - other_busy).max(0.0);
    let topics = load.sessions / load.receivers;
    let memory_replicas = count * topics * costs.replica_octets;
    Forecast {
        shards,
        home_busy,
        other_busy,
        churn_max: 1e9 / home,
        shards_concerned,
        events: idle * 1e9 / publication * load.receivers,
        events_ideal: count * 1e9 / alone * load.receivers,
        memory: load.sessions * (costs.session_octets + costs.directory_octets) + memory_replicas,
        memory_replicas,
    }
}

/// Intercept and slope of the straight line through points, by least squares.
pub fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
    (y - slope * x, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: Costs = Costs {
        publish: 1_000.0,
        receiver: 100.0,
        hand_off: 500.0,
        socket: 100.0,
        join: 5_000.0,
        join_socket: 30_000.0,
        change_home: 2_000.0,
        change_home_per_shard: 100.0,
        change_other: 1_000.0,
        session_octets: 2_000.0,
        directory_octets: 400.0,
        replica_octets: 100.0,
    };

    #[test]
    fn one_shard_hands_nothing_over() {
        let load = Load { sessions: 1.0, receivers: 10.0, lifetime: 1e9 };
        let one = forecast(&COSTS, &load, 1);
        assert!((one.events / one.events_ideal - 1.0).abs() < 1e-6, "{one:?}");
        assert!((one.shards_concerned - 1.0).abs() < 1e-9);
    }

    #[test]
    fn more_shards_do_more_until_home_is_full() {
        let load = Load { sessions: 1e6, receivers: 10.0, lifetime: 600.0 };
        let forecasts: Vec<Forecast> = [1, 2, 8, 64].map(|shards| forecast(&COSTS, &load, shards)).into();
        assert!(forecasts.windows(2).all(|pair| pair[0].events < pair[1].events));
        assert!(forecasts.windows(2).all(|pair| pair[0].memory < pair[1].memory));
        assert!(forecasts.iter().all(|it| it.events <= it.events_ideal));
        let (eight, many) = (forecasts[2], forecasts[3]);
        assert!(eight.churn_max > many.churn_max, "home tells every shard of every change");
    }

    #[test]
    fn a_line_is_found() {
        let (intercept, slope) = line(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]);
        assert!((intercept - 3.0).abs() < 1e-9 && (slope - 2.0).abs() < 1e-9);
    }
}
