//! What users hand over: JSON in an argument, in a file or on stdin, and answers to questions.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Map, Value};

use crate::exit::Usage;
use crate::output::Ui;

/// A file's text; `-` is stdin.
pub(crate) fn read_file(path: &str) -> anyhow::Result<String> {
    if path != "-" {
        return std::fs::read_to_string(path).with_context(|| format!("reading {path}"));
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).context("reading stdin")?;
    Ok(text)
}

/// An object given as JSON, as `@FILE`, or as `-` for stdin. `what` names it in messages.
pub(crate) fn object(argument: &str, what: &str) -> anyhow::Result<Map<String, Value>> {
    let text = match argument.strip_prefix('@') {
        Some(path) => read_file(path)?,
        None if argument == "-" => read_file("-")?,
        None => argument.to_owned(),
    };
    parse_object(&text, what)
}

/// An object in a file.
pub(crate) fn object_file(path: &str, what: &str) -> anyhow::Result<Map<String, Value>> {
    let shown = if path == "-" { "stdin" } else { path };
    parse_object(&read_file(path)?, &format!("{what} in {shown}"))
}

fn parse_object(text: &str, what: &str) -> anyhow::Result<Map<String, Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Usage(format!("{what} must be a JSON object")).into()),
        Err(error) => Err(Usage(format!("{what} is no JSON: {error}")).into()),
    }
}

/// `name=value`; the value is text.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it has the form name=value".to_owned()),
    }
}

/// Asks on the terminal, on stderr so that stdout stays what it is.
pub(crate) fn ask(question: &str) -> anyhow::Result<String> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} ")?;
    stderr.flush()?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer)?;
    anyhow::ensure!(read > 0, "no answer was given, nothing is sent");
    Ok(answer.trim().to_owned())
}

/// Asks until there is an answer.
pub(crate) fn ask_something(question: &str) -> anyhow::Result<String> {
    loop {
        let answer = ask(question)?;
        if !answer.is_empty() {
            return Ok(answer);
        }
    }
}

/// Asks for one of these, by name or by number.
pub(crate) fn ask_choice(question: &str, choices: &[String]) -> anyhow::Result<String> {
    let listed = choices.iter().enumerate();
    let listed: Vec<_> = listed.map(|(n, choice)| format!("{}) {choice}", n + 1)).collect();
    loop {
        let answer = ask(&format!("{question} [{}]", listed.join("  ")))?;
        if let Some(choice) = choose(&answer, choices) {
            return Ok(choice.to_owned());
        }
    }
}

fn choose<'a>(answer: &str, choices: &'a [String]) -> Option<&'a str> {
    let by_number = answer.parse::<usize>().ok().and_then(|n| choices.get(n.checked_sub(1)?));
    let by_name = || choices.iter().find(|choice| *choice == answer);
    by_name().or(by_number).map(String::as_str)
}

/// Whether to go on. Where nobody can be asked, that has to be said with `--yes` before.
pub(crate) fn agree(ui: Ui, question: &str) -> anyhow::Result<bool> {
    if !ui.can_ask() {
        let why = format!("{question} Nobody can be asked here: say so with --yes");
        return Err(Usage(why).into());
    }
    Ok(matches!(&ask(&format!("{question} [y/N]"))?[..], "y" | "Y" | "yes"))
}

/// `90s`, `30m`, `24h`, `7d`.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no age: write it like 30m, 24h or 7d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_json_says_where_it_is_wrong() {
        let error = object("{\"a\": 1,\n oops}", "--data-json").unwrap_err().to_string();
        assert!(error.contains("--data-json is no JSON") && error.contains("line 2"), "{error}");
        assert!(object("[]", "x").unwrap_err().to_string().contains("must be a JSON object"));
    }

    #[test]
    fn a_choice_is_made_by_name_or_number() {
        let choices = ["approved".to_owned(), "2".to_owned()];
        assert_eq!(choose("1", &choices), Some("approved"));
        assert_eq!(choose("2", &choices), Some("2"));
        assert_eq!(choose("0", &choices), None);
        assert_eq!(choose("", &choices), None);
    }

    #[test]
    fn an_age_has_a_unit() {
        assert_eq!(age("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "7", "d", "-1h", "1.5h", "7 d", "99999999999999999999d"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pair_keeps_what_follows_its_first_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(pair("=b").is_err() && pair("a").is_err());
    }
}
