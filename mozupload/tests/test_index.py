# SPDX-License-Identifier: Apache-2.0
"""The pages that are made of manifests."""

import html.parser
import json
import urllib.parse

from mozupload import index, manifest

VOID = {"meta"}


class Page(html.parser.HTMLParser):
    """Fails on tags that are not closed; links: {text: href}."""

    def __init__(self, text):
        super().__init__()
        self.links, self.open, self.seen, self.doctype = {}, [], set(), None
        self.feed(text)
        self.close()
        assert self.open == [] and self.doctype.lower() == "doctype html"
        assert {"html", "head", "title", "body"} <= self.seen

    def handle_decl(self, decl):
        assert not self.seen
        self.doctype = decl

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "a":
            self.href = dict(attrs)["href"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["a"]:
            self.links[data] = self.href


def _manifest(name, version, *files):
    rows = []
    for project, file in files:
        role = "application" if project == name else "dependency"
        of = version if project == name else "1"
        rows.append(manifest.File(file, "%064x" % len(file), 7, project, of, role))
    return manifest.make(name=name, project=name, version=version, files=rows, python=["3.11"])


def test_pages():
    wheel = "dep_x-1+local.1-py3-none-any.whl"
    one = _manifest("app", "1.0", ("app", "app-1.0.tar.gz"), ("dep-x", wheel))
    two = _manifest("app", "1.1", ("app", "app-1.1.tar.gz"), ("dep-x", wheel))
    pages = index.index_pages([one, two])
    folders = {"app": {"app-1.0.tar.gz", "app-1.1.tar.gz"}, "dep-x": {wheel}}
    assert set(Page(pages["simple/index.html"].decode()).links) == set(folders)
    for project, files in folders.items():
        links = Page(pages["simple/%s/index.html" % project].decode()).links
        assert set(links) == files
        base = "http://host/share/simple/%s/" % project
        for name, href in links.items():
            url = urllib.parse.urlsplit(urllib.parse.urljoin(base, href))
            assert urllib.parse.unquote(url.path) == "/share/" + name
            assert url.fragment == "sha256=%064x" % len(name)
    page = json.loads(pages["simple/app/index.json"].decode())
    assert page["meta"]["api-version"] == "1.1" and page["_releases"] == ["1.0", "1.1"]
    assert [file["size"] for file in page["files"]] == [7, 7]
    assert json.loads(pages["simple/dep-x/index.json"].decode())["_releases"] == []
    assert set(Page(pages["index.html"].decode()).links) == folders["app"] | folders["dep-x"]
    assert pages["SHA256SUMS"].decode().splitlines()[0] == "%064x  app-1.0.tar.gz" % 14


def test_no_release():
    pages = index.index_pages([])
    assert Page(pages["index.html"].decode()).links == {} and pages["SHA256SUMS"] == b""
