//! Media: real bytes, in pieces, whole or not at all.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::Request;
use crate::harness::{World, eventually, gateway, seed_key};

const OWNER: &str = "agent://conformance/owner";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A world with a folder of its own, which goes with it.
async fn world() -> (World, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("media");
    let world = World::with(1, |config| {
        config.media.directory = directory;
        config.media.size_bytes_max = 1 << 20;
    })
    .await;
    (world, dir)
}

/// Files anywhere below.
fn files(path: &Path) -> usize {
    std::fs::read_dir(path).map_or(0, |entries| {
        let each = entries.map(|entry| entry.unwrap().path());
        each.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
    })
}

impl World {
    async fn announce(&self, filename: &str, mime_type: &str, size: usize) -> Value {
        let body = json!({
            "owner_agent": OWNER, "filename": filename, "mime_type": mime_type, "size_bytes": size,
        });
        self.post("/v1/media/create-upload", &body).await
    }

    fn put(&self, upload: &Value, bytes: &[u8]) -> Request {
        let url = upload["upload_url"].as_str().unwrap();
        let path = &url[url.find("/v1/").unwrap()..];
        self.request("PUT", path).body(bytes)
    }

    async fn finalize(&self, upload: &Value, size: usize) -> Value {
        let body = json!({ "upload_id": upload["upload_id"], "size_bytes": size });
        self.post("/v1/media/finalize-upload", &body).await
    }

    async fn shown(&self, upload: &Value) -> Value {
        self.get(&media("", upload)).await["upload"].clone()
    }
}

