"""An S3 server, a process of its own: moto, which checks signatures and permissions as AWS does.

Prints its port, an access key and its secret, one a line. Its bucket `media` is empty.
"""

import json
import os

# The actions below make the user; everything after them has to be signed by that user.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"

import threading

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


if __name__ == "__main__":
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = {
        "endpoint_url": f"http://127.0.0.1:{server.server_port}",
        "region_name": "us-east-1",
        "aws_access_key_id": "founder",
        "aws_secret_access_key": "founder",
    }
    iam = boto3.client("iam", **made)
    iam.create_user(UserName="axp")
    key = iam.create_access_key(UserName="axp")["AccessKey"]
    iam.put_user_policy(UserName="axp", PolicyName="all", PolicyDocument=json.dumps(POLICY))
    boto3.client("s3", **made).create_bucket(Bucket="media")
    for line in [server.server_port, key["AccessKeyId"], key["SecretAccessKey"]]:
        print(line, flush=True)
    threading.Event().wait()
