# SPDX-License-Identifier: Apache-2.0
"""PLAN and FETCH with manifests: what is chosen, copied, kept and refused."""

import errno
import os

import pytest
from fetching import Node, make
from weave_release import fetch, files, store
from weave_release.errors import ReleaseError
from weave_release.job import request_read


@pytest.fixture
def node(tmp_path, python, share):
    return Node(tmp_path / "home", python, [share])


@pytest.fixture
def app(share):
    """The manifest of App 1.0, a wheel that needs Dep 2.0."""
    wheel = make.wheel(share.path, "App", "1.0", ["Dep>=2"])
    return share.release("App", "1.0", [wheel, make.wheel(share.path, "Dep", "2.0")])


def refused(call, *arguments, **more):
    with pytest.raises(ReleaseError) as problem:
        call(*arguments, **more)
    assert problem.value.message and "\n" not in problem.value.message
    return problem.value.message + " | " + problem.value.hint


def test_a_release(node, share, app):
    found = node.prepare("app")
    assert (found.plan.name, found.plan.project, found.plan.version) == ("app", "App", "1.0")
    assert [(wheel.project, wheel.version) for wheel in found.wheels] == [
        ("app", "1.0"), ("dep", "2.0")]
    assert found.lock["dep"] == {"version": "2.0", "sha256": app.files[1].sha256, "system": False}
    assert found.plan.notes == [] and found.plan.signed_by == ""
    for wheel in found.wheels:
        assert os.path.dirname(wheel.path) == os.path.join(node.home.incoming_path, "1")
        assert files.file_hash(wheel.path)[0] == wheel.sha256


def test_versions(node, share, app):
    for version in ("1.9", "1.10", "2.0rc1", "0.1"):
        share.release("App", version, [make.wheel(share.path, "App", version)])
    assert node.plan("APP").version == "1.10"
    assert node.plan("app==2.0rc1").version == "2.0rc1"
    assert node.plan("app==1.10.0").version == "1.10"
    assert "There is 2.0rc1, 1.10, 1.9, 1.0, 0.1" in refused(node.plan, "app==3")
    assert "Look at release.find_links" in refused(node.plan, "other")


@pytest.mark.parametrize("text", ["-r", ";rm -rf", "a b", "app==;rm", "app==", "app>=1", "app[x]",
                                  "app==1.0==2", "$(x)", "==1"])
def test_what_is_no_request(node, text):
    assert " is no " in refused(node.plan, text)


def test_requests(tmp_path):
    assert "was not said" in refused(request_read, None, None, None)
    assert request_read("a == 1", None, None).version == "1"
    assert "there is no file" in refused(request_read, "a/b", None, lambda text: "/none/" + text)
    for text, channel, version in (("a", "prod", None), ("a==1", None, "1"), (None, "prod", None)):
        found = request_read(text, None, None, "prod")
        assert (found.channel, found.version) == (channel, version)
    assert request_read("a==1", "test", None, "prod").channel == "test"
    (tmp_path / "a-1.tgz").write_bytes(b"")
    found = request_read("a-1.tgz", None, lambda text: str(tmp_path / text))
    assert found.file == str(tmp_path / "a-1.tgz")
    (tmp_path / "-r;x.tgz").write_bytes(b"")
    assert "has not the name" in refused(request_read, str(tmp_path / "-r;x.tgz"), None, str)


def test_other_pythons(node, share, tmp_path):
    def release(version, *tags, **more):
        wheels = [make.wheel(share.path, "Dep", version, tag=tag, **more) for tag in tags]
        share.release("App", version, [make.wheel(share.path, "App", version, ["Dep"])] + wheels)
        return node.plan("app==" + version).files[1].name

    with pytest.raises(ReleaseError) as problem:
        release("1", "cp312-cp312-manylinux_2_17_x86_64")
    assert problem.value.message == "the wheel of dep 1 is for cp312, this node has cp311"
    assert "mozupload --python 3.11" in problem.value.hint
    with pytest.raises(ReleaseError, match="is for win_amd64, this node has "):
        release("2", "cp311-cp311-win_amd64")
    assert "py311" in release("3", "cp312-cp312-any", "py3-none-any", "py311-none-any")
    assert release("4", "cp312-cp312-any", "py3-none-any") == "Dep-4-py3-none-any.whl"
    release("5", "py3-none-any", Requires_Python=">=3.12")
    assert "needs Python >=3.12, this node has 3.11" in refused(node.prepare, "app==5")


def test_closure(node, share):
    share.release("App", "1", [make.wheel(share.path, "App", "1", ["Dep>=2", "More; extra=='x'"])])
    assert "App 1 needs Dep>=2, which is not there" in refused(node.prepare, "app==1")
    share.release("App", "2", [make.wheel(share.path, "App", "2", ["Dep>=2"]),
                               make.wheel(share.path, "Dep", "1.9")])
    assert "needs Dep>=2, and the release has 1.9" in refused(node.prepare, "app==2")


