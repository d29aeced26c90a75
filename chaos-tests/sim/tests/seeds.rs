//! One seed: all promises hold, and it repeats itself byte for byte. Many seeds, and bugs that are put
//! in to be found, need an optimised build: `make simulate`, docs/chaos.md.

use std::process::Command;

#[test]
fn promises_hold_and_a_seed_repeats_itself() {
    let seeds = ["run", "--seeds", "1", "--from", "9", "--twice-every", "1", "--jobs", "2"];
    let output = Command::new(env!("CARGO_BIN_EXE_axp-sim")).args(seeds).output().unwrap();
    let (out, err) = (&output.stdout, &output.stderr);
    let text = format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 seeds run twice"), "{text}");
}
