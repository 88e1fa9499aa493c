//! Joins the targets of `wampline_tests::fuzz` to libFuzzer.

pub use libfuzzer_sys;
pub use wampline_tests;

/// The `main` of a target.
#[macro_export]
macro_rules! run {
    ($name:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
            static TARGET: std::sync::OnceLock<$crate::wampline_tests::fuzz::Target> =
                std::sync::OnceLock::new();
            let target = TARGET.get_or_init(|| {
                $crate::wampline_tests::fuzz::target($name).expect("a target with this name")
            });
            (target.run)(octets);
        });
    };
}
