//! Hooks against programs that do as they should, and against others.
#![allow(clippy::unwrap_used)]

mod program;

use std::net::TcpListener;
use std::sync::mpsc;

use super::*;
pub(crate) use program::Program;

/// A guard against hanging, generous because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A hook that waits for long, unless the test says otherwise.
fn settings(url: String) -> HookSettings {
    HookSettings { connect_timeout: PATIENCE, timeout: PATIENCE, ..HookSettings::new(url) }
}

fn ask(settings: HookSettings, body: &str) -> Result<String, HookFailure> {
    let hook = Hook::new(settings).unwrap();
    let answer = hook.post(body.as_bytes(), Instant::now() + hook.timeout());
    answer.map(|body| String::from_utf8(body).unwrap()).map_err(|(failure, _)| failure)
}

#[test]
fn answers() {
    let program = Program::start();
    let ask = |body: &str| ask(settings(program.url()), body);
    assert_eq!(ask("echo {\"a\":1}"), Ok("{\"a\":1}".to_owned()));
    assert_eq!(ask("echo "), Ok(String::new()));
    assert_eq!(ask("chunked"), Ok("abc".to_owned()));
    assert_eq!(ask("status 201 Created"), Ok("why".to_owned()));
    assert_eq!(ask("leave x"), Ok("x".to_owned()));
}

#[test]
fn the_router_proves_itself_by_its_token() {
    let program = Program::start();
    let with = |token: &str| HookSettings { token: Some(token.to_owned().into()), ..settings(program.url()) };
    assert_eq!(ask(settings(program.url()), "whose"), Ok("nobody's".to_owned()));
    assert_eq!(ask(with("s3cret/+="), "whose"), Ok("bearer s3cret/+=".to_owned()));
    for wrong in ["", "a b", "a\r\nb: c", "caf\u{e9}"] {
        assert_eq!(Hook::new(with(wrong)).err(), Some(HookError::Token), "{wrong:?}");
    }
    assert_eq!(format!("{:?}", with("s3cret")), "HookSettings { .. }");
    assert!(!format!("{:?}", Hook::new(with("s3cret")).unwrap()).contains("s3cret"));
}

#[test]
fn what_is_no_answer() {
    let program = Program::start();
    let ask = |body: &str| ask(settings(program.url()), body);
    assert_eq!(ask("status 500 No"), Err(HookFailure::Status(500)));
    assert_eq!(ask("status 404 No"), Err(HookFailure::Status(404)));
    assert_eq!(ask("redirect"), Err(HookFailure::Status(302)), "not followed");
    assert_eq!(ask("garbage"), Err(HookFailure::Malformed));
    assert_eq!(ask("huge"), Err(HookFailure::Malformed));
    assert_eq!(ask("endless-head"), Err(HookFailure::Malformed));
    let before = program.requests();
    assert_eq!(ask("short"), Err(HookFailure::Unreachable));
    assert_eq!(program.requests() - before, 2, "asked again, once");
}

#[test]
fn an_answer_is_bounded_to_the_octet() {
    let program = Program::start();
    let bounded = || HookSettings { answer_bytes_max: 100, ..settings(program.url()) };
    let body = "x".repeat(100);
    assert_eq!(ask(bounded(), &format!("echo {body}")), Ok(body.clone()));
    assert_eq!(ask(bounded(), &format!("echo {body}x")), Err(HookFailure::Malformed));
}

#[test]
fn time_is_up() {
    let program = Program::start();
    let hasty = || HookSettings { timeout: Duration::from_millis(50), ..settings(program.url()) };
    assert_eq!(ask(hasty(), "hang"), Err(HookFailure::TimedOut));
    assert_eq!(ask(hasty(), "drip"), Err(HookFailure::TimedOut), "it counts to the last octet");
    let hook = Hook::new(hasty()).unwrap();
    let before = program.requests();
    assert_eq!(hook.post(b"echo x", Instant::now()).unwrap_err().0, HookFailure::TimedOut);
    assert_eq!(program.requests(), before, "it is not even asked");
}

#[test]
fn nobody_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(ask(settings(url), "echo x"), Err(HookFailure::Unreachable));
    assert_eq!(ask(settings("http://name.invalid/".to_owned()), "echo x"), Err(HookFailure::Unreachable));
}

#[test]
fn connections_are_kept() {
    let program = Program::start();
    let hook = Hook::new(settings(program.url())).unwrap();
    let post = |body: &str| hook.post(body.as_bytes(), Instant::now() + PATIENCE).map_err(|(why, _)| why);
    for n in 0..5 {
        assert_eq!(post(&format!("echo {n}")), Ok(n.to_string().into_bytes()));
    }
    assert_eq!(program.connections(), 1);
    assert_eq!(post("status 500 No"), Err(HookFailure::Status(500)));
    assert_eq!(post("leave x"), Ok(b"x".to_vec()));
    for n in 0..5 {
        assert_eq!(post(&format!("leave {n}")), Ok(n.to_string().into_bytes()), "closed without a word");
    }
}