fn media(what: &str, upload: &Value) -> String {
    format!("/v1/media/{what}{}", upload["upload_id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_in_and_come_out() {
    let (world, _dir) = world().await;
    let bytes: Vec<u8> = (0..300_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let upload = world.announce("r\u{e9}sum\u{e9}.html", "text/html", bytes.len()).await;
    assert_eq!((&upload["status"], &upload["bucket"]), (&json!("pending"), &json!("media")));
    assert!(upload["object_path"].as_str().unwrap().len() >= 3);
    assert_eq!(upload["max_size_bytes"], 1 << 20);
    let pending = world.shown(&upload).await;
    assert_eq!((&pending["status"], &pending["download_url"]), (&json!("pending"), &Value::Null));
    let early = world.request("GET", &media("download/", &upload)).send().await;
    assert_eq!(early.refusal(409), "invalid_state");

    let taken = world.put(&upload, &bytes).send().await.ok();
    assert_eq!(
        (&taken["upload_id"], &taken["sha256"]),
        (&upload["upload_id"], &json!(sha256(&bytes)))
    );
    let ready = world.finalize(&upload, bytes.len()).await;
    assert_eq!((&ready["status"], &ready["sha256"]), (&json!("ready"), &json!(sha256(&bytes))));
    assert_eq!(world.finalize(&upload, bytes.len()).await, ready, "finalizing twice is the same");
    let shown = world.shown(&upload).await;
    assert_eq!(
        (&shown["status"], &shown["finalized_at"]),
        (&json!("ready"), &ready["finalized_at"])
    );
    assert_eq!(shown["preview_url"], Value::Null, "this is no image");

    let url = shown["download_url"].as_str().unwrap();
    let answer = world.request("GET", &url[url.find("/v1/").unwrap()..]).send().await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("300000")));
    assert!(answer.body == bytes);
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.html")
    );
    let preview = world.request("GET", &media("preview/", &upload)).send().await;
    assert_eq!(preview.refusal(404), "not_found");
    assert_eq!(world.put(&upload, &bytes).send().await.refusal(409), "invalid_state");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_can_be_shown() {
    let (world, _dir) = world().await;
    let upload = world.announce("dot.png", "image/png", 3).await;
    world.put(&upload, b"png").send().await.ok();
    world.finalize(&upload, 3).await;
    assert!(world.shown(&upload).await["preview_url"].as_str().unwrap().contains("/preview/"));
    let preview = world.request("GET", &media("preview/", &upload)).send().await;
    assert_eq!((preview.status, preview.text()), (200, "png"));
    assert_eq!(preview.header("content-disposition"), Some("inline"));
    assert_eq!(preview.header("x-content-type-options"), Some("nosniff"));
}

/// What the public conformance checks do: no bytes at all.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_can_be_finalized_without_bytes() {
    let (world, dir) = world().await;
    let upload = world.announce("contract.pdf", "application/pdf", 12_345).await;
    let ready = world.finalize(&upload, 12_345).await;
    assert_eq!((&ready["status"], &ready["sha256"]), (&json!("ready"), &Value::Null));
    let shown = world.shown(&upload).await;
    assert_eq!((&shown["status"], &shown["download_url"]), (&json!("ready"), &Value::Null));
    let nothing = world.request("GET", &media("download/", &upload)).send().await;
    assert_eq!(nothing.refusal(404), "not_found");
    assert_eq!(files(dir.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_can_be_required() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().to_owned();
    let world = World::with(1, |config| {
        config.media.directory = directory;
        config.media.require_bytes = true;
    })
    .await;
    let upload = world.announce("a.txt", "text/plain", 3).await;
    let body = json!({ "upload_id": upload["upload_id"], "size_bytes": 3 });
    let early = world.request("POST", "/v1/media/finalize-upload").json(&body).send().await;
    assert_eq!(early.refusal(409), "invalid_state");
    world.put(&upload, b"abc").send().await.ok();
    world.finalize(&upload, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_announced_leaves_nothing() {
    let (world, dir) = world().await;
    let upload = world.announce("a.txt", "text/plain", 5).await;
    for bytes in [&b"1234"[..], b"123456"] {
        assert_eq!(world.put(&upload, bytes).send().await.refusal(422), "validation_error");
    }
    let chunked =
        world.request("PUT", &media("upload/", &upload)).header("transfer-encoding", "chunked");
    let endless = (0..64).fold(chunked.clone(), |request, _| request.chunk(&[7; 1024]));
    assert_eq!(endless.send().await.refusal(422), "validation_error");
    let body = json!({
        "owner_agent": OWNER, "filename": "b", "mime_type": "text/plain", "size_bytes": 3, "sha256": sha256(b"abc"),
    });
    let hashed = world.post("/v1/media/create-upload", &body).await;
    assert_eq!(world.put(&hashed, b"abd").send().await.refusal(422), "validation_error");
    eventually("the folder is empty", || files(dir.path()) == 0).await;

    world.put(&hashed, b"abc").send().await.ok();
    for (size, hash, field) in [(4, sha256(b"abc"), "size_bytes"), (3, sha256(b"x"), "sha256")] {
        let body = json!({ "upload_id": hashed["upload_id"], "size_bytes": size, "sha256": hash });
        let answer = world.request("POST", "/v1/media/finalize-upload").json(&body).send().await;
        assert_eq!(answer.refusal(422), "validation_error");
        assert_eq!(answer.json()["error"]["details"]["errors"][0]["loc"][1], field);
    }
    world.finalize(&hashed, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_off_leaves_nothing_and_can_come_again() {
    let (world, dir) = world().await;
    let upload = world.announce("a.bin", "application/octet-stream", 100_000).await;
    let path = media("upload/", &upload);
    let half = world.request("PUT", &path).header("content-length", "100000").chunk(&[7; 50_000]);
    let connection = half.connect().await;
    eventually("half of it is being written", || files(dir.path()) == 1).await;
    drop(connection);
    eventually("nothing is left", || files(dir.path()) == 0).await;
    let bytes = vec![9; 100_000];
    world.put(&upload, &bytes).send().await.ok();
    // The last whole upload counts, and the one before it goes.
    let again = vec![8; 100_000];
    world.put(&upload, &again).send().await.ok();
    assert_eq!(files(dir.path()), 1);
    world.finalize(&upload, 100_000).await;
    assert_eq!(world.request("GET", &media("download/", &upload)).send().await.body, again);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_expire_and_their_bytes_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().to_owned();
    let world = World::with(1, |config| {
        config.media.directory = directory;
        config.media.sweep_interval_seconds = 1;
    })
    .await;
    let (kept, lost) =
        (world.announce("k", "text/plain", 1).await, world.announce("l", "text/plain", 1).await);
    for upload in [&kept, &lost] {
        world.put(upload, b"x").send().await.ok();
    }
    world.finalize(&kept, 1).await;
    let lost_id = lost["upload_id"].as_str().unwrap().to_owned();
    world.cluster.shared.change(|state| {
        use prost::Message as _;
        let records = state.records.rows.iter_mut();
        for (_, record) in records.filter(|(key, _)| key[3] == lost_id) {
            let mut media = axp_proto::node::Media::decode(record.value.clone()).unwrap();
            media.expires_at_ms = 1;
            record.value = media.encode_to_vec().into();
        }
    });
    assert_eq!(world.shown(&lost).await["status"], "expired");
    let body = json!({ "upload_id": lost_id, "size_bytes": 1 });
    let late = world.request("POST", "/v1/media/finalize-upload").json(&body).send().await;
    assert_eq!(late.refusal(409), "invalid_state");
    assert_eq!(world.put(&lost, b"x").send().await.refusal(409), "invalid_state");
    // As if they had been stored long ago; what is young is left alone.
    assert_eq!(files(dir.path()), 2);
    age(dir.path());
    eventually("the bytes of the expired one are swept", || files(dir.path()) == 1).await;
    assert_eq!(world.request("GET", &media("download/", &kept)).send().await.text(), "x");
}

/// Sets the time of all files below to two hours ago.
fn age(path: &Path) {
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
        } else {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            let then = file.metadata().unwrap().modified().unwrap();
            file.set_modified(then - std::time::Duration::from_secs(7200)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_media_requests_are_refused() {
    let (world, _dir) = world().await;
    seed_key(&world.cluster, "rival", "prod", "key-of-rival").await;
    // So that this gateway has heard of it.
    world.bare("GET", "/v1/agents").header("x-api-key", "key-of-rival").send().await.ok();
    let good = json!({
        "owner_agent": OWNER, "filename": "a", "mime_type": "a/b", "size_bytes": 1,
    });
    let create = async |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        world.request("POST", "/v1/media/create-upload").json(&body).send().await
    };
    for (name, value) in [
        ("owner_agent", json!("")),
        ("filename", json!("a\r\nb")),
        ("filename", json!("x".repeat(256))),
        ("mime_type", json!("text")),
        ("mime_type", json!("a/b\u{e4}")),
        ("size_bytes", json!(0)),
        ("size_bytes", json!("1")),
        ("size_bytes", Value::Null),
        ("sha256", json!("ABC")),
        ("ttl_seconds", json!(59)),
        ("ttl_seconds", json!(604_801)),
    ] {
        let answer = create(name, value.clone()).await;
        assert_eq!(answer.refusal(422), "validation_error", "{name}: {value}");
    }
    assert_eq!(create("size_bytes", json!((1 << 20) + 1)).await.refusal(413), "payload_too_large");
    let foreign = create("owner_agent", json!("agent://rival/prod/boss")).await;
    assert_eq!(foreign.refusal(403), "invalid_actor_scope");
    let upload = world.announce("a", "a/b", 1).await;
    let id = upload["upload_id"].as_str().unwrap();
    let rival =
        |method: &str, path: String| world.bare(method, &path).header("x-api-key", "key-of-rival");
    for (method, what) in
        [("GET", ""), ("GET", "download/"), ("GET", "preview/"), ("PUT", "upload/")]
    {
        let answer = rival(method, format!("/v1/media/{what}{id}")).body("x").send().await;
        assert_eq!(answer.refusal(404), "not_found", "{method} {what}");
    }
    let body = json!({ "upload_id": id, "size_bytes": 1 });
    let answer = rival("POST", "/v1/media/finalize-upload".to_owned()).json(&body).send().await;
    assert_eq!(answer.refusal(404), "not_found");
    for path in ["/v1/media/not-an-id", "/v1/media/6f2c1a34-8f0e-4c3a-9d55-0123456789ab"] {
        assert_eq!(world.request("GET", path).send().await.refusal(404), "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().to_owned();
    let world = World::with(1, |config| {
        config.media.directory = directory;
        config.media.transfers_max = 1;
    })
    .await;
    let upload = world.announce("a", "a/b", 10).await;
    let half =
        world.request("PUT", &media("upload/", &upload)).header("content-length", "10").chunk(b"");
    let _open = half.connect().await;
    eventually("it is being written", || files(dir.path()) == 1).await;
    assert_eq!(world.put(&upload, b"0123456789").send().await.refusal(503), "unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_need_no_key_and_open_one_file() {
    let (world, dir) = world().await;
    let upload = world.announce("dot.png", "image/png", 3).await;
    let path = |url: &Value| {
        let url = url.as_str().unwrap().to_owned();
        url[url.find("/v1/").unwrap()..].to_owned()
    };
    let link = path(&upload["upload_url"]);
    let other = world.announce("dot.png", "image/png", 3).await;
    let id = upload["upload_id"].as_str().unwrap();
    for refused in [
        link.replace("signature=", "signature=0"),
        link.replace("expires=", "expires=9"),
        link.replace("/upload/", "/download/"),
        link.replace(id, other["upload_id"].as_str().unwrap()),
        format!("/v1/media/upload/{id}?signature="),
        format!("/v1/media/upload/{id}?signature=x"),
    ] {
        let method = if refused.contains("/download/") { "GET" } else { "PUT" };
        let answer = world.bare(method, &refused).body("abc").send().await;
        assert!([401, 403].contains(&answer.status), "{refused}: {}", answer.text());
    }
    world.bare("PUT", &link).body("abc").send().await.ok();
    world.finalize(&upload, 3).await;
    let shown = world.shown(&upload).await;
    for (url, disposition) in [("download_url", "attachment"), ("preview_url", "inline")] {
        let answer = world.bare("GET", &path(&shown[url])).send().await;
        assert_eq!((answer.status, answer.text()), (200, "abc"));
        assert!(answer.header("content-disposition").unwrap().starts_with(disposition));
    }
    // Another gateway, also one that comes later, opens what this one has signed.
    let download = path(&shown["download_url"]);
    let directory = dir.path().join("media");
    let second = gateway(&world.cluster, |config| config.media.directory = directory).await;
    let answer = Request::new(second.http_address(), "GET", &download).send().await;
    assert_eq!((answer.status, answer.text()), (200, "abc"));
    // Who sends a key is judged by it.
    let wrong = world.bare("GET", &download).header("x-api-key", "nonsense-key").send().await;
    assert_eq!(wrong.refusal(401), "invalid_platform_api_key");
}
