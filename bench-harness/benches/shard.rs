//! Whole paths inside one shard: from received octets to what is handed to the driver.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wampline_shard::{
    Action, Batch, Config, ConnKey, Lanes, Limits, Listener, ListenerId, Now, Peer, Realm, Shard, ShardId,
    Shared,
};
use wampline_transports::server::{Options, Origins};
use wampline_wire::Serializer;

criterion_group!(benches, publish, call);
criterion_main!(benches);

/// A publication of 64 octets to this many subscribers, outputs taken and given back.
fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish_to");
    for members in [1, 1_000] {
        let mut router = Router::new();
        let publisher = router.join();
        for _ in 0..members {
            let subscriber = router.join();
            router.send(subscriber, r#"[32,1,{},"com.example.topic"]"#);
        }
        let message = format!(r#"[16,1,{{}},"com.example.topic",["{}"]]"#, "x".repeat(64));
        group.throughput(Throughput::Elements(members));
        group.bench_function(BenchmarkId::from_parameter(members), |bencher| {
            bencher.iter(|| assert_eq!(router.send(publisher, &message), members as usize));
        });
    }
    group.finish();
}

/// A call of 64 octets and its answer, from CALL to RESULT.
fn call(criterion: &mut Criterion) {
    let mut router = Router::new();
    let (callee, caller) = (router.join(), router.join());
    router.send(callee, r#"[64,1,{},"com.example.procedure"]"#);
    let call = format!(r#"[48,1,{{}},"com.example.procedure",["{}"]]"#, "x".repeat(64));
    let mut invocation = 0;
    criterion.bench_function("call", |bencher| {
        bencher.iter(|| {
            invocation += 1;
            assert_eq!(router.send(caller, &call), 1);
            assert_eq!(router.send(callee, &format!(r#"[70,{invocation},{{}},["done"]]"#)), 1);
        });
    });
}

/// One shard and RawSocket clients that speak JSON.
struct Router {
    shard: Shard,
}

const NOW: Now = Now(1);

impl Router {
    fn new() -> Router {
        let transport = Arc::new(Options {
            rawsocket: true,
            websocket: false,
            serializers: Serializer::ALL.to_vec(),
            paths: Vec::new(),
            origins: Origins::Any,
            assume_subprotocol: None,
            echo: false,
            message_bytes_max: 1 << 20,
        });
        let ping_timeout = Duration::from_secs(10);
        let listener =
            Listener { transport, tls: None, ping_interval: None, ping_timeout, connections_max: None };
        let realm = Realm::new("realm1");
        let config = Config {
            listeners: vec![listener],
            realms: vec![realm],
            limits: Limits::default(),
            agent: "bench".into(),
        };
        Router { shard: Shard::new(ShardId(0), Shared::new(config, 1), 1, NOW) }
    }

    fn join(&mut self) -> ConnKey {
        let key = self.shard.accept(NOW, ListenerId(0), Peer::Unix);
        self.shard.octets(NOW, key, &mut [0x7f, 0xf1, 0, 0]);
        let roles = r#"{"publisher":{},"subscriber":{},"caller":{},"callee":{}}"#;
        self.send(key, &format!(r#"[1,"realm1",{{"roles":{roles}}}]"#));
        key
    }

    /// Hands a message in and ends the turn. Gives the number of outputs.
    fn send(&mut self, from: ConnKey, message: &str) -> usize {
        let mut octets = (message.len() as u32).to_be_bytes().to_vec();
        octets.extend_from_slice(message.as_bytes());
        self.shard.octets(NOW, from, &mut octets);
        while self.shard.end_turn(NOW) || self.shard.flush_lanes(&mut NoLanes) {}
        let mut outputs = 0;
        while let Some(action) = self.shard.action(NOW) {
            if let Action::Send(key, output) = action {
                outputs += 1;
                self.shard.sent(NOW, key, output.len());
                self.shard.send_done(NOW, key, output);
            }
        }
        outputs
    }
}

/// There is one shard.
struct NoLanes;

impl Lanes for NoLanes {
    fn push(&mut self, _to: ShardId, batch: Batch) -> Result<(), Batch> {
        Err(batch)
    }
}
