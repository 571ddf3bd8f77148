# SPDX-License-Identifier: Apache-2.0
"""sync.ini: the dialect, and the keys of the application."""

import os
import pathlib
import re

import pytest

from weave.server.check import check
from weave.server.config import NOTICE, Config, ConfigError
from weave.server.keys import KEYS
from weave.server.settings import load, read


@pytest.fixture
def write(tmp_path):
    """Writes files, the first of which is returned: write("text", name="text")."""

    def write(text, **others):
        for name, other in others.items():
            (tmp_path / (name + ".ini")).write_text(other, encoding="utf-8")
        path = tmp_path / "sync.ini"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return str(path)

    return write


def value(path, section="s", key="k"):
    return Config(path).find(section, key).value()


@pytest.mark.parametrize(
    "text, expected",
    [
        ("5", 5),
        ("-12", -12),
        ("+5", "+5"),
        ("5.5", "5.5"),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", "9223372036854775808"),
        ("True", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("", ""),
        ('"5"', "5"),
        ('"true"', "true"),
        ('"${HOME} %(here)s"', "${HOME} %(here)s"),
        ('"', '"'),
        ('""', ""),
        ("100%", "100%"),
        ("$5 $ ${ ${} ${5}", "$5 $ ${ ${} ${5}"),
        ("a # no comment ; either", "a # no comment ; either"),
        ('\n  a\n  5\n\n  true\n  "5"', ["a", 5, True, "5"]),
        ("\n  only", "only"),
        ("é", "é"),
    ],
)
def test_values(write, text, expected):
    found = value(write("[s]\nk = %s\n" % text))
    assert (found, type(found)) == (expected, type(expected))


def test_here_and_environment(write, tmp_path, monkeypatch):
    monkeypatch.setenv("WEAVE_TEST", "%(here)s ${X}")
    monkeypatch.setenv("WEAVE_NUMBER", "5")
    here = str(tmp_path)
    assert value(write("[s]\nk = %(here)s/x:%(here)s")) == here + "/x:" + here
    assert value(write("[s]\nk = a${WEAVE_TEST}b")) == "a%(here)s ${X}b"
    assert value(write("[s]\nk = ${WEAVE_NUMBER}")) == 5


def test_unset_variable(write, monkeypatch):
    monkeypatch.delenv("WEAVE_UNSET", raising=False)
    with pytest.raises(
        ConfigError, match=r"sync.ini:3: \[s\] k: .*WEAVE_UNSET is not set"
    ):
        value(write("[s]\n\nk = ${WEAVE_UNSET}"))


def test_names_of_keys(write):
    path = write("[s]\nKey = 1\nenviron.Path = 2\nENV.Path: 3\n")
    assert set(Config(path).entries("s")) == {"key", "environ.Path", "env.Path"}


def test_defaults(write):
    config = Config(write("[DEFAULT]\na = 1\nb = 2\n[s]\nb = 3\n[DEFAULT]\nc = 4\n"))
    assert config.sections() == ["s"]
    assert set(config.entries("s")) == {"b"}
    assert [config.find("s", key).value() for key in "abc"] == [1, 3, 4]
    assert config.find("s", "d") is None


def test_line_endings(write):
    assert value(write(b"[s]\r\nk = 1\r\n  2\rl = 3\n")) == [1, 2]


def test_byte_order_mark(write):
    assert value(write(b"\xef\xbb\xbf[s]\nk = 1")) == 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("k = 1", r"sync.ini:1: stands above the first \[section\]"),
        ("[s]\nk = 1\nk = 2", r"sync.ini:3: \[s\] k stands there twice"),
        ("[s]\n[s]", r"sync.ini:2: \[s\] begins a second time"),
        ("[s]\nnonsense", "sync.ini:2: is neither"),
        (b"[s]\n\nk = \xff", r"sync.ini:3: is not UTF-8"),
        (b"[s]\nk = \0", "is no ini file"),
        (b"[s]\nk = " + b"x" * 1024 * 1024, "is no ini file"),
    ],
)
def test_bad_files(write, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Config(write(text))
    assert "sync.ini" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="nothing.ini: cannot be read: No such file"):
        Config(str(tmp_path / "nothing.ini"))


def test_extends(write, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "deep.ini").write_text("[s]\nd = %(here)s\nz = 1\n[t]\nx = 1")
    path = write(
        "[DEFAULT]\nextends =\n  one.ini\n  two.ini\n[s]\na = own\n",
        one="[DEFAULT]\nextends = sub/deep.ini\n[s]\na = one\nb = one\n",
        two="[s]\na = two\nb = two\nc = two\nd = two\nu = ${WEAVE_UNSET}\n",
    )
    config = Config(path)
    found = [config.find("s", key).value() for key in "abcd"]
    assert found == ["own", "one", "two", str(tmp_path / "sub")]
    assert config.sections() == ["s", "t"]


