//! Which driver runs the shards, and why.

use crate::StartError;

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// io_uring where the kernel offers all of it that is needed and lets us use it, epoll elsewhere.
    #[default]
    Auto,
    /// io_uring; where it is refused the router does not start.
    Uring,
    /// epoll; io_uring is not even looked at.
    Epoll,
}

/// What runs the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// io_uring, under glommio.
    Uring,
    /// epoll on plain threads.
    Epoll,
}

impl Driver {
    /// As it is asked for and logged.
    pub const fn name(self) -> &'static str {
        match self {
            Driver::Uring => "uring",
            Driver::Epoll => "epoll",
        }
    }
}

/// A driver and the reason for it, for the log.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) driver: Driver,
    pub(crate) reason: String,
}

impl Chosen {
    /// Decides. `probe` tells whether io_uring can be used and what to do where it cannot; it is called only if that
    /// matters.
    pub(crate) fn new(
        choice: DriverChoice,
        probe: impl FnOnce() -> Result<(), StartError>,
    ) -> Result<Chosen, StartError> {
        let chosen = |driver, reason: &str| Chosen { driver, reason: reason.to_owned() };
        match choice {
            DriverChoice::Epoll => Ok(chosen(Driver::Epoll, "it was asked for")),
            DriverChoice::Uring => match probe() {
                Ok(()) => Ok(chosen(Driver::Uring, "it was asked for")),
                Err(refusal) => Err(StartError {
                    message: format!(
                        "{}; or do without io_uring: `--driver epoll`, or `--driver auto`",
                        refusal.message
                    ),
                    ..refusal
                }),
            },
            DriverChoice::Auto => Ok(match probe() {
                Ok(()) => chosen(Driver::Uring, "io_uring offers all that is needed"),
                Err(refusal) => chosen(Driver::Epoll, &refusal.message),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal() -> Result<(), StartError> {
        Err(StartError { message: "denied: allow it".to_owned(), uring: true })
    }

    #[test]
    fn auto_takes_what_there_is_and_says_why() {
        let chosen = Chosen::new(DriverChoice::Auto, || Ok(())).unwrap();
        assert_eq!(chosen.driver, Driver::Uring);
        let chosen = Chosen::new(DriverChoice::Auto, refusal).unwrap();
        assert_eq!((chosen.driver, chosen.reason.as_str()), (Driver::Epoll, "denied: allow it"));
    }

    #[test]
    fn uring_that_is_refused_says_what_to_do() {
        assert_eq!(Chosen::new(DriverChoice::Uring, || Ok(())).unwrap().driver, Driver::Uring);
        let error = Chosen::new(DriverChoice::Uring, refusal).unwrap_err();
        assert!(error.uring && error.message.starts_with("denied: allow it"), "{error:?}");
        assert!(error.message.contains("--driver epoll"), "{error:?}");
    }

    #[test]
    fn epoll_does_not_touch_io_uring() {
        let chosen = Chosen::new(DriverChoice::Epoll, || panic!("io_uring was probed")).unwrap();
        assert_eq!(chosen.driver, Driver::Epoll);
    }
}
