//! Whole paths inside one shard and across two: from received octets to what is handed to the driver. One iteration is
//! one step of `wampline_bench::paths`; its messages times their receivers are the throughput.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wampline_bench::paths;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group! {
    name = benches;
    // There are many of them.
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = whole_paths
}
criterion_main!(benches);

fn whole_paths(criterion: &mut Criterion) {
    for path in paths::all() {
        let (family, variant) = path.name.split_once('/').expect("invariant: names have a family");
        let mut group = criterion.benchmark_group(family);
        group.throughput(Throughput::Elements(path.deliveries()));
        group.bench_function(BenchmarkId::from_parameter(variant), |bencher| {
            let mut step = path.prepare();
            bencher.iter(|| black_box(step.run()));
        });
        group.finish();
    }
}