@pytest.mark.parametrize("name", ["sync.ini", "other.ini"])
def test_what_is_no_file(write, tmp_path, monkeypatch, name):
    """Nothing waits for a FIFO, not even one that comes when it was looked at."""
    path = write("[DEFAULT]\nextends = other.ini\n", other="")
    monkeypatch.setattr("os.path.isfile", lambda _: True)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigError, match=name + ": cannot be read: not a regular"):
        Config(path)


def test_extends_that_fail(write):
    with pytest.raises(
        ConfigError, match=r"sync.ini:2: .*there is no file .*/gone.ini"
    ):
        Config(write("[DEFAULT]\nextends = gone.ini"))
    with pytest.raises(ConfigError, match="sync.ini: extends itself"):
        Config(write("[DEFAULT]\nextends = a.ini", a="[DEFAULT]\nextends = sync.ini"))
    chain = {"a%d" % n: "[DEFAULT]\nextends = a%d.ini" % (n + 1) for n in range(10)}
    with pytest.raises(ConfigError, match="too many files"):
        Config(write("[DEFAULT]\nextends = a0.ini", **chain))


MINIMAL = "[storage]\nsqluri = sqlite:////tmp/x.db\n"


def test_defaults_of_the_keys(write):
    settings, hosts = load(write(MINIMAL))
    assert hosts == {}
    assert settings["global.retry_after"] == 1800
    assert settings["storage.batch_max_bytes"] == 1048576
    assert settings["auth.sqluri"] == "sqlite:////tmp/x.db"
    assert settings["auth.create_tables"] is False
    assert settings["global.heartbeat_page"] == "__heartbeat__"


def test_keys_of_default_count_everywhere(write):
    settings, _ = load(write("[DEFAULT]\npool_size = 7\nanything = x\n" + MINIMAL))
    assert settings["storage.pool_size"] == settings["auth.pool_size"] == 7


@pytest.mark.parametrize(
    "text, expected", [("007", "007"), ("TRUE", "TRUE"), ('"5"', "5")]
)
def test_text_is_taken_as_it_is_written(write, text, expected):
    settings, _ = load(write(MINIMAL + "[global]\ndebug_page = " + text))
    assert settings["global.debug_page"] == expected


def test_sections_of_others_are_left_alone(write):
    load(write(MINIMAL + "[wsgi]\nanything = x\n[mine]\nx = 1\n[host:a]\nmine.x = 2\n"))