def test_damage_in_the_share(node, share, app):
    """Every file in turn: cut, grown, changed, gone."""
    for file in app.files:
        path = os.path.join(share.path, file.name)
        data = open(path, "rb").read()
        for bad, text in ((data[:-1], "bytes instead of"), (data + b"x", "more than the"),
                          (data[:50] + b"x" + data[51:], "is not the file that the manifest names"),
                          (b"", "0 bytes instead of"), (None, "has no " + file.name)):
            os.unlink(path)
            if bad is not None:
                share.write(file.name, bad)
            node.home.store_path = os.path.join(node.home.path, "none-%d" % node.jobs)
            assert text in refused(node.prepare, "app")
            share.write(file.name, data)
        os.unlink(path)
        os.mkfifo(path)
        assert "is no file" in refused(node.prepare, "app")
        os.unlink(path)
        share.write(file.name, data)
    assert not [name for _, _, files in os.walk(node.home.incoming_path) for name in files
                if name.endswith(".part")]
    assert node.prepare("app").wheels


def test_manifests_that_are_wrong(node, share, app):
    path = os.path.join(share.path, "releases", "app-1.0.json")
    good = open(path, "rb").read()
    other = share.release("App", "1.1", [make.wheel(share.path, "App", "1.1")])
    for data, text in ((good[:100], "cannot be used"), (b"", "cannot be used"), (b"[]", "cannot"),
                       (good.replace(b'"format": 1', b'"format": 2'), "newer"),
                       (other.data(), "is that of app 1.1"), (b" " * (2 << 20), "more than")):
        with open(path, "wb") as stream:
            stream.write(data)
        assert text in refused(node.prepare, "app==1.0")


def test_an_index_that_is_old(node, share, app, monkeypatch):
    """A manifest that the index does not list yet counts, and not the plain files beside it."""
    monkeypatch.setattr("mozupload.share.FolderShare.manifests", lambda self, name: [])
    assert node.plan("app==1.0").manifest.members == app.members


def test_another_manifest_than_was_installed(node, share, app):
    node.installed(node.plan("app==1.0"))
    assert node.plan("app==1.0")
    share.release("App", "1.0", [make.wheel(share.path, "App", "1.0", ["Dep>=1"]),
                                 make.wheel(share.path, "Dep", "2.0")])
    assert "is another than when this node installed it" in refused(node.plan, "app==1.0")
    assert node.plan("app==1.0", again=True)


def test_channels(node, share, app):
    share.release("App", "1.1", [make.wheel(share.path, "App", "1.1")], at="2026-12-01T00:00:00Z")
    assert "no share has a channel prod" in refused(node.plan, channel="prod")
    share.channel("prod", "app-1.1")
    assert node.plan(channel="prod").version == "1.1"
    assert node.plan("App", channel="prod").version == "1.1"
    assert "names app 1.1 and not other" in refused(node.plan, "other", channel="prod")
    assert "names app 1.1 and not App 1.0" in refused(node.plan, "App==1.0", channel="prod")
    share.channel("prod", "app-1.0")
    said = refused(node.plan, channel="prod")
    assert "leads to app-1.0 of 2026-11-30T09:00:00Z, and has led this node to app-1.1" in said
    assert "weavectl install app==1.0 --channel prod" in said
    assert node.plan("app==1.0").version == "1.0"
    assert "leads to app-1.0" in refused(node.plan, channel="prod")
    assert node.plan("app==1.0", channel="prod").version == "1.0"
    assert node.plan(channel="prod").version == "1.0"
    assert node.plan(channel="prod").version == "1.0"
    for text in ("../x", "app", "app-1.0\nx", "x/y-1"):
        share.channel("bad", text)
        assert "instead of NAME-VERSION" in refused(node.plan, channel="bad")
    assert "is no name of a channel" in refused(node.plan, channel="../prod")


def test_a_channel_of_another_project(node, share, app):
    share.channel("prod", "app-1.0")
    found = node.plan(channel="prod")
    node.installed(found)
    os.symlink("releases/app-1.0", node.home.link_path)
    share.release("Other", "1.0", [make.wheel(share.path, "Other", "1.0")])
    share.channel("prod", "other-1.0")
    assert "the channel prod leads to other-1.0, and app serves here" in refused(
        node.plan, channel="prod")
    assert node.plan("Other", channel="prod").name == "other"


