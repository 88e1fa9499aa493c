//! A router that runs beside the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

/// The process, killed when this goes.
pub(crate) struct Running {
    child: Child,
    log: Option<BufReader<ChildStderr>>,
    /// What has been read of the log.
    read: String,
    endpoint: String,
}

impl Running {
    /// Starts with these arguments and waits until it is ready.
    pub(crate) fn start<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Running {
        let mut command = Command::new("env");
        // Whoever runs the tests may ignore it (`nohup`), and what is ignored is inherited.
        command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_wampline")]);
        command.args(arguments);
        Running::spawn(command)
    }

    /// Starts from a shell that has run `before`.
    pub(crate) fn start_in_shell<'a>(before: &str, arguments: impl IntoIterator<Item = &'a str>) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{before}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_wampline")]);
        command.args(arguments);
        Running::spawn(command)
    }

    fn spawn(mut command: Command) -> Running {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut read = String::new();
        while !read.contains(": ready ") {
            assert_ne!(log.read_line(&mut read).unwrap(), 0, "it ended: {read}");
        }
        let (_, rest) = read.split_once("endpoint=").expect("the log says where it listens");
        let endpoint = rest.split_whitespace().next().unwrap().to_owned();
        Running { child, log: Some(log), read, endpoint }
    }

    /// Where it listens first.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        self.signals(&[name]);
    }

    /// Sends signals right after each other.
    pub(crate) fn signals(&self, names: &[&str]) {
        let script: String = names.iter().map(|name| format!("kill -{name} {};", self.child.id())).collect();
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success(), "{script}");
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Nobody reads the log any more.
    pub(crate) fn close_log(&mut self) {
        self.log = None;
    }

    /// Waits for the end: the exit code and the log.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut log = std::mem::take(&mut self.read);
        if let Some(mut rest) = self.log.take() {
            rest.read_to_string(&mut log).unwrap();
        }
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
