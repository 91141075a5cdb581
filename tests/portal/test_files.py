"""The files of the page: what libraries they are, how they are served, and that they are in the wheel."""

import gzip
import hashlib
import html.parser
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from catalogs.portal.files import site
from catalogs.portal.pages import FILES
from configs.schema.catalogue import CatalogueConfig
from tests.services.api import api_serving

ROOT = Path(__file__).resolve().parents[2]
ROOM = ROOT / "catalogs" / "portal"
PACKAGES = Path(__file__).parent / "node" / "node_modules"
RECORDED = json.loads((ROOM / "vendor" / "manifest.json").read_text())["files"]


def test_libraries_are_what_the_manifest_says():
    assert {one["file"] for one in RECORDED} == {path.name for path in (ROOM / "vendor").glob("*.gz")}
    for one in RECORDED:
        content = gzip.decompress((ROOM / "vendor" / one["file"]).read_bytes())
        assert (len(content), hashlib.sha256(content).hexdigest()) == (one["size"], one["sha256"]), one["file"]
        assert one["licence"] in ("BSD-3-Clause", "MIT", "ISC")


def test_libraries_are_what_npm_delivers():
    if not PACKAGES.is_dir():
        reason = "npm delivered nothing: npm ci --prefix tests/portal/node"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    for one in RECORDED:
        delivered = (PACKAGES / one["name"] / one["path"]).read_bytes()
        assert hashlib.sha256(delivered).hexdigest() == one["sha256"], one["file"]
        described = json.loads((PACKAGES / one["name"] / "package.json").read_text())
        assert (described["version"], described["license"]) == (one["version"], one["licence"])


class Inline(html.parser.HTMLParser):
    """What of a page is script or style by itself, and what it asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.addresses: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.inline += [name for name in named if name.startswith("on") or name == "style"]
        self.addresses += [named[name] for name in ("src", "href") if name in named]
        self._inside = tag if tag in ("script", "style") and "src" not in named else ""

    def handle_data(self, data):
        if self._inside and data.strip():
            self.inline.append(data)


def test_the_page_has_nothing_inline_and_every_file_it_names_is_there(tmp_path):
    with api_serving(tmp_path) as server, server.client() as client:
        for path in ("/", "/item/a/b", "/compare", "/basket", "/my-orders", "/my-orders/x", "/account"):
            answer = client.get(path)
            assert answer.status_code == 200
            policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
            assert policy["default-src"] == "'none'"
            assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
            assert not re.search(r"unsafe|\*|https?:", answer.headers["content-security-policy"])
        found = Inline()
        found.feed(answer.text)
        assert found.inline == []
        ours = [address for address in found.addresses if address.startswith(FILES)]
        assert len(ours) > 15
        for address in ours:
            answer = client.get(address)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-encoding"] == "gzip"
            again = client.get(address, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert client.head(address).status_code == 200
            assert client.get(address, headers={"Accept-Encoding": "identity"}).content == answer.content


def test_no_other_file_can_be_had(tmp_path):
    with api_serving(tmp_path) as server, server.client() as client:
        stamp = site().stamp
        for path in (
            f"{stamp}/%2e%2e/files.py",
            f"{stamp}/index.html",
            "000000000000/app.js",
            f"{stamp}/..%2f..%2fapi%2fapp.py",
            "overlays/x.json",
        ):
            assert client.get(FILES + path, follow_redirects=True).status_code == 404, path


def test_settings_and_maps_of_the_operators_own(tmp_path):
    (tmp_path / "configs" / "portal").mkdir(parents=True)
    (tmp_path / "configs" / "portal.yaml").write_text(
        "title: Ғарыш\nworld_borders: false\noverlays: [ours.geojson]\nstart: [60, 40, 80, 55]\n"
    )
    (tmp_path / "configs" / "portal" / "ours.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    (tmp_path / "configs" / "portal" / "secret.json").write_text("{}")
    with api_serving(tmp_path, config=CatalogueConfig(title="Another")) as server, server.client() as client:
        settings = client.get("/portal/settings.json").json()
        assert (settings["title"], settings["world_borders"], settings["start"]) == ("Ғарыш", False, [60, 40, 80, 55])
        assert client.get(settings["overlays"][0]).json()["type"] == "FeatureCollection"
        assert client.get("/portal/overlays/secret.json").status_code == 404
    (tmp_path / "configs" / "portal.yaml").unlink()
    with api_serving(tmp_path, config=CatalogueConfig(title="Another")) as server, server.client() as client:
        assert client.get("/portal/settings.json").json()["title"] == "Another"


def test_our_code_reads_no_markup_and_names_no_other_host():
    for path in (ROOM / "site").rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser", text
        ), path
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)[a-z]", text), path
        assert len(text.splitlines()) <= 300, path


def test_the_wheel_has_all_of_it(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    here = {
        path.relative_to(ROOT).as_posix()
        for path in ROOM.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here <= inside
