"""Security of the connections to Kafka: one set of settings, in librdkafka's own names, for every client we use.

Two client libraries talk to the brokers: librdkafka writes and aiokafka (inside Faust) reads. A setting that only one
of them would obey is worse than none, so what cannot be carried over to both is refused at start, and so is a setting
that would have no effect under the chosen protocol: a typing error must not end in an open connection.
"""

from __future__ import annotations

import difflib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faust.auth import Credentials

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
HOST_CHECKS = ("https", "none")

SECRETS = ("sasl.password", "ssl.key.password")
FILES = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
NAMES = (
    "security.protocol",
    "sasl.mechanism",
    "sasl.username",
    *FILES,
    "ssl.endpoint.identification.algorithm",
    *SECRETS,
)
ALIASES = {"sasl.mechanisms": "sasl.mechanism"}
"""librdkafka knows both names; whoever reads settings turns the first into the second."""


class SecurityError(ValueError):
    """A security setting that is wrong or not supported. `name` is librdkafka's name of it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


@dataclass(frozen=True)
class Security:
    """Checked settings in librdkafka's names. Its repr shows no secret; `options` holds them in clear."""

    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.options:
            _check_name(name)
        object.__setattr__(self, "options", _checked(dict(self.options)))

    def __repr__(self) -> str:
        shown = {name: "***" if name in SECRETS else value for name, value in self.options.items()}
        return f"Security({shown})"

    def secrets(self) -> list[str]:
        """What must be in no line that this process says."""
        return [self.options[name] for name in SECRETS if self.options.get(name)]

    @property
    def protocol(self) -> str:
        return self.options.get("security.protocol", "PLAINTEXT")

    @property
    def mechanism(self) -> str | None:
        return self.options.get("sasl.mechanism")

    def librdkafka(self) -> dict[str, Any]:
        """Settings for confluent-kafka's Producer, Consumer and AdminClient."""
        return dict(self.options)

    def aiokafka(self) -> dict[str, Any]:
        """Keyword arguments for aiokafka's AIOKafkaConsumer and the like."""
        arguments: dict[str, Any] = {"security_protocol": self.protocol}
        if self.mechanism is not None:
            arguments["sasl_mechanism"] = self.mechanism
            arguments["sasl_plain_username"] = self.options["sasl.username"]
            arguments["sasl_plain_password"] = self.options["sasl.password"]
        context = self.ssl_context()
        if context is not None:
            arguments["ssl_context"] = context
        return arguments

    def faust_credentials(self) -> Credentials | None:
        """What Faust takes: `faust.App(..., broker_credentials=settings.faust_credentials())`. None: plain text.

        Faust's transport hands it to aiokafka by itself (`credentials_to_aiokafka_auth`).
        """
        from faust.auth import SASLCredentials, SSLCredentials

        context = self.ssl_context()
        if self.mechanism is not None:
            return SASLCredentials(
                username=self.options["sasl.username"],
                password=self.options["sasl.password"],
                mechanism=self.mechanism,
                ssl_context=context,
            )
        return SSLCredentials(context) if context is not None else None

    def ssl_context(self) -> ssl.SSLContext | None:
        """TLS as these settings ask for it; None when the protocol has none. The system's authorities are trusted
        unless `ssl.ca.location` (a PEM file or a directory of hashed ones) names others."""
        if not self.protocol.endswith("SSL"):
            return None
        authority = self.options.get("ssl.ca.location")
        where = {} if authority is None else {"capath" if Path(authority).is_dir() else "cafile": authority}
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, **where)
        context.check_hostname = self.options.get("ssl.endpoint.identification.algorithm", "https") == "https"
        if "ssl.certificate.location" in self.options:
            # Without a password function OpenSSL would ask for one on the terminal.
            context.load_cert_chain(
                self.options["ssl.certificate.location"],
                self.options["ssl.key.location"],
                password=lambda: self.options.get("ssl.key.password", ""),
            )
        return context


def _check_name(name: str) -> None:
    if name in NAMES:
        return
    close = difflib.get_close_matches(name, NAMES, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise SecurityError(name, f"not supported; {hint}allowed: {', '.join(NAMES)}")


def _checked(options: dict[str, str]) -> dict[str, str]:
    """The options with enumerated values in their usual spelling. Raises SecurityError."""
    _choose(options, "security.protocol", PROTOCOLS, str.upper)
    _choose(options, "sasl.mechanism", MECHANISMS, str.upper)
    _choose(options, "ssl.endpoint.identification.algorithm", HOST_CHECKS, str.lower)
    protocol = options.get("security.protocol", "PLAINTEXT")
    for name in options:
        layer = name.partition(".")[0]
        if layer in ("sasl", "ssl") and layer.upper() not in protocol.split("_"):
            raise SecurityError(name, f"has no effect with security.protocol {protocol}; set that to {_using(layer)}")
    if protocol.startswith("SASL"):
        options.setdefault("sasl.mechanism", "PLAIN")
        _require(options, ("sasl.username", "sasl.password"), f"needed by security.protocol {protocol}")
    if "ssl.certificate.location" in options or "ssl.key.location" in options:
        both = ("ssl.certificate.location", "ssl.key.location")
        _require(options, both, "a client certificate and its key are needed together")
    elif "ssl.key.password" in options:
        raise SecurityError("ssl.key.password", "has no effect without ssl.certificate.location and ssl.key.location")
    for name in FILES:
        if name in options and not Path(options[name]).exists():
            raise SecurityError(name, f"there is no file {options[name]}")
    return options


def _choose(options: dict[str, str], name: str, choices: tuple[str, ...], spelling: Any) -> None:
    if name not in options:
        return
    options[name] = spelling(options[name])
    if options[name] not in choices:
        raise SecurityError(name, f"{options[name]!r} is not one of {', '.join(choices)}")


def _using(layer: str) -> str:
    return " or ".join(protocol for protocol in PROTOCOLS if layer.upper() in protocol.split("_"))


def _require(options: Mapping[str, str], names: tuple[str, ...], reason: str) -> None:
    for name in names:
        if name not in options:
            raise SecurityError(name, f"is missing: {reason}")
