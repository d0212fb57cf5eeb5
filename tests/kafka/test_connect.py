"""A broker that is not there: one line, patience, an end; and a start as soon as it is there."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from pipeline.kafka.connect import BrokerAbsent, _unreachable, connect
from pipeline.settings import Settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Forwarder:
    """Lets connections to `port` through to `address`, as if a broker had come up there."""

    def __init__(self, port: int, address: str) -> None:
        host, _, target = address.partition(":")
        self._target = host, int(target)
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            broker = socket.create_connection(self._target)
            for source, sink in ((client, broker), (broker, client)):
                threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
    except OSError:
        pass
    sink.close()


def test_a_broker_that_comes_up_late_is_found(embedded: str) -> None:
    port = free_port()
    told: list[str] = []
    with ExitStack() as stack:

        def when_told(line: str) -> None:
            told.append(line)
            stack.callback(Forwarder(port, embedded).close)

        admin = connect(Settings(brokers=f"127.0.0.1:{port}"), when_told, patience_s=30)
        assert "selvedge.touchpoints" in admin.list_topics(timeout=10).topics
    assert len(told) == 1
    assert told[0].startswith(f"no answer from 127.0.0.1:{port}: ")


def test_brokers_that_give_addresses_which_cannot_be_reached_are_named(embedded: str) -> None:
    host, _, port = embedded.partition(":")
    here, nowhere = SimpleNamespace(host=host, port=int(port)), SimpleNamespace(host="127.0.0.1", port=free_port())
    assert _unreachable([nowhere, here]) == _unreachable([]) == ""
    assert f"say that they are at 127.0.0.1:{nowhere.port}" in _unreachable([nowhere])
    assert "advertised.listeners" in _unreachable([nowhere])


def test_patience_ends_with_the_address_the_reason_and_the_time() -> None:
    told: list[str] = []
    with pytest.raises(BrokerAbsent) as caught:
        connect(Settings(brokers="127.0.0.1:1"), told.append, patience_s=3)
    assert str(caught.value) == (
        "no answer from 127.0.0.1:1 in 3 s: Connect to ipv4#127.0.0.1:1 failed: Connection refused"
    )
    assert len(told) == 1
