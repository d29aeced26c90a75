"""Media in an S3 bucket: two gateways, a real S3 server in another process, and its own view of it."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import boto3
import httpx
import pytest
from conftest import HERE, setting, wait_until

pytestmark = pytest.mark.cluster
OWNER = "agent://conformance/owner"
MIB = 1 << 20


@pytest.fixture(scope="module")
def s3():
    """The server; `bucket()` lists what lies in it, with the credentials of the gateways."""
    process = subprocess.Popen([sys.executable, str(HERE / "s3_server.py")], stdout=subprocess.PIPE, text=True)
    port, key, secret = [process.stdout.readline().strip() for _ in range(3)]
    endpoint = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
    )
    process.endpoint, process.key, process.secret, process.client = endpoint, key, secret, client
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


@pytest.fixture(scope="module")
def gateways(s3):
    """Two gateways of the cluster under test that keep media in the bucket."""
    folder = Path(setting("AXP_E2E_DIR"))
    running, urls = [], []
    for number in range(2):
        port = free_port()
        environment = dict(
            os.environ,
            AXP_GATEWAY__HTTP__LISTEN=f"127.0.0.1:{port}",
            AXP_GATEWAY__GRPC__LISTEN="127.0.0.1:0",
            AXP_GATEWAY__ADMIN__LISTEN="127.0.0.1:0",
            AXP_GATEWAY__MEDIA__STORAGE="s3",
            AXP_GATEWAY__MEDIA_S3__BUCKET="media",
            AXP_GATEWAY__MEDIA_S3__PREFIX="axp/e2e",
            AXP_GATEWAY__MEDIA_S3__ENDPOINT=s3.endpoint,
            AXP_GATEWAY__MEDIA_S3__ACCESS_KEY_ID=s3.key,
            AXP_GATEWAY__MEDIA_S3__SECRET_ACCESS_KEY=s3.secret,
            AXP_GATEWAY__MEDIA_S3__TIMEOUT_MS="4000",
        )
        log = open(folder / f"gateway-s3-{number}.log", "w")
        binary = Path(setting("AXP_E2E_BIN")) / "axp-gateway"
        arguments = [binary, "--config", folder / "gateway-1.toml"]
        running.append(subprocess.Popen(arguments, env=environment, stdout=log, stderr=log))
        urls.append(f"http://127.0.0.1:{port}")
    for url, process in zip(urls, running):
        wait_until(lambda: serves(url, process), 60, f"{url} serves")
    yield urls
    for process in running:
        process.terminate()
    for process in running:
        process.wait(30)


def serves(url, process):
    assert process.poll() is None, "the gateway ended: see its log"
    try:
        key = {"x-api-key": setting("AXME_API_KEY")}
        return httpx.get(f"{url}/v1/intents", params={"limit": 1}, headers=key, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def http(api_key, gateways):
    with httpx.Client(base_url=gateways[0], headers={"x-api-key": api_key}, timeout=120) as client:
        yield client


def announce(http, data, **extra):
    body = {"owner_agent": OWNER, "filename": "f.bin", "mime_type": "image/png", "size_bytes": len(data), **extra}
    answer = http.post("/v1/media/create-upload", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def objects(s3, upload=None):
    """Keys in the bucket: of one upload, or all."""
    listed = s3.client.list_objects_v2(Bucket="media").get("Contents", [])
    return [it["Key"] for it in listed if upload is None or upload["upload_id"] in it["Key"]]


def parts_open(s3):
    return s3.client.list_multipart_uploads(Bucket="media").get("Uploads", [])


def notes(s3):
    return [key for key in objects(s3) if "/partial/" in key]


@pytest.mark.parametrize("size", [1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 12 * MIB])
def test_bytes_go_in_at_one_gateway_and_come_out_of_the_other(http, gateways, s3, size):
    data = os.urandom(size)
    digest = hashlib.sha256(data).hexdigest()
    upload = announce(http, data, sha256=digest)
    # By link, without a key, as a browser does.
    taken = httpx.put(upload["upload_url"], content=data, timeout=60)
    assert taken.status_code == 200, taken.text
    assert taken.json()["sha256"] == digest
    done = http.post("/v1/media/finalize-upload", json={"upload_id": upload["upload_id"], "size_bytes": size})
    assert done.json()["sha256"] == digest
    [key] = objects(s3, upload)
    assert key.startswith("axp/e2e/objects/")
    assert s3.client.get_object(Bucket="media", Key=key)["Body"].read() == data
    assert parts_open(s3) == [] and notes(s3) == []
    other = httpx.get(f"{gateways[1]}/v1/media/{upload['upload_id']}", headers=http.headers).json()["upload"]
    for url in [other["download_url"], other["preview_url"]]:
        got = httpx.get(url, timeout=60)
        assert got.status_code == 200 and got.content == data
        assert int(got.headers["content-length"]) == size


def test_what_is_not_as_announced_leaves_nothing(http, s3):
    data = os.urandom(6 * MIB)
    upload = announce(http, data, sha256=hashlib.sha256(b"other").hexdigest())
    for body in [data, data[:-1], data + b"x", data[:1000]]:
        assert http.put(f"/v1/media/upload/{upload['upload_id']}", content=body).status_code == 422
    wait_until(lambda: objects(s3, upload) == [] and parts_open(s3) == [] and notes(s3) == [], 20, "nothing is left")


def test_an_upload_that_is_cut_off_leaves_nothing_and_can_come_again(http, gateways, api_key, s3):
    data = os.urandom(12 * MIB)
    upload = announce(http, data)
    path = f"/v1/media/upload/{upload['upload_id']}"
    address = gateways[0].removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as cut:
        head = f"PUT {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {api_key}\r\ncontent-length: {len(data)}\r\n\r\n"
        cut.sendall(head.encode() + data[: 11 * MIB])
        wait_until(lambda: parts_open(s3) and notes(s3), 30, "parts are being sent")
    wait_until(lambda: parts_open(s3) == [] and notes(s3) == [], 30, "the parts are gone")
    assert objects(s3, upload) == []
    assert http.put(path, content=data).status_code == 200
    # The last whole upload counts, and the one before it goes.
    assert http.put(path, content=data[::-1]).status_code == 200
    assert len(objects(s3, upload)) == 1
    assert http.post("/v1/media/finalize-upload", json={"upload_id": upload["upload_id"], "size_bytes": len(data)})
    assert http.get(f"/v1/media/download/{upload['upload_id']}").content == data[::-1]


def test_a_bucket_that_does_not_answer_is_an_error_in_time_and_no_loss(http, s3):
    data = os.urandom(1000)
    upload = announce(http, data)
    path = f"/v1/media/upload/{upload['upload_id']}"
    s3.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        answer = http.put(path, content=data)
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "unavailable", answer.text
        assert time.monotonic() - started < 60
    finally:
        s3.send_signal(signal.SIGCONT)
    wait_until(lambda: http.put(path, content=data).status_code == 200, 20, "the upload goes through")


def test_a_link_opens_one_file_in_one_way_until_it_ends(http, gateways):
    data = b"secret of one file"
    upload, other = announce(http, data, ttl_seconds=60), announce(http, data)
    url, foreign = httpx.URL(upload["upload_url"]), httpx.URL(other["upload_url"])
    bare = f"{gateways[0]}/v1/media/upload/{upload['upload_id']}"
    expires = int(url.params["expires"])
    assert 0 < expires - time.time() <= 60
    refused = [
        bare,
        url.copy_set_param("signature", "0" * 64),
        url.copy_remove_param("expires"),
        url.copy_set_param("expires", str(expires + 3600)),
        url.copy_set_param("expires", str(expires - 3600)),
        url.copy_set_param("workspace", str(uuid.uuid4())),
        foreign.copy_with(path=url.path),
        url.copy_with(path=url.path.replace("/upload/", "/upload//")),
    ]
    for each in refused:
        assert httpx.put(each, content=data).status_code in (401, 403, 404), each
    assert httpx.get(url.copy_with(path=url.path.replace("/upload/", "/download/"))).status_code == 403
    assert httpx.put(f"{gateways[1]}{url.raw_path.decode()}", content=data).status_code == 200
    assert http.get(f"/v1/media/{other['upload_id']}").json()["upload"]["status"] == "pending"
