"""Settings of every command, from the environment (`SELVEDGE_*`) and a TOML file (`--config`); the environment wins.

Everything is checked at start: an unknown name says what is allowed, a wrong value says why. Secrets come from the
environment or from files that a setting names, never from the TOML file. `SELVEDGE_TEST_*` belongs to the tests, and
the variables that Kubernetes injects for a service called selvedge are not ours; both are passed over.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast
from urllib.parse import urlsplit

from pipeline.security import ALIASES, NAMES, SECRETS, Security, SecurityError

if TYPE_CHECKING:
    from faust.auth import Credentials

ENV = "SELVEDGE_"
KAFKA = "kafka."
TOPIC_NAME_MAX = 249
LONGEST_TOPIC = len(".profile-changes")
HASH_KEY_MIN = 16
HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")

Position = tuple[str, int, int]
"""(topic without prefix, partition, offset)."""


class SettingsError(ValueError):
    """A setting that is unknown or wrong; the message is one line that names it."""


@dataclass(frozen=True)
class Settings:
    """Checked settings. Times are milliseconds, as in Kafka's own settings."""

    brokers: str = "localhost:9092"
    prefix: str = "selvedge"
    policy_path: Path | None = None
    group: str = ""
    epoch_ms: int = 200
    session_timeout_ms: int = 30_000
    transaction_timeout_ms: int = 30_000
    shards: int = 8
    replication: int = 3
    clock: Literal["wall", "record"] = "wall"
    hash_key_file: Path | None = None
    skip: frozenset[Position] = frozenset()
    stats_file: Path | None = None
    http: tuple[str, int] | None = ("127.0.0.1", 9400)
    log: Literal["", "json", "text"] = ""
    traces: str = ""
    embedded: bool = False
    """The broker is librdkafka's in-process mock (`selvedge demo`): work around what it cannot do."""
    security: Security = field(default_factory=Security)

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", self.group or self.prefix)
        for name, option in OPTIONS.items():
            reason = option.check(getattr(self, option.attribute))
            if reason:
                raise SettingsError(f"{_env_name(name)}: {reason}")
        if self.epoch_ms >= self.transaction_timeout_ms:
            raise SettingsError(f"{_env_name('epoch_ms')}: an epoch must end before SELVEDGE_TRANSACTION_TIMEOUT_MS")

    def topic(self, name: str) -> str:
        """The topic as the broker knows it, for a name as the documentation has it."""
        return f"{self.prefix}.{name}"

    def hash_key(self) -> bytes | None:
        """The deployment's secret for keyed hashes; None: the public default. White space around it is no part."""
        if self.hash_key_file is None:
            return None
        return self.hash_key_file.read_bytes().strip()

    def librdkafka(self) -> dict[str, Any]:
        """Where and how to connect, for confluent-kafka's Producer, Consumer and AdminClient."""
        return {"bootstrap.servers": self.brokers, **self.security.librdkafka()}

    def aiokafka(self) -> dict[str, Any]:
        """Where and how to connect, as keyword arguments of aiokafka's clients."""
        return {"bootstrap_servers": self.brokers, **self.security.aiokafka()}

    def faust_credentials(self) -> Credentials | None:
        """For `faust.App(..., broker_credentials=…)`; None: plain text, leave it out."""
        return self.security.faust_credentials()

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, secrets included: what a worker process is started with."""
        plain = Settings()
        chosen = {name: getattr(self, option.attribute) for name, option in OPTIONS.items()}
        texts = {
            name: OPTIONS[name].text(value)
            for name, value in chosen.items()
            if value != getattr(plain, OPTIONS[name].attribute)
        }
        texts |= {KAFKA + name: value for name, value in self.security.options.items()}
        return {_env_name(name): text for name, text in texts.items()}


def load(environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """Settings from `environ` and the TOML file. Raises SettingsError with one line for the operator."""
    given = dict(_from_file(config)) if config is not None else {}
    given |= _from_environment(environ)
    given = {_one_name(name): value for name, value in given.items()}
    values: dict[str, Any] = {}
    kafka: dict[str, str] = {}
    for name, (label, raw) in given.items():
        if name.startswith(KAFKA):
            kafka[name.removeprefix(KAFKA)] = _kafka_value(name, label, raw)
        else:
            option = OPTIONS[name]
            values[option.attribute] = _parsed(option, label, raw)
    return Settings(**values, security=_security(kafka, {name: label for name, (label, _) in given.items()}))


class Option(NamedTuple):
    """One setting. `parse` makes its value from text or a TOML value and raises ValueError with the reason; `check`
    gives the reason why a value cannot be, or nothing; `text` is the way back. A hidden one is for our own use."""

    attribute: str
    help: str
    parse: Callable[[Any], Any]
    check: Callable[[Any], str | None]
    text: Callable[[Any], str] = str
    hidden: bool = False


def _whole(low: int, high: int) -> tuple[Callable[[Any], int], Callable[[Any], str | None]]:
    def parse(raw: Any) -> int:
        if isinstance(raw, bool) or not re.fullmatch(r"[+-]?\d+", str(raw).strip()):
            raise ValueError(f"{raw!r} is not a whole number")
        return int(raw)

    return parse, lambda value: None if low <= value <= high else f"{value} is not between {low} and {high}"


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"{raw!r} is not a text")
    return raw.strip()


def _path(raw: Any) -> Path:
    return Path(_text(raw)).expanduser()


def _yes(raw: Any) -> bool:
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if str(raw).lower() not in known:
        raise ValueError(f"{raw!r} is neither true nor false")
    return known[str(raw).lower()]


def _positions(raw: Any) -> frozenset[Position]:
    if not isinstance(raw, str | list):
        raise ValueError(f"{raw!r} is neither a text nor a list of texts")
    parts = [part.strip() for part in raw.split(",")] if isinstance(raw, str) else raw
    return frozenset(_position(part) for part in parts if part)


def _position(text: Any) -> Position:
    match = re.fullmatch(r"(touchpoints|mail):(\d+):(\d+)", str(text))
    if match is None:
        raise ValueError(f"{text!r} is not topic:partition:offset, as touchpoints:3:12345; topics: touchpoints, mail")
    return match[1], int(match[2]), int(match[3])


def _brokers(raw: Any) -> str:
    parts = [_text(part) for part in raw] if isinstance(raw, list) else _text(raw).split(",")
    return ",".join(part.strip() for part in parts if part.strip())


def _check_brokers(brokers: str) -> str | None:
    for broker in brokers.split(","):
        host, _, port = broker.rpartition(":")
        if not HOST.fullmatch(host) or not port.isdigit() or int(port) > 65535:
            return f"{broker!r} is not host:port"
    return None


def _check_prefix(prefix: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", prefix):
        return f"{prefix!r} has characters that a topic cannot have; allowed: letters, digits, '.', '_', '-'"
    if len(prefix) + LONGEST_TOPIC > TOPIC_NAME_MAX:
        return f"longer than {TOPIC_NAME_MAX - LONGEST_TOPIC} characters"
    return None


def _check_group(group: str) -> str | None:
    return None if len(group) <= TOPIC_NAME_MAX else f"longer than {TOPIC_NAME_MAX} characters"


def _check_file(path: Path | None) -> str | None:
    return None if path is None or path.is_file() else f"there is no file {path}"


def _check_hash_key(path: Path | None) -> str | None:
    if path is None or not path.is_file():
        return _check_file(path)
    short = len(path.read_bytes().strip()) < HASH_KEY_MIN
    return f"{path} holds less than {HASH_KEY_MIN} bytes" if short else None


def _check_clock(clock: str) -> str | None:
    return None if clock in ("wall", "record") else f"{clock!r} is not one of wall, record"


def _check_stats(path: Path | None) -> str | None:
    if path is None or path.absolute().parent.is_dir():
        return None
    return f"there is no directory {path.absolute().parent}"


def _http(raw: Any) -> tuple[str, int] | None:
    text = _text(raw)
    if text == "off":
        return None
    host, _, port = text.rpartition(":")
    if not HOST.fullmatch(host) or not port.isdigit():
        raise ValueError(f"{text!r} is neither host:port nor off")
    return host.strip("[]"), int(port)


def _check_http(address: tuple[str, int] | None) -> str | None:
    return None if address is None or 0 < address[1] < 65_536 else f"there is no port {address[1]}"


def _http_text(address: tuple[str, int] | None) -> str:
    if address is None:
        return "off"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_log(log: str) -> str | None:
    return None if log in ("", "json", "text") else f"{log!r} is not one of json, text"


def _check_url(url: str) -> str | None:
    if not url:
        return None
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well = False
    if not well:
        return "not a URL such as http://localhost:4318/v1/traces"
    if parts.username is not None or parts.query:
        return "a URL with a name, a password or a query: what is secret belongs in OTEL_EXPORTER_OTLP_HEADERS"
    return None


def _fine(_: object) -> None:
    return None


def _positions_text(positions: frozenset[Position]) -> str:
    return ",".join(f"{topic}:{partition}:{offset}" for topic, partition, offset in sorted(positions))


OPTIONS: dict[str, Option] = {
    "brokers": Option("brokers", "bootstrap brokers, host:port,…", _brokers, _check_brokers),
    "prefix": Option("prefix", "what the names of all topics begin with", _text, _check_prefix),
    "policy": Option("policy_path", "the policy file; none: the defaults", _path, _check_file),
    "group": Option("group", "consumer group of the workers; none: the prefix", _text, _check_group),
    "epoch_ms": Option(
        "epoch_ms",
        "longest time between two commits (while more than 10 s and 2,000 records behind: a tenth of that time, "
        "4 s at most)",
        *_whole(10, 60_000),
    ),
    "session_timeout_ms": Option(
        "session_timeout_ms", "silence after which a worker counts as dead", *_whole(1_000, 1_800_000)
    ),
    "transaction_timeout_ms": Option(
        "transaction_timeout_ms", "after this the broker aborts a transaction left open", *_whole(5_000, 900_000)
    ),
    "shards": Option("shards", "partitions of the work, for `topics apply`", *_whole(1, 4_096)),
    "replication": Option("replication", "replicas of every topic, for `topics apply`", *_whole(1, 32)),
    "clock": Option("clock", "wall, or record: time is what the touchpoints say", _text, _check_clock),
    "hash_key_file": Option("hash_key_file", "file with the secret of keyed hashes", _path, _check_hash_key),
    "skip": Option("skip", "records to pass over, topic:partition:offset,…", _positions, _fine, text=_positions_text),
    "stats_file": Option("stats_file", "file for the figures of a worker", _path, _check_stats),
    "http": Option("http", "where /metrics, /healthz and /readyz are, or off", _http, _check_http, text=_http_text),
    "log": Option("log", "json, or text; none: text at a terminal, else json", _text, _check_log),
    "traces": Option("traces", "OTLP/HTTP collector that spans are sent to; none: no spans", _text, _check_url),
    "embedded": Option("embedded", "the broker is the embedded one", _yes, _fine, hidden=True),
}
"""By the name in the TOML file; in capitals after `SELVEDGE_` it is the environment variable."""

VISIBLE = [name for name, option in OPTIONS.items() if not option.hidden]
KAFKA_NAMES = [KAFKA + name for name in (*NAMES, *(f"{secret}.file" for secret in SECRETS))]
INJECTED = re.compile(r"SELVEDGE(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")

Given = tuple[str, Any]
"""(what to call the setting in a message, its value as it was given)."""


def _one_name(name: str) -> str:
    return KAFKA + ALIASES.get(name.removeprefix(KAFKA), name.removeprefix(KAFKA)) if name.startswith(KAFKA) else name


def _env_name(name: str) -> str:
    return ENV + name.upper().replace(".", "_")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    """An empty variable counts as not set, because compose files and charts write those."""
    given: dict[str, Given] = {}
    for variable, raw in environ.items():
        if not variable.startswith(ENV) or variable.startswith("SELVEDGE_TEST_") or not raw.strip():
            continue
        if INJECTED.fullmatch(variable):
            continue
        name = variable.removeprefix(ENV).lower()
        if name.startswith("kafka_"):
            name = name.replace("_", ".")
        elif name not in OPTIONS:
            raise _unknown(variable, [_env_name(known) for known in VISIBLE + KAFKA_NAMES])
        given[name] = (variable, raw)
    return given


def _from_file(config: Path) -> Iterator[tuple[str, Given]]:
    try:
        document = tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{config}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{config}: is not TOML: {error}") from None
    for name, raw in _flat(document):
        if not name.startswith(KAFKA) and (name not in OPTIONS or OPTIONS[name].hidden):
            raise _unknown(f"{config}: {name}", VISIBLE + KAFKA_NAMES)
        if name.removeprefix(KAFKA) in SECRETS:
            raise SettingsError(
                f"{config}: {name}: secrets do not belong in this file; use {name}.file or {_env_name(name)}"
            )
        yield name, (f"{config}: {name}", raw)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names of all values: `[kafka]` with `security.protocol = …`, quoted or not, is one name."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _unknown(label: str, allowed: list[str]) -> SettingsError:
    written = label.rpartition(" ")[2]
    close = difflib.get_close_matches(written, allowed, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return SettingsError(f"{label}: unknown setting; {hint}allowed: {', '.join(allowed)}")


def _parsed(option: Option, label: str, raw: Any) -> Any:
    try:
        value = option.parse(raw)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{label}: {error}") from None
    reason = option.check(value)
    if reason:
        raise SettingsError(f"{label}: {reason}")
    return value


def _kafka_value(name: str, label: str, raw: Any) -> str:
    try:
        return _text(raw) if name.removeprefix(KAFKA) not in SECRETS else cast(str, raw)
    except ValueError as error:
        raise SettingsError(f"{label}: {error}") from None


def _security(kafka: dict[str, str], labels: Mapping[str, str]) -> Security:
    for secret in SECRETS:
        path = kafka.pop(f"{secret}.file", None)
        if path is None:
            continue
        if secret in kafka:
            raise SettingsError(f"{labels[KAFKA + secret]}: given twice, as a value and as a file")
        kafka[secret] = _secret(Path(path), labels[f"{KAFKA}{secret}.file"])
    try:
        return Security(kafka)
    except SecurityError as error:
        label = labels.get(KAFKA + error.name, _env_name(KAFKA + error.name))
        raise SettingsError(f"{label}: {error.reason}") from None


def _secret(path: Path, label: str) -> str:
    """The file's text without the line feed that editors put at its end."""
    try:
        return path.expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise SettingsError(f"{label}: cannot be read: {error.strerror}") from None


assert {option.attribute for option in OPTIONS.values()} | {"security"} == {part.name for part in fields(Settings)}
