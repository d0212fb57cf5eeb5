"""The command line: starts fast, says what is wrong in one line, and leaves the right exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.running import OUTPUT_TOPICS
from pipeline.core.policy import load
from pipeline.sample import SHOWCASE

COMMANDS = ("demo", "explain", "policy", "produce", "replay", "sample", "topics", "watch", "worker")
HEAVY = ("faust", "aiokafka", "confluent_kafka", "pyarrow", "rich", "networkx")


def selvedge(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as a user does, with no settings but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SELVEDGE_")}
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=kept | settings, timeout=120)


def error_of(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """The one line that an error is."""
    assert done.returncode == status, done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("shop") / "touchpoints.jsonl"
    done = selvedge("sample", "--touchpoints", "600", "--shoppers", "50", str(file))
    assert done.returncode == 0, done.stderr
    return file


def test_help_lists_every_command_and_each_explains_itself() -> None:
    listed = selvedge("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\w", listed, re.MULTILINE)
        assert "Usage: selvedge" in selvedge(command, "--help").stdout


@pytest.mark.parametrize("arguments", [("--help",), ("replay", "--help"), ("watch", "--help")])
def test_nothing_heavy_is_imported_before_it_is_needed(arguments: tuple[str, ...]) -> None:
    assert not _imported(f"from pipeline.cli import selvedge; selvedge({list(arguments)!r})")


def test_replay_needs_no_kafka_and_no_faust(shop: Path, tmp_path: Path) -> None:
    arguments = ["replay", "--output", str(tmp_path / "out"), str(shop)]
    assert not _imported(f"from pipeline.cli import selvedge; selvedge({arguments!r})")


def _imported(code: str) -> list[str]:
    """Heavy packages that a run has imported."""
    told = f"""
import sys
try:
    {code}
except SystemExit as end:
    assert not end.code, end.code
