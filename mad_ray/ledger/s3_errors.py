"""What an S3 server or its client says, in our terms: which failures pass, and what cures the others."""

from botocore import exceptions
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from mad_ray.core.errors import Missing, StoreError, StoreFull, Transient

# All that a boto3 call raises for reasons outside this program.
FAILURES = (exceptions.ClientError, exceptions.BotoCoreError, ResponseParserError, HTTPError)

_UNFOUND = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.ProfileNotFound,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
    exceptions.NoAuthTokenError,
)
_PASSING = (
    # No connection, timeouts, closed connections, bodies cut short.
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
    # A role's credentials come over the network too.
    exceptions.CredentialRetrievalError,
    exceptions.MetadataRetrievalError,
    ResponseParserError,
    HTTPError,
)
_PASSING_CODES = {
    "ConditionalRequestConflict",
    # A body that was cut short or changed on the way; sent again it may come whole.
    "BadDigest",
    "ClientDisconnected",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
    "OperationAborted",
    "InternalError",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
}
_REFUSED_CODES = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden", "AllAccessDisabled"}
_EXPIRED_CODES = {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}
_REGION_CODES = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}


def is_status(error: Exception, status: int) -> bool:
    """Whether the server answered with this HTTP status."""
    return isinstance(error, exceptions.ClientError) and _status(error) == status


def is_no_object(error: Exception) -> bool:
    """Whether the server said that there is no such object (of a bucket that does not exist it says something else)."""
    return is_status(error, 404) and isinstance(error, exceptions.ClientError) and _code(error) != "NoSuchBucket"


def translate(error: Exception, *, key: str, bucket: str, endpoint: str) -> StoreError:
    """One clear line for any of FAILURES. Only the server's code is quoted where its text could hold credentials."""
    where = f"bucket {bucket!r} at {endpoint}"
    if isinstance(error, exceptions.ClientError):
        return _answer(error, key, bucket, endpoint)
    if isinstance(error, _UNFOUND):
        return StoreError(
            f"{where}: no usable credentials were found ({type(error).__name__}); set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, a profile, or the machine's role, on every machine of the cluster"
        )
    if isinstance(error, exceptions.SSLError):
        return StoreError(
            f"{where}: TLS failed; check http or https in endpoint_url, and AWS_CA_BUNDLE for own certificates"
        )
    if isinstance(error, _PASSING):
        return Transient(f"{where}, object {key}: {type(error).__name__}, no proper answer")
    return StoreError(f"{where}, object {key}: {_one_line(error)}; check run.store")


def _answer(error: exceptions.ClientError, key: str, bucket: str, endpoint: str) -> StoreError:
    code, status = _code(error), _status(error)
    where = f"bucket {bucket!r} at {endpoint}"
    if code == "NoSuchBucket":
        return StoreError(f"bucket {bucket!r} does not exist at {endpoint}: create it, or correct run.store")
    if status == 507 or "quotaexceeded" in code.lower() or "storagefull" in code.lower():
        return StoreFull(f"{where} is full ({code}); make room or raise its quota, then run the same command again")
    if code in _PASSING_CODES or (status >= 500 and status != 501) or status in (408, 409, 429):
        return Transient(f"{where}, object {key}: {code} ({status})")
    if code in ("NoSuchKey", "404", "NotFound") or status == 404:
        return Missing(f"{where}: no object {key}")
    return StoreError(f"{where}, object {key}: {_remedy(error, code, status)}")


def _remedy(error: exceptions.ClientError, code: str, status: int) -> str:
    if code == "RequestTimeTooSkewed":
        return "refused, since this machine's clock is wrong; set it"
    if code in _EXPIRED_CODES:
        return f"credentials refused ({code}); they have expired: renew them, then run the same command again"
    if code in _REGION_CODES or status == 301:
        return f"the bucket lies in another region ({code}); add ?region=NAME to run.store"
    if code in _REFUSED_CODES or status in (401, 403):
        return (
            f"credentials refused ({code}); check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they allow "
            "s3:GetObject, PutObject, DeleteObject and ListBucket there"
        )
    if code == "NotImplemented" or status == 501:
        return (
            "the server does not know this request (conditional writes, perhaps); use another store or a newer server"
        )
    return f"the server refused: {code} ({status}), {_one_line(error)}"


def _code(error: exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "") or "unknown")


def _status(error: exceptions.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
