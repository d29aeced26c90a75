use axp_proto::node::{Group, NodeAddress};

use super::*;

fn row(key: String, revision: u64, value: Vec<u8>) -> Row {
    Row { key, revision, value: value.into(), deleted: false }
}

fn account(id: &str, workspace: &str) -> Row {
    let account = ServiceAccount {
        service_account_id: id.to_owned(),
        workspace_id: workspace.to_owned(),
        ..ServiceAccount::default()
    };
    row(control::service_account(id), 1, account.encode_to_vec())
}

fn ids(tables: &Tables, workspace: &str) -> Vec<String> {
    let accounts = tables.accounts_of(workspace);
    accounts.iter().map(|account| account.value.service_account_id.clone()).collect()
}

#[test]
fn accounts_are_found_by_workspace() {
    let mut tables = Tables::default();
    for (id, workspace) in [("sa_1", "w1"), ("sa_2", "w1"), ("sa_3", "w2")] {
        tables.apply(&account(id, workspace)).unwrap();
    }
    let before = tables.clone();
    assert_eq!(ids(&tables, "w1"), ["sa_1", "sa_2"]);
    tables.apply(&Row { deleted: true, ..account("sa_1", "w1") }).unwrap();
    tables.apply(&account("sa_2", "w2")).unwrap();
    assert_eq!(ids(&tables, "w1"), [] as [&str; 0]);
    assert_eq!(ids(&tables, "w2"), ["sa_2", "sa_3"]);
    assert_eq!(ids(&before, "w1"), ["sa_1", "sa_2"]);
}

#[test]
fn keys_are_found_by_hash_and_account() {
    let mut tables = Tables::default();
    let key = ApiKey {
        key_id: "sak_1".to_owned(),
        service_account_id: "sa_1".to_owned(),
        ..ApiKey::default()
    };
    tables.apply(&row(control::api_key("sak_1"), 4, key.encode_to_vec())).unwrap();
    assert!(tables.key_by_hash("ab").is_none());
    tables.apply(&row(control::api_key_hash("ab"), 4, b"sak_1".to_vec())).unwrap();
    assert_eq!(tables.key_by_hash("ab").unwrap().revision, 4);
    assert_eq!(tables.keys_of("sa_1").len(), 1);
}

#[test]
fn workspaces_are_found_by_slugs() {
    let mut tables = Tables::default();
    let workspace = Workspace { workspace_id: "w1".to_owned(), ..Workspace::default() };
    tables.apply(&row(control::workspace("w1"), 1, workspace.encode_to_vec())).unwrap();
    tables.apply(&row(control::organization_slug("acme"), 1, b"o1".to_vec())).unwrap();
    tables.apply(&row(control::workspace_slug("o1", "prod"), 1, b"w1".to_vec())).unwrap();
    assert_eq!(tables.workspace_by_slugs("acme", "prod").unwrap().value.workspace_id, "w1");
    assert!(tables.workspace_by_slugs("acme", "test").is_none());
    assert!(tables.workspace_by_slugs("other", "prod").is_none());
}

#[test]
fn the_shard_map_names_groups_and_members() {
    let address = |id: u64| NodeAddress { id, address: format!("node-{id}:1") };
    let group =
        |id: u32, node_ids: &[u64]| Group { id, node_ids: node_ids.to_vec(), ..Group::default() };
    let map = ShardMap {
        epoch: 1,
        slots: 4096,
        groups: vec![group(0, &[1, 2]), group(1, &[1]), group(2, &[2, 9])],
        nodes: vec![address(1), address(2)],
    };
    let mut tables = Tables::default();
    tables.apply(&row(control::SHARD_MAP.to_owned(), 1, map.encode_to_vec())).unwrap();
    let topology = tables.topology.unwrap();
    assert_eq!(topology.shard_groups, 2);
    assert_eq!(topology.members[&GroupId(2)], [Arc::from("node-2:1")]);
    assert_eq!(topology.nodes, [Arc::from("node-1:1"), Arc::from("node-2:1")]);
}

#[test]
fn a_row_of_a_newer_version_is_passed_over() {
    let mut tables = Tables::default();
    tables.apply(&row("moon-base/1".to_owned(), 1, vec![1])).unwrap();
    assert!(tables.apply(&row(control::api_key("k"), 1, vec![0xff])).is_err());
}
