# SPDX-License-Identifier: Apache-2.0
"""The static index of a share: pages for pip, JSON for nodes, SHA256SUMS for people."""

import html
import json
import urllib.parse

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="pypi:repository-version" content="1.0">
<title>%s</title>
</head>
<body>
<h1>%s</h1>
%s</body>
</html>
"""
LINK = '<p><a href="%s">%s</a></p>\n'


def index_pages(manifests, archives=()):
    """{path in the share: bytes} of all that is made of these manifests.

    archives: names of what is in the share besides; they are in the page of all files
    alone, without a hash, as a listing by the web server would have them.
    """
    files, releases = {}, {}
    for manifest in manifests:
        releases.setdefault(manifest.name, []).append(manifest.version)
        for file in manifest.files:
            files.setdefault(file.name, file)
    projects = {}
    for name in sorted(files):
        projects.setdefault(files[name].project, []).append(files[name])
    pages = {}
    for project in sorted(projects):
        found = projects[project]
        path = "simple/%s/index" % project
        pages[path + ".html"] = _page("Files of " + project, _links(found, "../../"))
        pages[path + ".json"] = _project(project, found, sorted(releases.get(project, [])))
    links = [(urllib.parse.quote(project) + "/", project) for project in sorted(projects)]
    pages["simple/index.html"] = _page("Projects", links)
    pages["simple/index.json"] = _json(
        {
            "meta": {"api-version": "1.1"},
            "projects": [{"name": project} for project in sorted(projects)],
        }
    )
    everything = [files[name] for name in sorted(files)]
    # for pip install --find-links SHARE
    links = _links(everything, "")
    links += [(_url(name, ""), name) for name in sorted(set(archives) - set(files))]
    pages["index.html"] = _page("Files", links)
    sums = "".join("%s  %s\n" % (file.sha256, file.name) for file in everything)
    pages["SHA256SUMS"] = sums.encode("utf-8")
    return pages


def _links(files, up):
    return [(_url(file.name, up) + "#sha256=" + file.sha256, file.name) for file in files]


def _url(name, up):
    return up + urllib.parse.quote(name, safe="")


def _page(title, links):
    title = html.escape(title)
    rows = "".join(LINK % (html.escape(url), html.escape(text)) for url, text in links)
    return (PAGE % (title, title, rows)).encode("utf-8")


def _project(project, files, releases):
    rows = [
        {
            "filename": file.name,
            "url": _url(file.name, "../../"),
            "hashes": {"sha256": file.sha256},
            "size": file.size,
        }
        for file in files
    ]
    return _json(
        {
            "meta": {"api-version": "1.1"},
            "name": project,
            "versions": sorted({file.version for file in files}),
            "files": rows,
            # names that begin with "_" are the index's own (PEP 691): versions that
            # have a manifest
            "_releases": releases,
        }
    )


def _json(value):
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode("utf-8")
