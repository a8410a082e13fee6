"""All configuration, read once from environment variables, checked at start. `.env.example` documents each one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from analyzer.errors import BadSetting

MIB = 1024 * 1024
CORES = (
    int(os.environ["CORES"]) if re.fullmatch("0*[1-9][0-9]{0,2}", os.environ.get("CORES", "")) else os.cpu_count() or 1
)
LOG_LEVELS = ("debug", "info", "warning", "error")
LOCAL_PORTS = (3000, 3001, 3002)  # development servers of the selfie app
DEFAULT_ORIGINS = (
    "https://shineskincollective.com",
    "https://www.shineskincollective.com",
    *(f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in LOCAL_PORTS),
)
ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-]+(:\d{1,5})?")
LEAST_TOKEN_LENGTH = 16  # characters; shorter ones can be guessed
MOST_PIXELS = 89_000_000  # just below PIL.Image.MAX_IMAGE_PIXELS, above which Pillow warns of a decompression bomb
BUNDLED_MODELS = Path(__file__).resolve().parents[1] / "models"
USER_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "shine-hare-run"
MODEL_KEY = "hare_run_v6/hare_run_v6_facial/best_facial_model.h5"
MODEL_CLASSES = ("acne", "actinic_keratosis", "basal_cell_carcinoma", "eczema", "healthy", "rosacea")
MODEL_PRECISIONS = ("auto", "f32", "bf16", "int8")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
OWNER = re.compile(r"[0-9]{12}")
OBJECT = re.compile(r"(?!/)(?!.*//)(?!(.*/)?\.\.?(/|$))[A-Za-z0-9!_.*'()/=+-]{1,900}")
KERAS_OBJECT = re.compile(rf"(?=.*\.(h5|keras)$){OBJECT.pattern}")
ENDPOINT = re.compile(r"https?://[A-Za-z0-9.\-]+(:\d{1,5})?/?")
SHA256 = re.compile(r"[0-9a-f]{64}")
PUBLIC_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")  # 32 bytes as base64
CLASS = re.compile(r"[a-z][a-z0-9_]{0,63}")
# What an Authorization header takes (RFC 6750); shorter ones can be guessed.
KEY = re.compile(r"[A-Za-z0-9._~+/=-]{16,128}")
OCTET = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
HOST = re.compile(rf"{OCTET}(\.{OCTET}){{3}}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*|(?=.*[a-zA-Z])[a-zA-Z0-9.-]+")
REDIS = re.compile(r"(rediss?|unix)://\S+")
LEAST_DECODE_MIB = 1024  # a usual photo beside the largest JPEG, PNG or HEIC, which takes 906
PHONE_PHOTO_MIB = 224  # a HEIC of 12 megapixels with its profile takes 221, such a JPEG 174
FORMER = {"MAX_LARGE": "MAX_LARGE is no longer a setting: MAX_DECODE_MIB bounds the memory of all pictures instead."}
HINT = "Correct the environment variable; .env.example describes it."


def decode_mib(places: int) -> int:
    """Return the default of MAX_DECODE_MIB: room for a usual photo at each place, and for most of the largest pictures."""
    return max(LEAST_DECODE_MIB, PHONE_PHOTO_MIB * places)


@dataclass(frozen=True)
class StoreSettings:
    """Where the artefact of the ensemble comes from.

    Attributes:
        bucket: S3 bucket that publishes it; None = S3 is off.
        expected_owner: account (12 digits) that the bucket must belong to; None = not checked, in an S3 that is not Amazon's.
        prefix: of the artefact's objects, with its last slash; a `card.json` there wins over `key`.
        key: of a bare Keras file, taken where there is no card.
        endpoint_url: of an S3 that is not Amazon's.
        public_keys: of publishers, Ed25519 as base64; a card in S3 must be signed with one of them.
        card_sha256: of the cards in S3 that may be opened; none other is then, whoever signed it.
        allow_unsigned: open what is published with a card and without a signature.
        sha256: of the bare Keras files that may be opened.
        trust_bare: open bare Keras files whose sha256 is not listed.
        classes: names of a bare file's outputs, in their order.
        folder: of the local artefacts.
        cache: folder for what was fetched.
        precision: of the arithmetic, one of `MODEL_PRECISIONS`.
        poll_s: seconds between two looks at S3; 0 = only on SIGHUP.
        start_wait_s: seconds that the first load waits for S3 before it takes what is there.
        connect_timeout_s, read_timeout_s: of one attempt to reach S3, and of silence on a connection.
        download_timeout_s: of one whole download.
    """

    bucket: str | None = None
    expected_owner: str | None = None
    prefix: str = f"{PurePosixPath(MODEL_KEY).parent}/"
    key: str = MODEL_KEY
    endpoint_url: str | None = None
    public_keys: tuple[str, ...] = ()
    card_sha256: tuple[str, ...] = ()
    allow_unsigned: bool = False
    sha256: tuple[str, ...] = ()
    trust_bare: bool = False
    classes: tuple[str, ...] = MODEL_CLASSES
    folder: Path = BUNDLED_MODELS
    cache: Path = USER_CACHE
    precision: str = "auto"
    poll_s: float = 300.0
    start_wait_s: float = 2.5
    connect_timeout_s: float = 2.0
    read_timeout_s: float = 10.0
    download_timeout_s: float = 600.0


@dataclass(frozen=True)
class Settings:
    """Configuration of one service process.

    Attributes:
        host, port: where the server listens.
        log_level: least level that is written.
        cors_origins: origins whose pages may read answers; ``("*",)`` allows all.
        max_body_bytes: request bodies above this get 413.
        max_pixels: pictures that announce more pixels are refused before decoding.
        threads: server threads; each holds one connection that sends, waits or is answered.
        max_analyses: pictures that are decoded and analysed at the same time.
        max_queue: requests that wait for a place, of any kind; further ones get 503 at once. Never so many that less than
            16 threads are left for health.
        queue_timeout_s: longest wait of a request, all its waits together; who would wait longer gets 503 at once.
        max_decode_bytes: memory that the pictures being analysed may take while they are decoded, all together
            (`analyzer.image.memory`); one that takes all of it is analysed alone.
        read_timeout_s: seconds without a byte after which an upload is given up, and until a request's head must be complete.
        graceful_timeout_s: seconds that requests in flight get to finish when the server stops.
        opencv_threads: threads of one OpenCV call.
        cores: threads of one analysis and of one network, `CORES`; read when the process starts.
        operator_token: bearer token for `/metrics` and paths in the model status; None = no token is accepted.
        operator_local: direct callers from this machine count as operators.
        api_keys: one of them is needed to send a picture; empty = none is needed.
        rate_limit: pictures that one client may send in a minute; 0 = no limit.
        rate_limit_redis_url: where several processes count together; None = each for itself.
        trusted_hops: proxies in front, each of which appends to `X-Forwarded-For`.
        store: where the artefact of the ensemble comes from.
    """

    host: str = "0.0.0.0"
    port: int = 8000
    log_level: str = "info"
    cors_origins: tuple[str, ...] = DEFAULT_ORIGINS
    max_body_bytes: int = 24 * MIB
    max_pixels: int = 50_000_000
    threads: int = 160
    max_analyses: int = CORES
    max_queue: int = 128
    queue_timeout_s: float = 15.0
    max_decode_bytes: int = decode_mib(CORES) * MIB
    read_timeout_s: float = 15.0
    graceful_timeout_s: int = 30
    opencv_threads: int = CORES
    cores: int = CORES
    operator_token: str | None = field(default=None, repr=False)
    operator_local: bool = True
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    rate_limit: int = 0
    rate_limit_redis_url: str | None = field(default=None, repr=False)
    trusted_hops: int = 0
    store: StoreSettings = StoreSettings()


def read(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from environment variables; what is unset or empty keeps its default.

    Raises:
        BadSetting: a value is malformed or out of its range; the message names the variable.
    """
    env = os.environ if environment is None else environment
    default = Settings()
    _refuse_former(env)
    max_analyses = _integer(env, "MAX_ANALYSES", default.max_analyses, 1, 64)
    return Settings(
        host=_matching(env, "HOST", HOST, "an IP address such as 0.0.0.0, or a name") or default.host,
        port=_integer(env, "PORT", default.port, 1, 65535),
        log_level=_word(env, "LOG_LEVEL", default.log_level, LOG_LEVELS),
        cors_origins=_origins(env, "CORS_ORIGINS", default.cors_origins),
        max_body_bytes=_integer(env, "MAX_BODY_MIB", default.max_body_bytes // MIB, 1, 256) * MIB,
        max_pixels=_integer(env, "MAX_PIXELS", default.max_pixels, 100_000, MOST_PIXELS),
        threads=_integer(env, "THREADS", default.threads, 2, 512),
        max_analyses=max_analyses,
        max_queue=_integer(env, "MAX_QUEUE", default.max_queue, 0, 1024),
        queue_timeout_s=_number(env, "QUEUE_TIMEOUT_S", default.queue_timeout_s, 0.0, 120.0),
        max_decode_bytes=_integer(env, "MAX_DECODE_MIB", decode_mib(max_analyses), 64, 65_536) * MIB,
        read_timeout_s=_number(env, "READ_TIMEOUT_S", default.read_timeout_s, 1.0, 300.0),
        graceful_timeout_s=_integer(env, "GRACEFUL_TIMEOUT_S", default.graceful_timeout_s, 1, 600),
        opencv_threads=_integer(env, "OPENCV_THREADS", default.opencv_threads, 1, 64),
        cores=_integer(env, "CORES", default.cores, 1, 999),
        operator_token=_token(env, "OPERATOR_TOKEN"),
        operator_local=_word(env, "OPERATOR_LOCAL", "yes", ("yes", "no")) == "yes",
        api_keys=_list(env, "API_KEYS", (), KEY, "different keys of 16 to 128 letters, digits or ._~+/=-"),
        rate_limit=_integer(env, "RATE_LIMIT_PER_MINUTE", default.rate_limit, 0, 100_000),
        rate_limit_redis_url=_matching(env, "RATE_LIMIT_REDIS_URL", REDIS, "an address such as redis://host:6379/0"),
        trusted_hops=_integer(env, "TRUSTED_HOPS", default.trusted_hops, 0, 8),
        store=_store(env),
    )


def _refuse_former(env: Mapping[str, str]) -> None:
    for name, message in FORMER.items():
        if env.get(name, "").strip():
            raise BadSetting(message, HINT)


def _store(env: Mapping[str, str]) -> StoreSettings:
    default = StoreSettings()
    prefix, key = _objects(env)
    return StoreSettings(
        bucket=_matching(env, "S3_BUCKET", BUCKET, "the name of a bucket"),
        expected_owner=_owner(env),
        prefix=prefix,
        key=key,
        endpoint_url=_matching(env, "AWS_ENDPOINT_URL", ENDPOINT, "an address such as https://s3.example.com"),
        public_keys=_list(env, "MODEL_PUBLIC_KEYS", (), PUBLIC_KEY, "public keys of 44 characters, base64 of 32 bytes"),
        card_sha256=_list(env, "MODEL_CARD_SHA256", (), SHA256, "sha256 sums of 64 small hexadecimal digits"),
        allow_unsigned=_word(env, "MODEL_ALLOW_UNSIGNED", "no", ("yes", "no")) == "yes",
        sha256=_list(env, "MODEL_SHA256", (), SHA256, "sha256 sums of 64 small hexadecimal digits"),
        trust_bare=_word(env, "MODEL_TRUST_BARE", "no", ("yes", "no")) == "yes",
        classes=_list(env, "MODEL_CLASSES", default.classes, CLASS, "at least two different class names"),
        folder=model_dir(env),
        cache=Path(env.get("MODEL_CACHE_DIR") or default.cache),
        precision=_word(env, "MODEL_PRECISION", default.precision, MODEL_PRECISIONS),
        poll_s=_number(env, "MODEL_POLL_S", default.poll_s, 0.0, 86_400.0),
        start_wait_s=_number(env, "MODEL_START_WAIT_S", default.start_wait_s, 0.0, 60.0),
        connect_timeout_s=_number(env, "S3_CONNECT_TIMEOUT_S", default.connect_timeout_s, 0.1, 60.0),
        read_timeout_s=_number(env, "S3_READ_TIMEOUT_S", default.read_timeout_s, 0.1, 300.0),
        download_timeout_s=_number(env, "MODEL_DOWNLOAD_TIMEOUT_S", default.download_timeout_s, 1.0, 86_400.0),
    )


def _owner(env: Mapping[str, str]) -> str | None:
    """Account of the bucket; Amazon gives a name that is given up to whoever wants it, so that the name alone says nothing."""
    owner = _matching(env, "S3_EXPECTED_OWNER", OWNER, "an account number of 12 digits")
    if owner is None and env.get("S3_BUCKET", "").strip() and not env.get("AWS_ENDPOINT_URL", "").strip():
        raise BadSetting(
            "S3_BUCKET is set and S3_EXPECTED_OWNER is not: name the account that the bucket belongs to.", HINT
        )
    return owner


def _objects(env: Mapping[str, str]) -> tuple[str, str]:
    """Prefix and key: each is taken from the other where only one is set."""
    key = _matching(env, "S3_MODEL_KEY", KERAS_OBJECT, "the key of a .h5 or .keras object, such as folder/x.h5")
    prefix = _matching(env, "S3_MODEL_PREFIX", OBJECT, "the folder of an artefact in its bucket, such as models/skin/")
    if prefix is None:
        folder, _, _ = (key or MODEL_KEY).rpartition("/")
        return (f"{folder}/" if folder else ""), key or MODEL_KEY
    prefix = f"{prefix.rstrip('/')}/"
    return prefix, key or prefix + PurePosixPath(MODEL_KEY).name


def model_dir(environment: Mapping[str, str] | None = None) -> Path:
    """Folder of the artefacts: MODEL_DIR, else `models/` beside the analyzer. One for the process, so no part of Settings."""
    env = os.environ if environment is None else environment
    return Path(env.get("MODEL_DIR") or BUNDLED_MODELS)


def _integer(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    if not re.fullmatch(r"[+-]?[0-9]{1,12}", text) or not least <= int(text) <= most:
        raise BadSetting(f"{name} must be a whole number from {least} to {most}.", HINT)
    return int(text)


def _number(env: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = env.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise BadSetting(f"{name} must be a number from {least:g} to {most:g}.", HINT)
    return value


def _word(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    word = env.get(name, "").strip().lower() or default
    if word not in allowed:
        raise BadSetting(f"{name} must be one of {', '.join(allowed)}.", HINT)
    return word


def _matching(env: Mapping[str, str], name: str, pattern: re.Pattern[str], meaning: str) -> str | None:
    text = env.get(name, "").strip()
    if text and not pattern.fullmatch(text):
        raise BadSetting(f"{name} must be {meaning}.", HINT)
    return text or None


def _list(
    env: Mapping[str, str], name: str, default: tuple[str, ...], pattern: re.Pattern[str], meaning: str
) -> tuple[str, ...]:
    """Different words separated by commas, at least as many as two where the default has more than one."""
    parts = tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())
    few = bool(parts) and len(parts) < min(2, len(default))
    if few or len(set(parts)) != len(parts) or not all(pattern.fullmatch(part) for part in parts):
        raise BadSetting(f"{name} must be {meaning}, separated by commas.", HINT)
    return parts or default


def _origins(env: Mapping[str, str], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in env.get(name, "").split(",") if part.strip())
    if any(origin != "*" and not ORIGIN.fullmatch(origin) for origin in origins):
        raise BadSetting(f"{name} must be origins such as https://example.com, separated by commas, or *.", HINT)
    return origins or default


def _token(env: Mapping[str, str], name: str) -> str | None:
    token = env.get(name, "").strip()
    if token and len(token) < LEAST_TOKEN_LENGTH:
        raise BadSetting(f"{name} must have at least {LEAST_TOKEN_LENGTH} characters.", HINT)
    return token or None
