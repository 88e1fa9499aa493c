//! Which plan a thread is running, so that a panic names it.

use std::cell::RefCell;

use super::Plan;

thread_local! {
    static RUNNING: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

/// Makes every panic name the plan that its thread runs.
pub fn watch_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            RUNNING.with_borrow(|plan| {
                if let Some(plan) = plan {
                    eprintln!("panic in the simulation: {plan}");
                }
            });
            usual(info);
        }));
    });
}

/// Until it is dropped this thread runs the plan.
pub(super) struct Running(());

pub(super) fn running(plan: &Plan) -> Running {
    RUNNING.set(Some(plan.clone()));
    Running(())
}

impl Drop for Running {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            RUNNING.set(None);
        }
    }
}
