use std::os::unix::fs::PermissionsExt as _;

use super::*;

const KEY: &str = "axme_sa_stored_0123456789";

fn stored() -> (tempfile::TempDir, Folder) {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::at(&home.path().join("axp"));
    let context = |url: &str| Context { url: url.to_owned() };
    store(&folder, "dev", context("http://dev:1"), Some(KEY), false).unwrap();
    store(&folder, "far", context("https://far"), Some("axme_sa_far_0123456789"), false).unwrap();
    (home, folder)
}

fn resolve(folder: &Folder, args: &ServerArgs, environment: &[(&'static str, &str)]) -> Server {
    let read = |name: &'static str| {
        let found = environment.iter().find(|(set, _)| *set == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Server::resolve_in(args, &read, Some(folder)).unwrap()
}

fn shown(server: &Server) -> (String, Option<String>) {
    let text = |setting: &Setting| format!("{} ({})", setting.value, setting.source);
    (text(&server.url), server.key.as_ref().map(text))
}

fn flag(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn the_first_context_is_current_until_another_is_chosen() {
    let (_home, folder) = stored();
    let server = resolve(&folder, &ServerArgs::default(), &[]);
    let key = format!("{KEY} (context dev)");
    assert_eq!(shown(&server), ("http://dev:1 (context dev)".into(), Some(key)));
    assert!(choose(&folder, "far").unwrap());
    assert!(!choose(&folder, "near").unwrap());
    let server = resolve(&folder, &ServerArgs::default(), &[]);
    assert_eq!(server.url.value, "https://far");
}

#[test]
fn a_flag_beats_the_environment_and_that_beats_the_context() {
    let (_home, folder) = stored();
    let environment = [("AXME_BASE_URL", "http://env"), ("AXME_API_KEY", "env-key")];
    let server = resolve(&folder, &ServerArgs::default(), &environment);
    let expected = (
        "http://env (environment AXME_BASE_URL)".to_owned(),
        Some("env-key (environment AXME_API_KEY)".to_owned()),
    );
    assert_eq!(shown(&server), expected);
    let flags = ServerArgs { url: flag("http://flag"), api_key: flag("k"), context: None };
    let server = resolve(&folder, &flags, &environment);
    assert_eq!(shown(&server), ("http://flag (--url)".into(), Some("k (--api-key)".into())));
    // A context that is named on the command line is meant, whatever is exported.
    let named = ServerArgs { context: flag("far"), ..ServerArgs::default() };
    let server = resolve(&folder, &named, &environment);
    assert_eq!(server.url.source, Source::Context("far".into()));
    assert_eq!(server.key.unwrap().source, Source::Context("far".into()));
    // Of two variables, the URL beats the context's.
    let both = [("AXME_BASE_URL", "http://env"), ("AXP_CONTEXT", "far")];
    let server = resolve(&folder, &ServerArgs::default(), &both);
    assert_eq!(server.url.value, "http://env");
}

#[test]
fn a_stored_key_is_sent_to_its_own_server_only() {
    let (_home, folder) = stored();
    let elsewhere = ServerArgs { url: flag("http://elsewhere"), ..ServerArgs::default() };
    assert_eq!(resolve(&folder, &elsewhere, &[]).key, None);
    let own = ServerArgs { url: flag("http://dev:1/"), ..ServerArgs::default() };
    assert_eq!(resolve(&folder, &own, &[]).key.unwrap().value, KEY);
}

#[test]
fn keys_that_others_may_read_are_refused() {
    let (_home, folder) = stored();
    let path = folder.file("keys.toml");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = Keys::read(&folder).err().unwrap().to_string();
    assert!(error.contains("mode 644") && error.contains("chmod 600"), "{error}");
    // What needs no stored key does not look at them.
    let flags = ServerArgs { url: flag("http://x"), api_key: flag("k"), context: None };
    assert_eq!(resolve(&folder, &flags, &[]).key.unwrap().value, "k");
}

#[test]
fn a_damaged_file_is_named_and_no_key_is_quoted() {
    let (_home, folder) = stored();
    folder.write("keys.toml", &format!("[keys\ndev = \"{KEY}\"")).unwrap();
    let error = format!("{:#}", Keys::read(&folder).err().unwrap());
    assert!(error.contains("keys.toml is damaged") && !error.contains(KEY), "{error}");
}

#[test]
fn a_deleted_context_leaves_no_key() {
    let (_home, folder) = stored();
    assert!(delete(&folder, "dev").unwrap());
    assert!(!delete(&folder, "dev").unwrap());
    assert_eq!(key_of(&folder, "dev").unwrap(), None);
    let server = resolve(&folder, &ServerArgs::default(), &[]);
    assert_eq!(shown(&server), (format!("{DEFAULT_URL} (default)"), None));
}

#[test]
fn names_and_unknown_contexts_are_checked() {
    let (_home, folder) = stored();
    let context = Context { url: "http://x".into() };
    assert!(store(&folder, "a b", context, None, false).is_err());
    let unknown = ServerArgs { context: flag("near"), ..ServerArgs::default() };
    let error = Server::resolve_in(&unknown, &|_| None, Some(&folder)).unwrap_err().to_string();
    assert!(error.contains("no context `near`"), "{error}");
}

#[test]
fn a_hint_tells_keys_apart_and_gives_none_away() {
    assert_eq!(hint(KEY), "...6789");
    assert_eq!(hint("short"), "****");
}
