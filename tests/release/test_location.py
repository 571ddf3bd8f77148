# SPDX-License-Identifier: Apache-2.0
"""What is let through to git and hg as an address or a revision."""

import pytest

from weave_release import location
from weave_release.errors import ReleaseError


@pytest.mark.parametrize("text,kind,scheme,url", [
    ("https://example.com/team/app.git", "git", "https", "https://example.com/team/app.git"),
    ("https://example.com/team/app", "", "https", "https://example.com/team/app"),
    ("hg+https://example.com/team/app", "hg", "https", "https://example.com/team/app"),
    ("git+ssh://ada@example.com:2222/app", "git", "ssh", "ssh://ada@example.com:2222/app"),
    ("http://[::1]:8080/app", "", "http", "http://[::1]:8080/app"),
    ("ada@example.com:team/app", "git", "ssh", "ada@example.com:team/app"),
    ("hg+file:///srv/a%20b", "hg", "file", "file:///srv/a%20b"),
])
def test_addresses(text, kind, scheme, url):
    found = location.location_parse(text)
    assert (found.kind, found.scheme, found.url) == (kind, scheme, url)


@pytest.mark.parametrize("text", [
    "ext::sh -c touch% /tmp/x", "git+ext::sh", "fd::17", "--upload-pack=touch x",
    "-oProxyCommand=x", "ssh://-oProxyCommand=x/app", "ssh://a@-x/app", "-x:app", "a@-x:app",
    "https://example.com/$(id)", "https://example.com/`id`", "https://example.com/a;id",
    "https://example.com/a|id", "https://example.com/a b", "https://example.com/a\nb",
    "https://example.com/a%0ab", "https://example.com/a#b", "git://example.com/app",
    "ftp://example.com/app", "https:///app", "file://example.com/app", "file:app",
    "svn+ssh://example.com/app", "bundle:x", "relative/path", "", "https://ada:secret@example.com/",
    "/srv/no such folder", "/srv/a\nb",
])
def test_refused(text):
    with pytest.raises(ReleaseError) as refused:
        location.location_parse(text)
    assert "secret" not in str(refused.value)


def test_folder_of_no_repository(tmp_path):
    with pytest.raises(ReleaseError, match="no repository of Git or Mercurial"):
        location.location_parse(str(tmp_path))
    (tmp_path / ".hg").mkdir()
    assert location.location_parse(str(tmp_path)).kind == "hg"
    (tmp_path / ".git").mkdir()
    with pytest.raises(ReleaseError, match="both"):
        location.location_parse(str(tmp_path))
    assert location.location_parse("git+file://%s" % tmp_path).kind == "git"


@pytest.mark.parametrize("text", ["v1.1.5", "WeaveServer-1.1.5", "4f2c9e1", "feature/x", "1.0+b"])
def test_revisions(text):
    assert location.revision_check(" %s\n" % text) == text


@pytest.mark.parametrize("text", [
    "-r", "--config=alias.log=!id", "", "a..b", "HEAD~1", "v1^{}", "@{-1}", "max(all())",
    "x'; id", "a\nb", "a\0b", ":0", "$Id", "x" * 256])
def test_refused_revisions(text):
    with pytest.raises(ReleaseError, match="is no revision"):
        location.revision_check(text)


@pytest.mark.parametrize("text,where,revision", [
    ("https://example.com/v@prod", "https://example.com/v", "prod"),
    ("ssh://hg@example.com/v", "ssh://hg@example.com/v", ""),
    ("ssh://hg@example.com/v@1.0", "ssh://hg@example.com/v", "1.0"),
    ("git@example.com:v", "git@example.com:v", ""),
    ("git@example.com:v@1.0", "git@example.com:v", "1.0"),
    ("vendor/", "vendor/", ""),
])
def test_vendor(text, where, revision):
    assert location.vendor_split(text) == (where, revision)


def test_repositories_within():
    parent = location.location_parse("https://example.com/team/app.git")
    def within(text, below=False, kind="git"):
        return location.location_beside(parent, text, kind, below).url
    assert within("../lib.git") == "https://example.com/team/lib.git"
    assert within("lib", True, "hg") == "https://example.com/team/app.git/lib"
    assert within("ssh://git@example.com/x") == "ssh://git@example.com/x"
    scp = location.location_parse("ada@example.com:team/app")
    assert location.location_beside(scp, "../lib", "git", False).url == "ada@example.com:team/lib"


@pytest.mark.parametrize("text", ["file:///etc", "/etc", "ext::sh", "../x;id", "-x", "lib"])
def test_refused_within(text):
    parent = location.location_parse("https://example.com/team/app.git")
    with pytest.raises(ReleaseError):
        location.location_beside(parent, text, "git", False)