def test_the_newest_goes_back(node, share, app):
    share.release("App", "1.1", [make.wheel(share.path, "App", "1.1")], at="2026-12-01T00:00:00Z")
    assert node.plan("app", dry=True).version == "1.1"
    os.rename(share.path + "/releases/app-1.1.json", share.path + "/away")
    assert node.plan("app").version == "1.0"
    os.rename(share.path + "/away", share.path + "/releases/app-1.1.json")
    assert node.plan("app").version == "1.1"
    os.unlink(share.path + "/releases/app-1.1.json")
    assert "leads to app-1.0" in refused(node.plan, "app")
    assert node.plan("app==1.0")
    with open(os.path.join(node.home.path, "channels.json"), "w") as stream:
        stream.write("{")
    assert node.plan("app")


def test_a_file(node, share, app, tmp_path):
    path = os.path.join(share.path, "App-1.0-py3-none-any.whl")
    assert node.plan(file=path).manifest.name == "app"
    (tmp_path / "other").mkdir()
    other = make.wheel(tmp_path / "other", "App", "1.0")
    assert "is not the file that the manifest" in refused(node.plan, file=other)


def test_store(node, share, app):
    node.prepare("app")
    for file in app.files:
        os.unlink(os.path.join(share.path, file.name))
    assert node.prepare("app").wheels           # without the share's files
    kept = store.store_path(node.home, app.files[0].sha256)
    os.unlink(kept)                             # it is a link to what has been fetched
    with open(kept, "wb") as stream:
        stream.write(b"rot")
    assert "has no App-1.0" in refused(node.prepare, "app")
    assert not os.path.exists(kept)
    folder = os.path.dirname(kept)
    names = os.listdir(folder)
    store.store_prune(node.home, {file.sha256 for file in app.files})
    assert os.listdir(folder) == names and len(names) == 1
    store.store_prune(node.home, set())
    assert os.listdir(folder) == []


def test_a_file_that_comes_late(node, share, app, monkeypatch):
    """NFS shows the manifest, and its file a while later."""
    late = os.path.join(share.path, app.files[1].name)
    os.rename(late, late + ".away")
    monkeypatch.setattr("time.sleep", lambda seconds: os.path.exists(late + ".away")
                        and os.rename(late + ".away", late))
    assert node.prepare("app", wait_share_s=60).wheels
    assert node.said == ["%s is not there yet: waiting for up to 60 s" % app.files[1].name]


def test_a_version_that_comes_late(node, share, app, monkeypatch):
    """That of a channel is waited for; a typed one may be a slip."""
    path = os.path.join(share.path, "releases", "app-1.1.json")
    share.release("App", "1.1", [make.wheel(share.path, "App", "1.1")])
    share.channel("prod", "app-1.1")
    os.rename(path, path + ".away")
    monkeypatch.setattr("time.sleep", lambda seconds: os.rename(path + ".away", path))
    assert "there is no app 1.1" in refused(node.plan, "app==1.1", wait_share_s=60)
    assert node.plan(channel="prod", wait_share_s=60).version == "1.1"


def test_a_share_that_goes_away(node, share, app):
    job = node.job("app")
    found = fetch.plan(job)
    os.rename(share.path, share.path + ".away")
    assert "has no " in refused(fetch.fetch, job, found)
    assert "is the share mounted?" in refused(node.plan, "app")
    os.rename(share.path + ".away", share.path)
    assert node.prepare("app").wheels
    assert "host" in refused(node.plan, "app", settings={"find_links": ["file://host/x"]})


def test_a_full_disk(node, app, monkeypatch):
    class Disk:
        f_bavail, f_frsize = 1, 512
    monkeypatch.setattr(fetch.os, "statvfs", lambda path: Disk)
    assert "MiB free, and " in refused(node.prepare, "app")
    monkeypatch.undo()

    class Full:
        def fetch(self, name, fd, limit=None):
            raise OSError(errno.ENOSPC, "No space left on device")
    job = node.job("app")
    found = fetch.plan(job)
    found.files[0].share = Full()
    assert "there is no space left in" in refused(fetch.fetch, job, found)
    assert os.listdir(job.folder) == []


def test_system(node, share):
    """Left out by --system: the distribution must have it, and the setting must say so."""
    share.release("App", "1", [make.wheel(share.path, "App", "1", ["falcon>=3,<4"])],
                  system={"falcon": "3.0"})
    assert "release.system_site_packages = true" in refused(node.plan, "app")
    found = node.prepare("app", settings={"system_site_packages": True})
    assert found.lock["falcon"]["system"] is True and found.lock["falcon"]["sha256"] is None
    assert found.plan.notes == ["falcon %s of the distribution, and 3.0 where the release was made"
                                % found.lock["falcon"]["version"]]
    share.release("App", "2", [make.wheel(share.path, "App", "2", ["falcon>=99"])],
                  system={"falcon": "99"})
    assert "needs falcon>=99, and the distribution has 3." in refused(node.prepare, "app==2")
    share.release("App", "3", [make.wheel(share.path, "App", "3")], system={"no-such": "1"})
    assert "no-such is to come from the distribution" in refused(node.plan, "app==3")