print("heavy:", *(name for name in {HEAVY!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def test_an_unknown_setting_names_itself_and_what_is_allowed() -> None:
    line = error_of(selvedge("topics", "plan", SELVEDGE_BROKER="localhost:9092"))
    assert "SELVEDGE_BROKER:" in line
    assert "SELVEDGE_BROKERS" in line


def test_a_wrong_setting_in_a_file_is_told_with_the_file(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('clock = "sand"\n')
    line = error_of(selvedge("worker", "--config", str(config)))
    assert str(config) in line
    assert "wall, record" in line


def test_a_broker_that_is_not_there_is_one_line_per_reason_and_an_error() -> None:
    from pipeline.kafka import connect
    from pipeline.settings import Settings

    told: list[str] = []
    settings = Settings(brokers="127.0.0.1:1")
    with pytest.raises(connect.BrokerAbsent, match=r"127\.0\.0\.1:1"):
        connect.connect(settings, told.append, patience_s=0.1)
    assert all("127.0.0.1:1" in line for line in told)


def test_policy_check_prints_a_policy_that_it_accepts(tmp_path: Path) -> None:
    mine = tmp_path / "policy.toml"
    mine.write_text('[triggers]\ncart_delay = "45m"\n')
    printed = selvedge("policy", "check", str(mine))
    assert 'cart_delay = "45m"' in printed.stdout
    assert "person_max" in printed.stdout
    assert load(printed.stdout).digest == load(mine.read_text()).digest


def test_policy_check_names_key_and_line_of_a_mistake(tmp_path: Path) -> None:
    mine = tmp_path / "policy.toml"
    mine.write_text('[triggers]\n\ncart_dealy = "45m"\n')
    line = error_of(selvedge("policy", "check", str(mine)))
    assert "cart_dealy" in line
    assert "line 3" in line


def test_wrong_usage_is_exit_status_2() -> None:
    assert selvedge("replay").returncode == 2
    assert selvedge("watch", "everything").returncode == 2
    assert selvedge("replay", "--until", "tomorrow", "--output", "x", __file__).returncode == 2


def test_watch_knows_the_topics_that_can_be_watched() -> None:
    from pipeline.kafka.watch import TOPICS

    assert OUTPUT_TOPICS == TOPICS


def test_replay_writes_the_same_persons_for_any_number_of_shards(shop: Path, tmp_path: Path) -> None:
    outputs = []
    for shards in ("1", "5"):
        done = selvedge("replay", "--shards", shards, "--output", str(tmp_path / shards), str(shop))
        assert done.returncode == 0, done.stderr
        outputs.append((tmp_path / shards / "identities.jsonl").read_bytes())
    assert outputs[0] == outputs[1]
    assert outputs[0]


def test_replay_up_to_a_time_reads_nothing_later(shop: Path, tmp_path: Path) -> None:
    done = selvedge("replay", "--until", "2026-03-13T00:00:00Z", "--output", str(tmp_path), str(shop))
    assert done.returncode == 0, done.stderr
    profiles = [json.loads(line) for line in (tmp_path / "profiles.jsonl").read_text().splitlines()]
    assert profiles
    assert all(profile.get("updated_at", "") <= "2026-03-13T00:00:00Z" for profile in profiles)


def test_explain_tells_the_way_from_the_cookie_to_the_loyalty_card(shop: Path) -> None:
    cookie, loyalty = f"cookie:{SHOWCASE.cookie}", f"loyalty:{SHOWCASE.loyalty}"
    done = selvedge("explain", "--input", str(shop), cookie, loyalty)
    assert done.returncode == 0, done.stderr
    assert cookie in done.stdout
    assert loyalty in done.stdout
    found = json.loads(selvedge("explain", "--json", "--input", str(shop), cookie, loyalty).stdout)
    assert found["verdict"] == "same"
    assert found["path"]


def test_explain_of_an_identifier_that_was_never_seen_is_an_error(shop: Path) -> None:
    assert "cookie:nobody" in error_of(selvedge("explain", "--input", str(shop), "cookie:nobody"))


def test_explain_of_no_identifier_is_wrong_usage_and_suggests_one(shop: Path) -> None:
    done = selvedge("explain", "--input", str(shop), SHOWCASE.cookie)
    assert done.returncode == 2
    assert f"did you mean cookie:{SHOWCASE.cookie}?" in done.stderr


def test_explain_says_the_same_from_a_replay_as_from_its_history(shop: Path, tmp_path: Path) -> None:
    name = f"cookie:{SHOWCASE.cookie}"
    replayed = selvedge("replay", "--shards", "3", "--final", "--output", str(tmp_path), str(shop))
    assert replayed.returncode == 0, replayed.stderr
    assert (
        selvedge("explain", "--input", str(tmp_path), name).stdout
        == selvedge("explain", "--input", str(shop), name).stdout
    )
    assert "not both" in selvedge("explain", "--input", str(tmp_path), "--input", str(shop), name).stderr
    assert "--input" in error_of(
        selvedge("explain", "--input", str(tmp_path), "--policy", _toml(tmp_path, "order = ['cookie']"), name)
    )


def test_explain_from_a_directory_that_no_replay_wrote_says_so(tmp_path: Path) -> None:
    assert "was not written by `selvedge replay`" in error_of(selvedge("explain", "--input", str(tmp_path), "cookie:x"))


def test_explain_draws_and_looks_under_another_policy(shop: Path, tmp_path: Path) -> None:
    picture, name = tmp_path / "person.svg", f"cookie:{SHOWCASE.cookie}"
    done = selvedge("explain", "--input", str(shop), "--format", "svg", "--output", str(picture), name)
    assert (done.returncode, done.stdout) == (0, "")
    assert picture.read_text().startswith("<svg")
    assert "<graphml" in selvedge("explain", "--input", str(shop), "--format", "graphml", name).stdout
    stricter = _toml(tmp_path, "person_max = 1")
    assert "would leave" in selvedge("explain", "--input", str(shop), "--policy", stricter, name).stdout


def _toml(directory: Path, identity: str) -> str:
    file = directory / "other.toml"
    file.write_text(f"[identity]\n{identity}\n")
    return str(file)


def test_policy_diff_tells_before_it_is_applied_who_and_what_would_change(shop: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text("")
    new.write_text("[identity]\nperson_max = 2\nfold_case = ['cookie']\n[triggers]\nrequire_consent = false\n")
    told = selvedge("policy", "diff", str(old), str(new), str(shop))
    assert told.returncode == 0, told.stderr
    assert 'identity.fold_case: [] -> ["cookie"]  [fold]' in told.stdout
    assert "selvedge rebuild" in told.stdout
    found = json.loads(selvedge("policy", "diff", "--format", "json", str(old), str(new), str(shop)).stdout)
    assert found["rebuild"]
    assert found["persons"]["split"] > 0
    assert {(one["before"], one["after"]) for one in found["triggers"]} >= {("suppressed", "fired")}
    assert "Nothing would differ." in selvedge("policy", "diff", str(old), str(old), str(shop)).stdout


def test_a_file_that_cannot_be_written_is_one_line(shop: Path) -> None:
    line = error_of(selvedge("replay", "--output", str(shop / "below"), str(shop)))
    assert str(shop) in line


def test_a_reader_that_has_seen_enough_is_no_error_message() -> None:
    command = f"{sys.executable} -m pipeline sample | head -c 100"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout
    assert done.stderr == ""


def test_nothing_is_coloured_or_drawn_where_there_is_no_terminal(shop: Path, tmp_path: Path) -> None:
    done = selvedge("replay", "--output", str(tmp_path), str(shop))
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr == ""
