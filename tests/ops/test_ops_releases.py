"""Releases on disk, and what is found wrong with them before they go into service."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from deployed_site import NEW, OLD, ROOT, DeployedSite

from ops import checks, releases
from ops.checks import check
from ops.errors import Refused, UsageError
from ops.releases import Installed, add, problems_of_files, read_manifest
from ops.site import Site

MakeSite = Callable[..., DeployedSite]


def failing(site: Site, version: str = NEW) -> dict[str, str]:
    """What does not hold, by its subject."""
    return {one.subject: one.text for one in check(site, version) if not one.ok}


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site().site


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with what belongs to a release, and with what does not."""
    folder = tmp_path / "tree"
    for name in (
        "app/__init__.py",
        "workflows/step.yaml",
        "fixtures/posts/post.yaml",
        "tests/test_app.py",
        "app/__pycache__/x.pyc",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


class TestAdding:
    def test_what_belongs_to_a_release_is_copied_and_closed_to_others(
        self, site: Site, tree: Path, tmp_path: Path
    ) -> None:
        (tree / "app" / "__init__.py").chmod(0o666)
        overlay = tmp_path / "overlay" / "app"
        overlay.mkdir(parents=True)
        (overlay / "more.py").write_text("MORE = 1\n")
        manifest = add(site, tree, "3.0.0", [overlay.parent])
        assert {
            "app/__init__.py",
            "app/more.py",
            "workflows/step.yaml",
            "fixtures/posts/post.yaml",
        } <= manifest.files.keys()
        assert not any("test" in name or name.endswith("x.pyc") for name in manifest.files)
        assert any(name.startswith("app/__pycache__/more.") for name in manifest.files), "compiled once, here"
        assert manifest.files["app/__init__.py"].mode == "0644"
        assert list(problems_of_files(site, read_manifest(site, "3.0.0"))) == []
        assert manifest.installed.dependencies["gunicorn"]

    def test_a_release_does_not_change(self, site: Site, tree: Path) -> None:
        with pytest.raises(Refused, match="a release does not change; choose another version"):
            add(site, tree, NEW, [])

    @pytest.mark.parametrize("version", ["", "../up", ".hidden", "a b", "x" * 65])
    def test_a_version_that_is_no_name_is_refused(self, version: str, site: Site, tree: Path) -> None:
        with pytest.raises(UsageError, match="is not a version; write letters"):
            add(site, tree, version, [])

    def test_a_tree_without_a_folder_that_belongs_to_it_is_refused(self, site: Site, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there is no such folder; name the tree that holds it"):
            add(site, tmp_path, "3.0.0", [])
        assert "3.0.0" not in releases.known_versions(site)

    def test_links_are_refused_and_nothing_is_left(self, site: Site, tree: Path) -> None:
        (tree / "app" / "link.py").symlink_to("/etc/passwd")
        with pytest.raises(Refused, match="neither a file nor a folder"):
            add(site, tree, "3.0.0", [])
        (tree / "app" / "link.py").unlink()
        add(site, tree, "3.0.0", [])
        assert [path.name for path in site.releases.iterdir() if path.name.startswith(".")] == []

    def test_a_tree_that_cannot_be_compiled_is_refused(self, site: Site, tree: Path) -> None:
        (tree / "app" / "broken.py").write_text("def (\n")
        with pytest.raises(Refused, match=r"cannot be compiled: .*broken\.py.*SyntaxError"):
            add(site, tree, "3.0.0", [])


class TestChecks:
    def test_a_sound_release_passes_and_everything_is_told(self, site: Site) -> None:
        found = check(site, NEW)
        assert all(one.ok for one in found)
        assert [one.subject for one in found] == ["python", "dependencies", "files", "database", "disk"]

    def test_files_that_differ_from_the_manifest_are_told_each(self, site: Site) -> None:
        folder = site.releases / NEW
        (folder / "app" / "logs.py").unlink()
        (folder / "app" / "new.py").write_text("")
        (folder / "app" / "views.py").open("ab").close()
        with (folder / "app" / "seed.py").open("a") as module:
            module.write("#\n")
        (folder / "app" / "models.py").chmod(0o600)
        (folder / "app" / "errors.py").chmod(0o666)
        (folder / "app" / "wsgi.py").unlink()
        (folder / "app" / "wsgi.py").symlink_to("errors.py")
        found = "\n".join(problems_of_files(site, read_manifest(site, NEW)))
        for problem in (
            "logs.py is missing; remove the release and add it again",
            "new.py is not in the manifest; remove it",
            "seed.py has changed since it was added (SHA-256)",
            "models.py has mode 0600, not 0644; chmod 0644",
            "errors.py can be written by everybody (mode 0666); chmod o-w",
            "wsgi.py is a link",
        ):
            assert problem in found
        assert "views.py" not in found
        assert "and 1 more of this kind" in [one.text for one in check(site, NEW)]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_files_of_another_owner_are_told(self, site: Site) -> None:
        os.chown(site.releases / NEW / "app" / "logs.py", 12345, 12345)
        assert "belongs to 12345:12345, not 0:0; chown it" in failing(site)["files"]

    def test_versions_that_moved_are_told(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        there = releases.installed(site)
        moved = {**there.dependencies, "flask": "1.0", "gunicorn": None}
        monkeypatch.setattr(checks, "installed", lambda site: Installed("3.9.1", moved))
        found = [one.text for one in check(site, NEW) if not one.ok]
        assert "Python 3.9.1" in found[0]
        assert f"install flask=={there.dependencies['flask']}" in found[1]
        assert "gunicorn is not installed" in found[2]

    def test_an_interpreter_that_is_gone_is_told(self, site: Site) -> None:
        gone = Site(site.folder, replace(site.settings, python="/nowhere/python"))
        assert "python = '/nowhere/python' cannot be run" in failing(gone)["python"]

    def test_a_database_that_is_not_migrated_is_told(self, make_site: MakeSite, tmp_path: Path) -> None:
        (tmp_path / "empty.sqlite3").touch()
        url = f"sqlite:///{tmp_path}/empty.sqlite3"
        empty = make_site(environment={"BLOG_DATABASE_URL": url}).site
        assert f"has no table 'format_templates'; make it with `migrate {NEW}`" in next(
            one.text for one in check(empty, NEW) if not one.ok
        )
        (tmp_path / "empty.sqlite3").unlink()
        assert "SQLite cannot use it" in failing(empty)["database"]

    def test_a_column_that_a_release_needs_and_the_database_has_not_is_told(self, site: Site) -> None:
        models = site.releases / NEW / "app" / "models.py"
        text = models.read_text()
        models.write_text(
            text.replace("    attempts: Mapped[int]\n", "    attempts: Mapped[int]\n    tokens: Mapped[int]\n")
        )
        assert f"the table 'runs' has no column tokens, which {NEW} needs" in failing(site)["database"]

    def test_models_that_cannot_be_loaded_are_told(self, site: Site) -> None:
        (site.releases / NEW / "app" / "models.py").write_text("raise RuntimeError('no models')\n")
        assert "its models cannot be loaded: RuntimeError: no models" in failing(site)["database"]

    def test_a_full_disk_is_told(self, make_site: MakeSite) -> None:
        assert "MiB are free at" in failing(make_site(free_mib=2**30).site)["disk"]

    def test_an_unknown_release_and_a_damaged_manifest_are_told(self, site: Site) -> None:
        with pytest.raises(UsageError, match=rf"'3.0.0' is not a release of .*; there are {OLD}, {NEW}: add it"):
            check(site, "3.0.0")
        (site.releases / NEW / "manifest.json").write_text(json.dumps({"version": NEW}))
        with pytest.raises(Refused, match=r"manifest\.json: damaged"):
            check(site, NEW)

    def test_the_bundled_release_names_every_dependency_that_it_has(self, site: Site) -> None:
        from app.views import DEPENDENCIES

        assert set(DEPENDENCIES) <= set(site.settings.dependencies)
        assert (ROOT / "app").is_dir()
