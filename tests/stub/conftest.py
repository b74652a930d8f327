"""One stub that serves a few recordings, for all tests that ask it over the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from served_recordings import RECORDINGS, write_recordings

from gonogo.stub.remote import RemoteStub, served_stub


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stub that serves RECORDINGS as fast as it can."""
    with served_stub([write_recordings(tmp_path_factory.mktemp("recordings"), *RECORDINGS)]) as served:
        yield served


@pytest.fixture
def remote(url: str) -> Iterator[RemoteStub]:
    """The served stub, taken for one test."""
    with RemoteStub(url, holder="a test") as stub:
        stub.expect()
        yield stub
