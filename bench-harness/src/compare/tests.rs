//! Names and numbers, and that a router that is started is stopped with its descendants.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::table::Spread;
use super::target::{PROFILES, Places, Scheme};
use super::*;

#[test]
fn targets_and_scenarios_are_read() {
    let target: Target = "a=run --listen 1,2 x,rs://127.0.0.1:80".parse().unwrap();
    assert_eq!((target.name.as_str(), target.command.as_str()), ("a", "run --listen 1,2 x"));
    assert_eq!(target.scheme, Scheme::Wamp);
    for bad in ["a", "a=b", "=b,rs://127.0.0.1:80", "a=b,tcp://127.0.0.1:80", "a=b,rs://host"] {
        assert!(bad.parse::<Target>().is_err(), "{bad}");
    }
    for name in scenario::ready() {
        assert_eq!(name.parse::<Scenario>().unwrap().name, name);
    }
    let own: Scenario = "x=ws churn --sessions 5".parse().unwrap();
    assert_eq!(own.arguments, ["churn", "--sessions", "5"]);
    for bad in ["nothing", "x=churn", "x=rs"] {
        assert!(bad.parse::<Scenario>().is_err(), "{bad}");
    }
}

#[test]
fn every_profile_is_there() {
    let places = Places { programs: "a'b".into(), repository: "r".into(), shards: 2, port: 1000 };
    let targets: Vec<Target> = PROFILES.iter().map(|name| Target::profile(name, &places).unwrap()).collect();
    assert!(targets[0].command.contains(r"'a'\''b/wampline' run"));
    assert!(targets.iter().zip(1000..).all(|(target, port)| target.address.port() == port));
    assert_eq!(Target::profile("other", &places), None);
    let (fanout, rpc): (Scenario, Scenario) = ("fanout".parse().unwrap(), "rpc".parse().unwrap());
    let nats = &targets[4];
    assert!(fanout.suits(nats) && !rpc.suits(nats));
}

#[test]
fn the_median_is_the_middle() {
    assert_eq!(Spread::of(vec![]), None);
    assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
    assert_eq!(Spread::of(vec![4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
}

/// Port 0 cannot be waited for, so one that was free a moment ago.
fn free_address() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_router_that_ends_is_no_router() {
    let target =
        Target { name: "x".into(), command: "exit 3".into(), scheme: Scheme::Wamp, address: free_address() };
    let error = Running::start(&target, &AtomicBool::new(false)).unwrap_err();
    assert!(error.contains("exit status: 3"), "{error}");
}

#[test]
fn an_interruption_stops_what_was_started() {
    let (name, address) = ("x".to_owned(), free_address());
    let marker = format!("wampline-compare-test-{}", std::process::id());
    // A descendant that ignores the polite signal and would go on for an hour.
    let command = format!("sh -c 'trap \"\" TERM; sleep 3600; : {marker}' & wait");
    let target = Target { name, command, scheme: Scheme::Wamp, address };
    assert!(Running::start(&target, &AtomicBool::new(true)).is_err());
    let is_left = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(&marker))
    };
    // Who has been killed is still seen until the kernel has come round to it.
    let deadline = Instant::now() + Duration::from_secs(20);
    while crate::procfs::tree(1).iter().any(is_left) {
        assert!(Instant::now() < deadline, "it goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}
