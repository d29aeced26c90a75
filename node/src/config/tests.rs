use super::*;

const EXAMPLE: &str = include_str!("../../config/example.toml");

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, Error> {
    let environment =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = environment::merge(text, environment)?;
    config.validate()?;
    Ok(config)
}

fn three_peers() -> String {
    let peer = |id: u16| {
        format!("{{ id = {id}, raft-address = \"n{id}:8111\", api-address = \"n{id}:8110\" }}")
    };
    format!("[{}, {}, {}]", peer(1), peer(2), peer(3))
}

#[test]
fn the_example_is_the_defaults_and_names_every_key() {
    assert_eq!(load(EXAMPLE, &[]).unwrap(), Config::default());
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let example: toml::Table = toml::from_str(EXAMPLE).unwrap();
    for (section, keys) in &defaults {
        for key in keys.as_table().unwrap().keys() {
            assert!(example[section].get(key).is_some(), "{section}.{key} is not in the example");
        }
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let peers = three_peers();
    let config = load(
        "[cluster]\nshard-groups = 6\n",
        &[
            ("AXP_NODE__NODE__ID", "2"),
            ("AXP_NODE__NODE__DATA_DIR", "/data"),
            ("AXP_NODE__CLUSTER__BOOTSTRAP_EXPECT", "3"),
            ("AXP_NODE__CLUSTER__PEERS", &peers),
            ("AXP_NODE__TELEMETRY__LOG_FILTER", "7"),
            ("AXP_NODE__STORAGE__ENGINE", "sled"),
        ],
    );
    // A number is not a filter, but it stays text for a key that is text.
    let config = match config {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(config.node.id, 2);
    assert_eq!(config.node.data_dir, PathBuf::from("/data"));
    assert_eq!(config.cluster.shard_groups, 6);
    assert_eq!(config.cluster.peers[2].raft_address, "n3:8111");
    assert_eq!(config.telemetry.log_filter, "7");
    assert_eq!(config.storage.engine, Engine::Sled);
}

#[test]
fn a_pod_takes_its_id_from_its_name() {
    let config = load("node.id = 0", &[("HOSTNAME", "axp-node-2")]).unwrap();
    assert_eq!(config.node.id, 3);
    let error = load("node.id = 0", &[("HOSTNAME", "laptop")]).unwrap_err();
    assert!(error.to_string().starts_with("node.id is 0"), "{error}");
}

#[test]
fn unknown_keys_are_refused_wherever_they_are() {
    assert!(load("[raft]\nheartbeat = 5", &[]).unwrap_err().to_string().contains("heartbeat"));
    let error = load("", &[("AXP_NODE__RAFT__HEARTBEAT", "5")]).unwrap_err();
    assert!(error.to_string().contains("there is no raft.heartbeat"), "{error}");
    let error = load("", &[("AXP_NODE__ID", "5")]).unwrap_err();
    assert!(error.to_string().contains("has no section"), "{error}");
}

#[test]
fn what_is_wrong_is_named_with_its_fix() {
    let cases = [
        ("cluster.bootstrap-expect = 2", "set 1, 3 or 5"),
        ("cluster.bootstrap-expect = 3", "name exactly the 3 nodes"),
        ("cluster.shard-groups = 0", "set 1 to 256"),
        ("raft.election-timeout-min-ms = 100", "three heartbeats"),
        ("raft.election-timeout-max-ms = 300", "one heartbeat above"),
        ("raft.breaker-after-ms = 300", "two pings"),
        ("node.api-listen = \"http://x:1\"", "host:port"),
        ("telemetry.otlp-endpoint = \"collector:4317\"", "http://host:port"),
        ("limits.subscription-window = 5000", "set 1 to 1024"),
        ("push.retry-ms = []", "one pause or more"),
        ("push.retry-jitter = 1.5", "set 0 to 1"),
        ("push.allowed-networks = [\"10.0.0.0/40\"]", "10.1.0.0/16"),
    ];
    for (text, fix) in cases {
        let error = load(text, &[]).unwrap_err().to_string();
        let key = text.split(' ').next().unwrap();
        assert!(error.contains(fix), "{text}: {error}");
        assert!(error.contains(key) || key == "cluster.bootstrap-expect", "{text}: {error}");
    }
}

#[test]
fn every_peer_has_its_own_id_and_an_unlisted_node_says_where_it_is() {
    let text =
        |peers: &str| format!("node.id = 1\n[cluster]\nbootstrap-expect = 3\npeers = {peers}");
    load(&text(&three_peers()), &[]).unwrap();
    let twice = three_peers().replace("id = 3", "id = 2");
    assert!(load(&text(&twice), &[]).is_err());
    let without = three_peers().replace("id = 1", "id = 4");
    let everywhere = ("AXP_NODE__NODE__RAFT_LISTEN", "0.0.0.0:8111");
    load(&text(&without), &[]).unwrap();
    let error = load(&text(&without), &[everywhere]).unwrap_err();
    assert!(error.to_string().contains("node.advertise-raft"), "{error}");
    load(&text(&without), &[everywhere, ("AXP_NODE__NODE__ADVERTISE_RAFT", "here:1")]).unwrap();
}
