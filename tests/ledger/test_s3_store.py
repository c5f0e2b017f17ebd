"""Only on S3: what servers and clients say, and who may know what."""

import io
import socket

import pytest
from botocore import exceptions
from botocore.response import StreamingBody
from botocore.stub import Stubber
from urllib3.exceptions import ProtocolError

from mad_ray.core.errors import InvalidInput, Missing, StoreError, StoreFull, Transient
from mad_ray.ledger.open import open_store
from mad_ray.ledger.s3 import S3Store
from mad_ray.ledger.s3_errors import translate

ANSWERS = [
    ("NoSuchBucket", 404, StoreError, "bucket 'b' does not exist at http.*create it, or correct run.store"),
    ("NoSuchKey", 404, Missing, "no object k"),
    ("404", 404, Missing, "no object k"),
    ("InvalidAccessKeyId", 403, StoreError, "credentials refused"),
    ("SignatureDoesNotMatch", 403, StoreError, "credentials refused"),
    ("AccessDenied", 403, StoreError, "credentials refused.*ListBucket"),
    ("Whatever", 403, StoreError, "credentials refused"),
    ("ExpiredToken", 400, StoreError, "expired: renew them"),
    ("RequestTimeTooSkewed", 403, StoreError, "clock"),
    ("PermanentRedirect", 301, StoreError, "another region"),
    ("AuthorizationHeaderMalformed", 400, StoreError, "another region"),
    ("NotImplemented", 501, StoreError, "conditional writes, perhaps"),
    ("EntityTooLarge", 400, StoreError, "EntityTooLarge"),
    ("ConditionalRequestConflict", 409, Transient, "ConditionalRequestConflict"),
    ("SlowDown", 503, Transient, "SlowDown"),
    ("InternalError", 500, Transient, "InternalError"),
    ("RequestTimeout", 400, Transient, "RequestTimeout"),
    ("TooManyRequests", 429, Transient, "429"),
    ("502", 502, Transient, "502"),
    ("QuotaExceeded", 403, StoreFull, "raise its quota"),
    ("XMinioAdminBucketQuotaExceeded", 400, StoreFull, "is full"),
    ("XMinioStorageFull", 507, StoreFull, "is full"),
    ("Whatever", 507, StoreFull, "is full"),
]


@pytest.fixture
def stubbed(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEYID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "HUSH")
    store = S3Store("s3://b/p?endpoint_url=http://127.0.0.1:9&region=x")
    with Stubber(store.client) as stubber:
        yield store, stubber


@pytest.mark.parametrize(("code", "status", "kind", "words"), ANSWERS)
def test_what_the_server_says(stubbed, code, status, kind, words) -> None:
    store, stubber = stubbed
    calls = {
        "get_object": lambda: store.get("k"),
        "put_object": lambda: store.put("k", b"", if_absent=True),
        "list_objects_v2": lambda: list(store.list("k")),
        "delete_object": lambda: store.delete("k"),
    }
    for method, call in calls.items():
        if kind is Missing and method in ("delete_object", "put_object"):
            continue
        stubber.add_client_error(method, code, "key KEYID, secret HUSH\nmore", status)
        with pytest.raises(StoreError, match=words) as caught:
            call()
        assert type(caught.value) is kind
        assert "\n" not in str(caught.value)
        assert "credentials" not in str(caught.value) or not {"KEYID", "HUSH"} & set(str(caught.value).split())


def test_a_failed_precondition_is_a_lost_race(stubbed) -> None:
    store, stubber = stubbed
    expected = {"Bucket": "b", "Key": "p/k", "Body": b"1", "IfNoneMatch": "*"}
    stubber.add_client_error("put_object", "PreconditionFailed", "", 412, expected_params=expected)
    stubber.add_response("head_object", {"ETag": '"x"', "ContentLength": 1}, {"Bucket": "b", "Key": "p/k"})
    assert store.put("k", b"1", if_absent=True) is False
    stubber.add_client_error("put_object", "PreconditionFailed", "", 412)
    with pytest.raises(StoreError, match="PreconditionFailed"):
        store.put("k", b"1")