#[test]
fn settings_that_cannot_be_used() {
    let refusal = |settings: HookSettings| Hook::new(settings).err();
    for url in [
        "",
        "/path",
        "localhost:80/",
        "ftp://localhost/",
        "http://",
        "http:///path",
        "http://user:secret@localhost/",
        "http://localhost/#part",
        "http://local host/",
    ] {
        assert_eq!(refusal(HookSettings::new(url)), Some(HookError::Url), "{url}");
    }
    let with = |pem: &str| HookSettings {
        authorities: Some(pem.as_bytes().to_vec()),
        ..HookSettings::new("https://localhost/")
    };
    assert_eq!(refusal(with("")), Some(HookError::NoAuthority));
    assert!(matches!(refusal(with("-----BEGIN CERTIFICATE-----\nA")), Some(HookError::Authorities(_))));
    let hook = Hook::new(HookSettings::new("http://localhost:80/path?secret=1")).unwrap();
    assert_eq!(hook.shown(), "http://localhost:80/path");
    assert!(!format!("{hook:?}").contains("secret"));
}

#[test]
fn over_tls() {
    let (program, authority) = Program::start_tls();
    let trusting = |pem: String| HookSettings {
        authorities: Some(pem.into_bytes()),
        ..settings(program.url().replace("127.0.0.1", "localhost"))
    };
    assert_eq!(ask(trusting(authority), "echo x"), Ok("x".to_owned()));
    let (_, stranger) = Program::start_tls();
    assert_eq!(ask(trusting(stranger), "echo x"), Err(HookFailure::Unreachable));
    assert_eq!(program.requests(), 1, "nothing was said to whom is not trusted");
}

/// Answers, by shard, as they come.
struct Basket(Mutex<mpsc::Sender<(usize, HookAnswer)>>);

impl Deliver for Basket {
    fn deliver(&self, shard: usize, answer: HookAnswer) {
        let _ = self.0.lock().unwrap().send((shard, answer));
    }
}

fn start(hooks: Vec<HookSettings>) -> (Hooks, mpsc::Receiver<(usize, HookAnswer)>) {
    let (sender, receiver) = mpsc::channel();
    let hooks: Vec<Hook> = hooks.into_iter().map(|settings| Hook::new(settings).unwrap()).collect();
    let deliver: Arc<dyn Deliver> = Arc::new(Basket(Mutex::new(sender)));
    (Hooks::start(&hooks, &deliver).unwrap(), receiver)
}

fn question(id: u64, hook: u32, body: &str) -> HookQuestion {
    HookQuestion { id, hook, body: body.as_bytes().to_vec() }
}

fn eventually(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it did not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_hook_that_hangs_keeps_no_other_waiting() {
    let (dead, alive) = (Program::start(), Program::start());
    let one = HookSettings { connections_max: 1, waiting_max: 2, ..settings(dead.url()) };
    let (hooks, answers) = start(vec![one, settings(alive.url())]);
    hooks.ask(0, question(1, 0, "hang")).unwrap();
    eventually(|| dead.hanging() == 1);
    hooks.ask(0, question(2, 0, "echo x")).unwrap();
    hooks.ask(0, question(3, 0, "echo x")).unwrap();
    assert_eq!(hooks.ask(0, question(4, 0, "echo x")), Err(HookFailure::Busy));
    assert_eq!(hooks.ask(0, question(5, 2, "echo x")), Err(HookFailure::Unreachable), "no such hook");
    for id in 10..200 {
        hooks.ask(7, question(id, 1, &format!("echo {id}"))).unwrap();
    }
    let mut found: Vec<(u64, Vec<u8>)> = (10..200)
        .map(|_| {
            let (shard, answer) = answers.recv_timeout(PATIENCE).unwrap();
            assert_eq!(shard, 7);
            (answer.id, answer.result.unwrap())
        })
        .collect();
    found.sort();
    assert!(found.into_iter().eq((10..200).map(|id| (id, id.to_string().into_bytes()))), "one answer each");
    assert!(alive.connections() <= 4);
    assert_eq!(dead.requests(), 1);
}

#[test]
fn the_time_in_the_queue_counts() {
    let program = Program::start();
    let hasty =
        HookSettings { timeout: Duration::from_millis(100), connections_max: 1, ..settings(program.url()) };
    let (hooks, answers) = start(vec![hasty]);
    for id in 0..5 {
        hooks.ask(0, question(id, 0, "hang")).unwrap();
    }
    for id in 0..5 {
        let (_, answer) = answers.recv_timeout(PATIENCE).unwrap();
        assert_eq!((answer.id, answer.result), (id, Err(HookFailure::TimedOut)));
    }
    assert!(program.requests() < 5, "some had no time left");
}

#[test]
fn threads_end_with_their_hooks() {
    let program = Program::start();
    let (hooks, answers) = start(vec![settings(program.url())]);
    hooks.ask(0, question(1, 0, "echo x")).unwrap();
    answers.recv_timeout(PATIENCE).unwrap();
    drop(hooks);
    // Each thread holds the sender until it ends.
    assert_eq!(answers.recv_timeout(PATIENCE).unwrap_err(), mpsc::RecvTimeoutError::Disconnected);
}