@pytest.mark.parametrize(
    "lines, message",
    [
        ("[global]\nretry_after = soon", "retry_after: must be a whole number"),
        ("[global]\nretry_after = 0", "retry_after: must be from 1 to 604800"),
        ("[global]\nretry_after = true", "retry_after: must be a whole number"),
        ("[global]\nheartbeat_page = a b", "heartbeat_page: must be a path"),
        ("[auth]\nallow_new_users = yes", "allow_new_users: must be true or false"),
        (
            "[auth]\nallow_new_users =\n  true\n  false",
            "allow_new_users: must be true or false",
        ),
        (
            "[auth]\nallow_new_user = true",
            "is unknown; did you mean auth.allow_new_users?",
        ),
        ("[auth]\nsqluri = nonsense", "sqluri: must be a database URL"),
        (
            "[auth]\nsqluri = sqlite:///x.db",
            "sqluri: must name the file by its whole path",
        ),
        ("[nodes]\nfallback_node = ftp://x", "fallback_node: must be a URL"),
        ("[captcha]\nuse = true", "use: captchas are not supported"),
        ("[captcha]\nuse = perhaps", "use: captchas are not supported"),
        ("[smtp]\nhostname = x", "hostname: is unknown; did you mean"),
        (
            "[host:a]\nauth.allow_new_users = 5",
            r"\[host:a\] auth.allow_new_users: must be true",
        ),
        ("[host:a]\nwsgi.script = x", r"\[host:a\] wsgi.script: is mod_weave's"),
        ("[host:a]\nscript = x", r"\[host:a\] script: is unknown"),
    ],
)
def test_bad_settings(write, lines, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(write(MINIMAL + lines))
    last = (MINIMAL + lines).replace("\n  true\n  false", "").count("\n") + 1
    assert re.match(r".*/sync\.ini:%d: \[" % last, str(caught.value))


@pytest.mark.parametrize(
    "lines, message",
    [
        ("pool_size = 0", "pool_size: must be from 1"),
        ("quota_size = -1", "quota_size: must be from 0"),
        ("use_quota = true", "use_quota: needs storage.quota_size"),
        ("nothing_like_it = 1", r"nothing_like_it: is unknown: remove it. \[storage\] "),
        ("batch_max_count = 0", "batch_max_count: must be from 1"),
        ("create_tables = 1", "create_tables: must be true or false"),
    ],
)
def test_bad_storage_settings(write, lines, message):
    with pytest.raises(ConfigError, match=r"sync.ini:3: \[storage\] " + message):
        load(write(MINIMAL + lines))


@pytest.mark.parametrize(
    "lines, message",
    [
        ("secret_file = s", "secret_file: must be a whole path"),
        ("jwks_url = http://x/jwks", "jwks_url: must begin with https"),
        ("jwks_url = HTTP://x/jwks", "jwks_url: must begin with https"),
        ("jwks_url = http://127.example.org/jwks", "jwks_url: must begin with https"),
        ("jwks_url = https://x:99999/jwks", "jwks_url: must be a URL"),
        ("jwks_url = https://x:port/jwks", "jwks_url: must be a URL"),
        ("jwks_url = https://[x/jwks", "jwks_url: must be a URL"),
        ("jwks_url = https://x/?a", "jwks_url: must be a URL"),
        ("jwks_url = https://x/a b", "jwks_url: must be a URL"),
        ("public_url = ftp://x", "public_url: must be a URL"),
        ("public_url = https://x:port", "public_url: must be a URL"),
        ("public_url = https://x/?a", "public_url: must be a URL"),
        (
            "public_url = https://x/1.0/sync/1.5",
            "public_url: must be the URL of the server alone, without 1.0/sync/1.5",
        ),
        ("allow_new_users = some", "allow_new_users: must be first, true or false"),
        ("token_duration = 0", "token_duration: must be from 1"),
        ("max_post_records = 0", "max_post_records: must be from 1"),
        (
            "secret_file = /srv/x/releases/a/secret\n[release]\nhome = /srv/x",
            "secret_file: is in /srv/x, where releases are made and removed",
        ),
        (
            "secret_file = /var/sync/secret\n[wsgi]\nvirtualenv = /var/sync/current",
            "secret_file: is in /var/sync, where",
        ),
    ],
)
def test_bad_settings_of_sync15(write, lines, message):
    with pytest.raises(ConfigError, match=r"sync.ini:4: \[sync15\] " + message):
        load(write(MINIMAL + "[sync15]\n" + lines))


@pytest.mark.parametrize(
    "lines, message",
    [
        (
            "max_request_bytes = 1048576",
            r"max_request_bytes: max_post_bytes \(2621440\) must not be more than "
            r"max_request_bytes \(1048576\) less 4096, since browsers would send what is "
            "refused then: set max_post_bytes = 1044480, or raise max_request_bytes$",
        ),
        ("max_post_bytes = 2621441", r"max_post_bytes: max_post_bytes \(2621441\) must not"),
        (
            "max_post_bytes = 1048576",
            r"max_post_bytes: max_record_payload_bytes \(2621440\) must not be more than "
            r"max_post_bytes \(1048576\), since",
        ),
        (
            "max_record_payload_bytes = 2621441",
            r"max_record_payload_bytes: max_record_payload_bytes \(2621441\) must not",
        ),
    ],
)
def test_limits_of_sync15_fit_each_other(write, lines, message):
    """Browsers would send what is refused, again and again."""
    text = MINIMAL + "[sync15]\n" + lines
    load(write(text))  # nothing is served with them
    with pytest.raises(ConfigError, match=r"sync.ini:4: \[sync15\] " + message):
        load(write(text + "\nsecret_file = /a/b"))


def test_limits_of_sync15_that_fit(write):
    values, _ = load(
        write(
            MINIMAL + "[sync15]\nsecret_file = %(here)s/x\nmax_request_bytes = 1048576\n"
            "max_post_bytes = 1044480\nmax_record_payload_bytes = 1044480\n"
            "[release]\nhome = /srv/x"
        )
    )
    assert values["sync15.max_post_bytes"] == 1044480


@pytest.mark.parametrize(
    "lines, expected",
    [
        ("", None),
        ("[nodes]\nfallback_node = https://a/b", "https://a/b/"),
        ("[sync15]\npublic_url = a.example.org:81/", "https://a.example.org:81/"),
        (
            "[nodes]\nfallback_node = https://a/\n[sync15]\npublic_url = https://b",
            "https://b/",
        ),
    ],
)
def test_public_url(write, lines, expected):
    assert load(write(MINIMAL + lines))[0]["sync15.public_url"] == expected


@pytest.mark.parametrize("url", ["http://localhost:5000", "http://127.0.0.1", "http://[::1]/"])
def test_public_url_that_only_this_machine_reaches(write, url):
    _, _, problems = read(write(MINIMAL + "[sync15]\npublic_url = " + url))
    (problem,) = problems
    assert problem.severity == NOTICE and problem.line == 4
    assert "only browsers on this machine reach localhost" in problem.message
    # where it is taken from there, there is one word and not two
    _, _, problems = read(write(MINIMAL + "[nodes]\nfallback_node = " + url))
    assert len(problems) == 1


@pytest.mark.parametrize(
    "url, is_noted", [("http://sync.example.org", True), ("https://sync.example.org", False)]
)
def test_public_url_without_tls(write, url, is_noted):
    _, _, problems = read(write(MINIMAL + "[sync15]\npublic_url = " + url))
    assert [problem.severity for problem in problems] == [NOTICE] * is_noted
    assert all("write https:// here" in problem.message for problem in problems)


def test_database_must_be_named(write):
    with pytest.raises(
        ConfigError, match="sync.ini: storage.sqluri: is missing: .*sqlite:///"
    ):
        load(write("[auth]\nallow_new_users = false"))


def test_hosts(write):
    settings, hosts = load(
        write(
            MINIMAL
            + "[host:A.example.org:8443]\nglobal.retry_after = 5\n[global]\nretry_after=6"
        )
    )
    assert settings["global.retry_after"] == 6
    assert hosts["a.example.org:8443"]["global.retry_after"] == 5
    assert hosts["a.example.org:8443"]["storage.sqluri"] == settings["storage.sqluri"]


@pytest.mark.parametrize(
    "common, own, is_wrong",
    [
        ("public_url = https://a/", "storage.sqluri = sqlite:////srv/b.db", True),
        ("[nodes]\nfallback_node = https://a/", "storage.sqluri = sqlite:////srv/b.db", True),
        ("public_url = https://a/", "global.retry_after = 5", False),
        ("public_url = https://b/", "storage.sqluri = sqlite:////srv/b.db", False),
        ("", "storage.sqluri = sqlite:////srv/b.db", False),
        (
            "public_url = https://a/",
            "storage.sqluri = sqlite:////srv/b.db\nsync15.public_url = https://b/",
            False,
        ),
    ],
)
def test_hosts_are_sent_to_their_own_database(write, common, own, is_wrong):
    text = "[sync15]\nsecret_file = /srv/s\n%s\n[host:b]\n%s\n" % (common, own)
    _, _, problems = read(write(MINIMAL + text))
    found = [p for p in problems if "set sync15.public_url in [host:b]" in p.message]
    assert [p.severity for p in found] == [NOTICE] * is_wrong


def test_keys_are_those_of_the_vocabulary():
    text = (pathlib.Path(__file__).parent.parent / "README.md").read_text(
        encoding="utf-8"
    )
    for key in KEYS:
        assert "`%s`" % key.name.split(".")[1] in text, key.name
        assert key.default is None or key.convert(key.default) == key.default


CONF = pathlib.Path(__file__).parent.parent.parent / "conf"


@pytest.mark.skipif(not CONF.is_dir(), reason="the examples are mod_weave's")
@pytest.mark.parametrize("name", ["sync.ini", "run.ini.in"])
def test_examples_of_mod_weave(write, name):
    """Also with all that is commented out in them."""
    text = (CONF / name).read_text(encoding="utf-8")
    for given in (text, re.sub(r"(?m)^#(?=\w+ = )", "", text)):
        values, _, problems = read(write(given))
        assert problems == []
        assert values["sync15.secret_file"] and values["sync15.allow_new_users"] == "first"


@pytest.mark.parametrize(
    "text, mode, message",
    [
        (None, 0, "sync.secret: the file of sync15.secret_file cannot be read (No such file"),
        ("a" * 64, 0o644, "chmod 600"),
        ("a" * 64 + "\n\nshort\n", 0o600, "sync.secret, line 3: this secret has less than"),
        ("", 0o600, "has no secret"),
    ],
)
def test_file_of_secrets(write, tmp_path, text, mode, message):
    """`weave-server check` and configtest name the line of the sync.ini, and the cure."""
    path = write("[storage]\nsqluri = sqlite://\n[sync15]\nsecret_file = %(here)s/sync.secret\n")
    if text is not None:
        (tmp_path / "sync.secret").write_text(text)
        (tmp_path / "sync.secret").chmod(mode)
    found = [row for row in check(path) if "secret" in row[1]]
    assert [(line, severity) for line, _, severity in found] == [(4, "error")]
    assert message in found[0][1]
    (tmp_path / "sync.secret").write_text("a" * 64)
    (tmp_path / "sync.secret").chmod(0o640)
    assert not [row for row in check(path) if "secret" in row[1]]