def test_answers_that_are_about_something_else_are_transient(stubbed) -> None:
    store, stubber = stubbed
    there = {"ETag": '"another"', "ContentLength": 1}
    for if_absent in (False, True):
        stubber.add_response("put_object", {"ETag": '"another"'})
        stubber.add_client_error("head_object", "404", "", 404)
        with pytest.raises(Transient, match="a write that did not happen"):
            store.put("k", b"1", if_absent=if_absent)
        for answer, found in (({"ETag": '"x"'}, there), ({}, there), (there, {**there, "ContentLength": 2})):
            stubber.add_response("put_object", {"ETag": answer["ETag"]} if answer else {})
            stubber.add_response("head_object", found)
            with pytest.raises(Transient, match="an answer to another write"):
                store.put("k", b"1", if_absent=if_absent)
        stubber.add_client_error("put_object", "NoSuchKey", "", 404)
        with pytest.raises(Transient, match="another request"):
            store.put("k", b"1", if_absent=if_absent)
    stubber.add_client_error("put_object", "PreconditionFailed", "", 412)
    stubber.add_client_error("head_object", "404", "", 404)
    with pytest.raises(Transient, match="did not happen"):
        store.put("k", b"1", if_absent=True)
    stubber.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"<Error>"), 7)})
    with pytest.raises(Transient, match="no object"):
        store.get("k")


def test_an_encrypted_object_has_another_etag_than_its_md5(stubbed) -> None:
    store, stubber = stubbed
    stubber.add_response("put_object", {"ETag": '"sealed"'})
    stubber.add_response("head_object", {"ETag": '"sealed"', "ContentLength": 1})
    assert store.put("k", b"1") is True


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_how_long_an_answer_may_take(seconds) -> None:
    assert S3Store("s3://b/p?timeout_s=2.5").timeout_s == 2.5
    with pytest.raises(InvalidInput, match=f"timeout_s={seconds}; expected seconds"):
        S3Store(f"s3://b/p?timeout_s={seconds}")


def test_deleting_what_is_gone_is_no_error(stubbed) -> None:
    store, stubber = stubbed
    stubber.add_client_error("delete_object", "NoSuchKey", "", 404)
    store.delete("k")


def test_a_body_cut_short_is_transient(stubbed) -> None:
    store, stubber = stubbed
    stubber.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"123"), 10)})
    with pytest.raises(Transient, match="IncompleteRead"):
        store.get("k")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="http://x"), Transient),
        (exceptions.ReadTimeoutError(endpoint_url="http://x"), Transient),
        (exceptions.ConnectTimeoutError(endpoint_url="http://x"), Transient),
        (exceptions.ConnectionClosedError(endpoint_url="http://x"), Transient),
        (exceptions.ResponseStreamingError(error="cut"), Transient),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), Transient),
        (ProtocolError("cut"), Transient),
        (exceptions.NoCredentialsError(), StoreError),
        (exceptions.PartialCredentialsError(provider="env", cred_var="x"), StoreError),
        (exceptions.ProfileNotFound(profile="x"), StoreError),
        (exceptions.SSLError(endpoint_url="https://x", error="bad"), StoreError),
        (exceptions.ParamValidationError(report="Invalid bucket\nname"), StoreError),
    ],
)
def test_what_the_client_says(error, kind) -> None:
    line = translate(error, key="k", bucket="b", endpoint="http://x")
    assert type(line) is kind
    assert "\n" not in str(line)


def test_a_bucket_that_does_not_exist(s3) -> None:
    store = open_store(f"s3://no-such-bucket?endpoint_url={s3.endpoint}")
    for call in (lambda: store.get("k"), lambda: store.put("k", b""), lambda: list(store.list(""))):
        with pytest.raises(StoreError, match=f"bucket 'no-such-bucket' does not exist at {s3.endpoint}: create it"):
            call()


def test_no_credentials_at_all(monkeypatch, tmp_path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="no usable credentials were found"):
        S3Store("s3://b/p?endpoint_url=http://127.0.0.1:9").get("k")


def test_nobody_listens(monkeypatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEYID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "HUSH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(Transient, match="EndpointConnectionError"):
            S3Store(f"s3://b?endpoint_url=http://127.0.0.1:{free.getsockname()[1]}").get("k")


def test_a_bad_endpoint_in_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "host:9000")
    with pytest.raises(InvalidInput, match="expected http://HOST:PORT"):
        S3Store("s3://b/p").get("k")


def test_the_environment_names_the_endpoint(s3) -> None:
    store = S3Store(f"s3://{s3.bucket}/other")
    store.put("a/b", b"1")
    assert [entry.key for entry in S3Store(f"s3://{s3.bucket}").list("")] == ["other/a/b"]


def test_listing_turns_pages(s3) -> None:
    store = open_store(s3.url)
    for i in range(1005):
        store.put(f"{i:04d}", b"")
    assert [entry.key for entry in store.list("")] == [f"{i:04d}" for i in range(1005)]


def test_folder_marks_of_consoles_are_passed_over(s3) -> None:
    store = S3Store(s3.url)
    store.client.put_object(Bucket=s3.bucket, Key="a/prefix/folder/", Body=b"")
    assert list(store.list("")) == []
