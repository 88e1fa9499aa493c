//! An allocator that counts, per thread, and on demand says who allocates.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// The system's allocator, counted.
pub(crate) struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static IS_TRACING: Cell<bool> = const { Cell::new(false) };
    static SITES: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

// SAFETY: all of it is passed on to the system's allocator; counting touches no memory of callers.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: of the caller, as the trait demands it; handed on below.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: of the caller, as the trait demands it; handed on below.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: of the caller, as the trait demands it; handed on below.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.realloc(pointer, layout, size) }
    }

    // SAFETY: of the caller, as the trait demands it; handed on below.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often this thread allocates, or enlarges what it has, in `action`.
pub(crate) fn during<R>(action: impl FnOnce() -> R) -> (u64, R) {
    let before = COUNT.get();
    let result = action();
    (COUNT.get() - before, result)
}

/// Who allocates in `action` and how often, the most frequent first.
pub(crate) fn sites_during(action: impl FnOnce()) -> Vec<(String, u64)> {
    IS_TRACING.set(true);
    action();
    IS_TRACING.set(false);
    let mut sites: Vec<(String, u64)> = SITES.take().into_iter().collect();
    sites.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sites
}

fn count() {
    // A thread that is ending has nothing left to count with.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    if IS_TRACING.try_with(|is_tracing| is_tracing.replace(false)) == Ok(true) {
        let site = site(&Backtrace::force_capture().to_string());
        SITES.with_borrow_mut(|sites| *sites.entry(site).or_default() += 1);
        IS_TRACING.set(true);
    }
}

/// The innermost places of a backtrace that lie in this repository, the allocator aside.
fn site(backtrace: &str) -> String {
    let places = backtrace.lines().map(str::trim).filter_map(|line| line.strip_prefix("at "));
    let is_ours = |place: &&str| {
        ["engine/", "transports/", "bench-harness/src", "./src/"].iter().any(|part| place.contains(part))
            && !place.contains(".cargo")
    };
    let ours: Vec<&str> = places.filter(is_ours).filter(|place| !place.contains("/rustc/")).take(3).collect();
    let short = |place: &str| {
        let parts: Vec<&str> = place.rsplit('/').take(4).collect();
        parts.into_iter().rev().collect::<Vec<_>>().join("/")
    };
    ours.into_iter().map(short).collect::<Vec<_>>().join(" < ")
}
