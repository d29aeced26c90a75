//! The same tests on sled, in processes of their own: closing a database of sled 0.34 can wait for
//! ever (docs/adr/0001), and only a process can be ended.

use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use axp_raft_store::EngineKind;

use crate::kv::{ENGINE, engine};

const TRIES: u32 = 3;
/// Of all tests together, which take seconds.
const WITHIN: Duration = Duration::from_secs(180);

#[test]
fn everything_holds_on_sled_too() {
    if engine() == EngineKind::Sled {
        return;
    }
    for attempt in 1..=TRIES {
        let mut said = tempfile::tempfile().unwrap();
        let mut tests = Command::new(std::env::current_exe().unwrap());
        tests.env(ENGINE, EngineKind::Sled.to_string());
        tests.stdout(said.try_clone().unwrap()).stderr(said.try_clone().unwrap());
        let ended = ended(&mut tests.spawn().unwrap());
        let mut text = String::new();
        said.rewind().unwrap();
        said.read_to_string(&mut text).unwrap();
        match ended {
            Some(status) => return assert!(status.success(), "{text}"),
            None => eprintln!("sled stood still, try {attempt}:\n{text}"),
        }
    }
    panic!("sled stood still {TRIES} times");
}

/// How it ended, if it did in time.
fn ended(tests: &mut Child) -> Option<ExitStatus> {
    let until = Instant::now() + WITHIN;
    while Instant::now() < until {
        if let Some(status) = tests.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    tests.kill().unwrap();
    tests.wait().unwrap();
    None
}
